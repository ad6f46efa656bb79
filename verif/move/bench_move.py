"""The move unit against sim/move.py: strided copies both ways, stalls everywhere, errors."""

import itertools

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.interfaces import RUN_LAYOUT, SET_LAYOUT, WritePort
from hdl.move.bursts import BEATS
from isa import fields
from isa.config import Config
from isa.memmap import Trap
from isa.registers import ADDRESS_BITS, STRIDE_BITS, Unit, of_unit
from sim import move
from sim.registers import defaults
from verif import bench, seeds, streams
from verif.axi.memory import ExternalMemory

CONFIG = Config(**bench.parameters().get("config", {}))
WRITE = streams.shape_of(WritePort(CONFIG).members["request"].signature)
EXTERNAL = 1 << 16
POST = 0x8001
MOST = BEATS * CONFIG.axi_words  # words of a burst


class Scratchpad:
    """Words behind the ports, each with stalls of its own; counts what it gave and took."""

    def __init__(self, dut, stall=0.0):
        self.dut = dut
        self.stall = stall
        self.words = np.zeros(CONFIG.words, np.uint64)
        self.given = self.taken = 0
        for lane in range(CONFIG.axi_words):
            cocotb.start_soon(self._reads(f"read_ports__{lane}"))
            cocotb.start_soon(self._writes(f"write_ports__{lane}"))

    def _port(self, name, *members):
        return [getattr(self.dut, f"{name}__{member}") for member in members]

    async def _reads(self, name):
        draw = seeds.stdlib(name)
        valid, ready, payload, answers, data, zeros = self._port(
            name, "request__valid", "request__ready", "request__payload", "valid", "data", "zeros")
        ready.value = answers.value = 0
        while True:
            await RisingEdge(self.dut.clk)
            taken = bool(ready.value) and bool(valid.value)
            answers.value = int(taken)
            self.given += taken
            word = int(self.words[streams.read(payload)]) if taken else draw.getrandbits(64)
            data.value = word
            zeros.value = sum((word >> 8 * i & 0x7F == 0) << i for i in range(8))
            ready.value = int(draw.random() >= self.stall)

    async def _writes(self, name):
        draw = seeds.stdlib(name)
        valid, ready, payload = self._port(
            name, "request__valid", "request__ready", "request__payload")
        ready.value = 0
        while True:
            await RisingEdge(self.dut.clk)
            if ready.value and valid.value:
                taken = streams.unpack(WRITE, streams.read(payload))
                self.words[taken["address"]] = taken["data"]
                self.taken += 1
            ready.value = int(draw.random() >= self.stall)


class Move:
    """Control's side of the unit."""

    def __init__(self, dut):
        self.dut = dut
        self.set = streams.Source(dut, "command__set", SET_LAYOUT)
        self.run = streams.Source(dut, "command__run", RUN_LAYOUT)
        self.ended = []  # for each operation (pc, trap); NONE where it gave its tokens
        self.live = []  # elements that are live, of each operation over such
        self.counts = dict.fromkeys(("busy", "wait_external", "words_filled", "words_stored"), 0)
        dut.command__grant.value = 1
        dut.command__stop.value = 0
        cocotb.start_soon(self._watch())

    async def _watch(self):
        dut = self.dut
        while True:
            await RisingEdge(dut.clk)
            if streams.read(dut.rst):
                continue
            for name in self.counts:
                self.counts[name] += streams.read(getattr(dut, name))
            if dut.listed.value:
                self.live.append(streams.read(dut.live))
            pc = streams.read(dut.command__pc)
            if dut.command__trap.value:
                self.ended.append((pc, Trap(streams.read(dut.command__cause))))
            elif dut.command__give.value:
                assert streams.read(dut.command__give) == POST
                self.ended.append((pc, Trap.NONE))

    async def give(self, registers, pc, **left_out):
        """Hands an operation over; returns when the unit took it."""
        writes = [{"clear": 1, "index": 0, "value": 0}]
        for register in of_unit(Unit.MOVE):
            value = fields.encode(register.fields, registers[register.name])
            writes.append({"clear": 0, "index": register.index, "value": value})
        await self.set.send(writes)
        await self.run.send([{"pc": pc, "wait": 0, "post": POST, "tag": 0} | left_out])

    async def wait_ended(self, count, most=20000):
        for _ in range(most):
            if len(self.ended) >= count:
                return
            await streams.cycles(self.dut)
        raise AssertionError(f"{len(self.ended)} of {count} operations ended in {most} cycles")


async def _start(dut, stall=0.0):
    scratchpad = Scratchpad(dut, stall)
    unit = Move(dut)
    memory = ExternalMemory(dut, EXTERNAL, stall)
    await streams.start(dut)
    return scratchpad, unit, memory


def registers_of(**values):
    """`external_base=...` and so on; counts as a tuple, and live as one: word of the list, its
    elements, the first."""
    registers = defaults(Unit.MOVE)
    words, n1, n2 = values.pop("counts", (1, 1, 1))
    registers["move.counts"] = {"words": words, "n1": n1, "n2": n2}
    registers["move.mode"] = {"store": values.pop("store", 0)}
    if "live" in values:
        address, count, first = values.pop("live")
        registers["move.live"] = {"enable": 1, "count": count, "first": first}
        registers["move.live.base"] = {"address": address}
    for name, value in values.items():
        side, what = name.split("_")
        key = "address" if what == "base" else "stride"
        registers[f"move.{side}.{what}"] = {key: value}
    return registers


def _draw(draw):
    """An operation that stays inside both memories."""
    longest = draw.choice((80, 80, 600))
    counts = (draw.choice((1, 2, 7, 16, 17, draw.randint(1, longest))),
              draw.randrange(1, 5), draw.randrange(1, 4))
    words = min(counts[0], CONFIG.words)
    counts = (words, *counts[1:])

    def side(size, unit, stride_bits):
        """Base and two strides such that all runs are inside `size` words."""
        span = (size - words) // 4
        most = min(span // max(counts), (1 << (stride_bits - 1)) // unit - 1)
        strides = [draw.randint(-most, most) for _ in range(2)]
        low = sum(min(0, s * (n - 1)) for s, n in zip(strides, counts[1:], strict=True))
        high = sum(max(0, s * (n - 1)) for s, n in zip(strides, counts[1:], strict=True))
        base = draw.randint(-low, size - words - high)
        return base * unit, *(s * unit for s in strides)

    external = side(EXTERNAL // 8, 8, 32)
    scratchpad = side(CONFIG.words, 1, STRIDE_BITS)
    return registers_of(counts=counts, store=draw.randrange(2),
                        external_base=external[0], external_n1=external[1],
                        external_n2=external[2], scratchpad_base=scratchpad[0],
                        scratchpad_n1=scratchpad[1], scratchpad_n2=scratchpad[2])


class Check:
    """The golden side: both memories, and counts."""

    def __init__(self, scratchpad, memory, generator):
        self.scratchpad, self.memory = scratchpad, memory
        self.external = generator.integers(0, 256, EXTERNAL, np.uint8)
        self.words = generator.integers(0, 1 << 64, CONFIG.words, np.uint64)
        memory.data[:] = self.external.tobytes()
        scratchpad.words[:] = self.words
        self.filled = self.stored = 0
        self.live = []

    def execute(self, registers):
        outcome = move.execute(CONFIG, registers, self.words, self.external)
        self.filled += outcome.words_filled
        self.stored += outcome.words_stored
        if outcome.live is not None:
            self.live.append(outcome.live)
        return outcome.trap

    def compare(self):
        assert np.array_equal(self.scratchpad.words, self.words)
        assert bytes(self.memory.data) == self.external.tobytes()

    def follow(self):
        """After a trap memory is undefined: go on from what there is."""
        self.words[:] = self.scratchpad.words
        self.external[:] = np.frombuffer(bytes(self.memory.data), np.uint8)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def random_copies(dut):
    draw = seeds.stdlib("moves")
    scratchpad, unit, memory = await _start(dut)
    check = Check(scratchpad, memory, seeds.generator("moves"))
    count = 0
    for stall in (0.0, 0.3, 0.7):
        scratchpad.stall = stall
        memory.set_stall(stall)
        for _ in range(12):
            registers = _draw(draw)
            assert check.execute(registers) is Trap.NONE
            await unit.give(registers, count)  # the one before may still be at work
            count += 1
        await unit.wait_ended(count)
        assert memory.quiet
        check.compare()
    assert unit.ended == [(pc, Trap.NONE) for pc in range(count)]
    assert unit.counts["words_filled"] == scratchpad.taken == check.filled
    assert unit.counts["words_stored"] == scratchpad.given == check.stored


LIST = 8  # words of a list at most


def _draw_live(draw, words):
    """An operation over live elements, whose list lies at the end of the scratchpad; `words` is the
    scratchpad, where the list is written."""
    room = CONFIG.words - LIST
    count = draw.randint(1, 8 * LIST)
    length, n1 = draw.choice((1, 2, 7, 17, 33)), draw.randint(1, 2)
    n2 = draw.randint(1, min(80, room // (n1 * length + 1)))
    pitch = n1 * length + draw.randrange(2)
    size = -(-count // 8)
    density = draw.choice((0, 0.1, 0.5, 0.9, 1))
    for i in range(size):
        codes = [draw.choice((1, 0x38, 0x81, 0xFF)) if draw.random() < density
                 else draw.choice((0, 0x80)) for _ in range(8)]
        words[CONFIG.words - size + i] = int.from_bytes(bytes(codes), "little")
    backwards = draw.randrange(2)
    return registers_of(
        counts=(length, n1, n2), store=draw.randrange(2),
        live=(CONFIG.words - size | draw.randrange(4096) << ADDRESS_BITS, count,
              draw.choice((0, 0, draw.randrange(8 * LIST)))),
        external_base=8 * (draw.randrange(100) + backwards * count * pitch),
        external_n1=8 * length, external_n2=(-8 if backwards else 8) * pitch,
        scratchpad_n1=length, scratchpad_n2=n1 * length)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def live_elements(dut):
    """Gathered and scattered rounds, zeros where there is no element, and how many there are."""
    draw = seeds.stdlib("live")
    scratchpad, unit, memory = await _start(dut)
    check = Check(scratchpad, memory, seeds.generator("live"))
    count = 0
    for stall in (0.0, 0.3, 0.7):
        scratchpad.stall = stall
        memory.set_stall(stall)
        for _ in range(40):
            registers = _draw_live(draw, check.words)
            scratchpad.words[-LIST:] = check.words[-LIST:]
            assert check.execute(registers) is Trap.NONE
            await unit.give(registers, count)
            count += 1
            await unit.wait_ended(count)
            check.compare()
    assert unit.live == check.live and len(set(unit.live)) > 10
    assert unit.counts["words_filled"] == check.filled
    assert unit.counts["words_stored"] == check.stored


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def live_traps(dut):
    """Lists that may not be read, places that may not be reached, and places that are not."""
    scratchpad, unit, memory = await _start(dut, 0.2)
    check = Check(scratchpad, memory, seeds.generator("live traps"))
    top = CONFIG.words
    for store in (0, 1):
        for trap, changes in (
            (Trap.SHAPE, {"live": (0, 0, 0)}),
            (Trap.ADDRESS, {"live": (top, 1, 0)}),
            (Trap.ADDRESS, {"live": (top - 1, 9, 0)}),
            (Trap.ADDRESS, {"live": ((1 << ADDRESS_BITS) - 1, 9, 0)}),
            (Trap.NONE, {"live": (top - 1, 8, 0), "counts": (1, 1, 4)}),
            (Trap.ADDRESS, {"live": (top - 1, 8, 0), "counts": (1, 1, 5), "external_n2": 4}),
            (Trap.BUS, {"live": (top - 1, 8, 0), "counts": (1, 1, 5),
                        "external_n2": EXTERNAL // 6 & -8}),
            (Trap.NONE, {"live": (top - 1, 7, 0), "counts": (1, 1, 5),
                         "external_n2": EXTERNAL // 6 & -8}),
            # a round that is not there: zeros are written, nothing is stored
            (Trap.NONE if store else Trap.ADDRESS,
             {"live": (top - 1, 8, 4), "counts": (1, 1, 5), "scratchpad_n2": (top - 6) // 3}),
            (Trap.NONE, {"live": (top - 1, 8, 5), "counts": (1, 1, 2), "external_base": 4}),
        ):
            registers = registers_of(store=store, **changes)
            check.words[-1] = scratchpad.words[-1] = 0x38003838 | 0x01008100 << 32
            expected = check.execute(registers)
            assert expected is trap, (registers, expected)
            ended = len(unit.ended)
            await unit.give(registers, 1)
            await unit.wait_ended(ended + 1)
            assert memory.quiet
            assert unit.ended[-1] == (1, trap), (unit.ended[-1], registers)
            if trap is Trap.NONE:
                check.compare()
            else:
                check.follow()
    assert unit.live == check.live


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def left_out(dut):
    """An operation that is left out gives its tokens, moves nothing and is not busy."""
    scratchpad, unit, memory = await _start(dut)
    check = Check(scratchpad, memory, seeds.generator("left out"))
    for store in (0, 1):
        await unit.give(registers_of(counts=(0, 9, 9), store=store), 1, leave=1, count=1)
    await unit.wait_ended(2)
    assert unit.ended == [(1, Trap.NONE)] * 2 and unit.counts["busy"] == 0
    check.compare()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def all_alignments(dut):
    """Runs that begin and end at any word of a beat, to any port of the scratchpad; two of them
    with a gap of one word between them, which stays as it is."""
    draw = seeds.stdlib("alignments")
    scratchpad, unit, memory = await _start(dut, 0.2)
    check = Check(scratchpad, memory, seeds.generator("alignments"))
    lanes = range(CONFIG.axi_words)
    count = 0
    for outer, inner, store in itertools.product(lanes, lanes, (0, 1)):
        for words in (*range(1, 2 * CONFIG.axi_words + 2), MOST - 1, MOST, MOST + 1):
            n1 = 2 if 2 * words + 2 * CONFIG.axi_words <= CONFIG.words else 1
            registers = registers_of(
                counts=(words, n1, 1), store=store, external_n1=8 * (words + 1),
                external_base=0x1000 * draw.randrange(15) + 8 * outer,
                scratchpad_base=CONFIG.axi_words + inner, scratchpad_n1=words + 1)
            if words == MOST:  # across a page
                registers["move.external.base"]["address"] -= 8 * CONFIG.axi_words
                registers["move.external.base"]["address"] %= EXTERNAL // 2
            assert check.execute(registers) is Trap.NONE
            await unit.give(registers, count)
            count += 1
            await unit.wait_ended(count)
            check.compare()
    assert unit.ended == [(pc, Trap.NONE) for pc in range(count)]


async def _cycles(unit, registers):
    """Cycles of an operation."""
    before, ended = unit.counts["busy"], len(unit.ended)
    await unit.give(registers, 0)
    await unit.wait_ended(ended + 1)
    return unit.counts["busy"] - before


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def full_rate(dut):
    """A beat a cycle, and what the memory needs to begin and to end: in long runs, and in runs of
    32 words, aligned or not."""
    scratchpad, unit, memory = await _start(dut)
    check = Check(scratchpad, memory, seeds.generator("rate"))
    words = min(CONFIG.words, 1024)
    rows = words // 32
    for store, outer, inner in itertools.product((0, 1), range(CONFIG.axi_words), (0, 1)):
        for counts in ((words - 1, 1, 1), (32, rows, 1)):
            registers = registers_of(
                counts=counts, store=store, external_base=0x1000 + 8 * outer, external_n1=1024,
                scratchpad_base=inner if rows == 1 or counts[1] == 1 else 0, scratchpad_n1=32)
            assert check.execute(registers) is Trap.NONE
            taken = await _cycles(unit, registers)
            beats = counts[1] * -(-(outer + counts[0]) // CONFIG.axi_words)
            dut._log.info(f"{'store' if store else 'fill'} from word {outer} of a beat: {counts}, "
                          f"{beats} beats in {taken} cycles")
            assert taken < 1.02 * beats + 40
    check.compare()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def gap(dut):
    """What lies between two moves: a move of one word and what control needs to start it."""
    scratchpad, unit, memory = await _start(dut)
    check = Check(scratchpad, memory, seeds.generator("gap"))
    for store in (0, 1):
        registers = registers_of(store=store)
        assert check.execute(registers) is Trap.NONE
        taken = await _cycles(unit, registers)
        dut._log.info(f"{'store' if store else 'fill'}: one word in {taken} cycles")
        assert taken < 24
    check.compare()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def traps(dut):
    scratchpad, unit, memory = await _start(dut, 0.2)
    check = Check(scratchpad, memory, seeds.generator("traps"))
    top = CONFIG.words
    wrap = 1 << ADDRESS_BITS
    cases = [
        (Trap.SHAPE, registers_of(counts=(0, 1, 1))),
        (Trap.SHAPE, registers_of(counts=(1, 0, 1))),
        (Trap.SHAPE, registers_of(counts=(1, 1, 0), external_base=4)),
        (Trap.ADDRESS, registers_of(external_base=4)),
        (Trap.ADDRESS, registers_of(counts=(3, 2, 2), external_n2=12)),
        (Trap.ADDRESS, registers_of(scratchpad_base=top)),
        (Trap.ADDRESS, registers_of(counts=(2, 1, 1), scratchpad_base=top - 1)),
        (Trap.ADDRESS, registers_of(counts=(2, 2, 1), scratchpad_n1=-1)),
        (Trap.ADDRESS, registers_of(counts=(2, 1, 1), scratchpad_base=wrap - 1)),
        (Trap.ADDRESS, registers_of(counts=(40, 1, 1), scratchpad_base=top - 20)),
        (Trap.BUS, registers_of(external_base=EXTERNAL)),
        (Trap.BUS, registers_of(counts=(40, 1, 1), external_base=EXTERNAL - 64)),
        (Trap.BUS, registers_of(counts=(5, 3, 1), external_n1=EXTERNAL // 2)),
        (Trap.NONE, registers_of(counts=(1, 1, 1), external_base=EXTERNAL - 8,
                                 scratchpad_base=top - 1)),
    ]
    count = 0
    for store in (0, 1):
        for trap, registers in cases:
            registers["move.mode"]["store"] = store
            assert check.execute(registers) is trap
            await unit.give(registers, count)
            count += 1
            await unit.wait_ended(count)
            assert memory.quiet, "the bus was left hanging"
            assert unit.ended[-1] == (count - 1, trap), (unit.ended[-1], trap, registers)
            if trap is Trap.NONE:
                check.compare()
            else:
                check.follow()
    assert len(unit.ended) == count


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def stop(dut):
    """Stopped at any time the unit ends soon, with the bus quiet, and works again afterwards."""
    draw = seeds.stdlib("stop")
    scratchpad, unit, memory = await _start(dut, 0.3)
    check = Check(scratchpad, memory, seeds.generator("stop"))
    for store in (0, 1) * 4:
        words = min(CONFIG.words, 400)
        busy = registers_of(counts=(words, 4, 1), store=store)
        await unit.give(busy, 1)
        await unit.give(busy, 2)  # stays pending
        await streams.cycles(dut, draw.randrange(1, 100))
        dut.command__stop.value = 1
        for _ in range(400):
            await streams.cycles(dut)
            if not dut.command__busy.value:
                break
        assert not dut.command__busy.value and not dut.command__pending.value
        await streams.cycles(dut, 2)
        assert memory.quiet, "the bus was left hanging"
        assert not unit.ended
        dut.command__stop.value = 0
        await streams.cycles(dut, 5)
        assert not dut.command__busy.value, "an operation that was dropped has started"
        check.follow()
        registers = _draw(draw)
        check.execute(registers)
        await unit.give(registers, 3)
        await unit.wait_ended(1)
        assert unit.ended == [(3, Trap.NONE)]
        unit.ended.clear()
        check.compare()
