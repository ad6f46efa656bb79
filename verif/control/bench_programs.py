"""Control with programs: instructions, loops, units and tokens, against the model."""

import cocotb

from hdl.control.counters import EIGHTHS
from hdl.tensor.events import EIGHTH, WORDS_BITS
from isa.memmap import (
    ID_VALUE,
    TAG_COUNTERS,
    Control,
    Flag,
    Status,
    Trap,
    counter_offset,
    tag_offset,
)
from isa.registers import REGISTERS
from verif import bench, streams
from verif.control.agents import Bench
from verif.control.golden import OUTPUT, RandomProgram, Recorder, show, shown

STALL = bench.parameters().get("stall", 0.0)
AXI_WORDS = bench.parameters()["axi_words"]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def registers(dut):
    b = await Bench.start(dut, STALL)
    host = b.host
    assert await host.read(Control.ID) == ID_VALUE
    assert await host.read(Control.COMMAND) == 0
    assert await host.read(Control.STATUS) == 0
    assert await host.read(0xFFC) == 0 and await host.read(0x3C) == 0
    await host.write(Control.PROGRAM, 0x12345678)
    await host.master.write(Control.PROGRAM + 1, b"\xab")  # a single byte
    assert await host.read(Control.PROGRAM) == 0x1234AB78
    await host.write(Control.ID, 5)
    assert await host.read(Control.ID) == ID_VALUE
    for value in (1, 0):
        await host.write(Control.INTERRUPT_ENABLE, value)
        assert await host.read(Control.INTERRUPT_ENABLE) == value


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def halt_and_interrupt(dut):
    b = await Bench.start(dut, STALL)
    await b.host.write(Control.INTERRUPT_ENABLE, 1)
    ending = await b.run("nop\nhalt 0xABCD")
    assert (ending.trapped, ending.code, ending.instructions) == (False, 0xABCD, 2)
    assert dut.interrupt.value
    assert await b.host.read(Control.PC) == 1
    await b.host.write(Control.STATUS, 1 << Status.DONE)
    await streams.cycles(dut, 4)
    assert not dut.interrupt.value and await b.host.read(Control.STATUS) == 0
    await b.host.write(Control.INTERRUPT_ENABLE, 0)
    ending = await b.run("halt 1", at=0x400)
    assert ending.code == 1 and not dut.interrupt.value
    # the interrupt comes at the halt itself
    await b.host.write(Control.INTERRUPT_ENABLE, 1)
    assert dut.interrupt.value
    await b.begin(0x400)
    for _ in range(500):
        await streams.cycles(dut)
        if dut.interrupt.value:
            break
    assert dut.interrupt.value and (await b.wait()).code == 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def scalars(dut):
    b = await Bench.start(dut, STALL)
    await b.halts(show("r3") + show("r15") + f"""
        li r1, -2
        li r2, 0x7FFFFFFF
        add r3, r1, r2
        addi r4, r2, 1
        addi r5, r1, -1
        addi r1, r1, 5
        setr {OUTPUT.name}, r2, -3
        """ + "".join(map(show, ("r1", "r2", "r3", "r4", "r5")))
        + f"csr r6, {counter_offset('instructions')}\n" + show("r6")
        + f"csr r7, {Control.ID}\n" + show("r7") + f"csr r8, {Control.PC}\n" + show("r8")
        + "halt 0")
    assert shown(b.vector) == [0, 0, 0x7FFFFFFC, 3, 0x7FFFFFFF, 0x7FFFFFFD, 0x80000000,
                               0xFFFFFFFD, 14, ID_VALUE, 18]
    # a new program finds them zero again
    await b.halts(show("r1") + show("r4") + "halt 0")
    assert shown(b.vector) == [0, 0]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def skips(dut):
    b = await Bench.start(dut, STALL)
    values = (0, 1, -1, 2**31 - 1, -2**31)
    for condition, holds in (("eq", lambda x, y: x == y), ("ne", lambda x, y: x != y),
                             ("lt", lambda x, y: x < y), ("ge", lambda x, y: x >= y)):
        text, wanted = "", []
        for x in values:
            for y in values:
                text += (f"li r1, {x}\nli r2, {y}\nli r3, 1\nskip {condition}, r1, r2, +1\n"
                         f"li r3, 0\n" + show("r3"))
                wanted.append(int(holds(x, y)))
        await b.halts(text + "halt 0")
        assert shown(b.vector) == wanted, condition


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def loops(dut):
    b = await Bench.start(dut, STALL)
    count = "addi r1, r1, 1\n"
    for text, wanted in (
        (f"loop 5, +1\n{count}", 5),
        (f"loop 0, +1\n{count}", 0),
        (f"loop 5, +0\n{count}", 1),
        (f"li r2, 3\nloopr r2, +1\n{count}", 3),
        (f"loopr r2, +1\n{count}", 0),
        (f"loop 3, +2\nloop 4, +1\n{count}", 12),  # ends at the same place
        (f"loop 2, +4\nloop 2, +3\nloop 2, +2\nloop 2, +1\n{count}", 16),
        (f"loop 3, +3\n{count}loop 0, +1\n{count}", 3),  # jumps to the end of the loop around
        (f"loop 4, +3\n{count}skip eq, r0, r0, +1\n{count}", 4),
        (f"loop 2, +5\nloop 1, +1\n{count}loop 3, +1\n{count}nop\n", 8),
        (f"loop 100, +20\n{count * 20}", 2000),
    ):
        await b.halts(text + show("r1") + "halt 0")
        assert shown(b.vector) == [wanted], text


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def random_programs(dut):
    b = await Bench.start(dut, STALL)
    b.vector.duration = b.tensor.duration = lambda pc: 1 + pc % 13
    total = 0
    while total < 4000:
        program = RandomProgram(b.draw).text
        golden = Recorder(Bench.CONFIG, Bench.EXTERNAL, program)
        count = golden.state.counters["instructions"]
        if not golden.state.done or count > 2000:
            continue
        assert golden.state.trap is Trap.NONE
        ending = await b.halts(program, at=8 * b.draw.randrange(32))
        assert shown(b.vector) == golden.shown, program
        assert ending.instructions == count, program
        total += count + 50


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def rate(dut):
    """Straight code takes a cycle an instruction, but for the beginning, wherever it begins."""
    b = await Bench.start(dut, 0.0)
    for word in range(AXI_WORDS):
        await b.halts("nop\n" * 1000 + "halt 0", at=8 * word)
        cycles = await b.host.read64(counter_offset("cycles"))
        dut._log.info(f"1001 instructions in {cycles} cycles")
        assert cycles < 1120


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def dispatch(dut):
    b = await Bench.start(dut, STALL)
    b.tensor.duration = lambda pc: 30
    await b.halts("""
        set tensor.key, key=0x12345678
        set vector.k1, value=0x3F800000
        clear tensor
        li r1, 7
        setr tensor.depth, r1, -8
        run tensor, tag=5
        set tensor.key, key=1       ; waits until the first has started
        run tensor, tag=31
        run vector
        clear tensor                ; waits until the second has started
        fence
        set vector.k0, value=1
        halt 0
    """)
    key, depth = REGISTERS["tensor.key"].index, REGISTERS["tensor.depth"].index
    assert b.tensor.log == [
        ("clear",), ("set", key, 0x12345678), ("clear",), ("set", depth, 0xFFFFFFFF),
        ("run", 5, 5), ("start", 5), ("set", key, 1), ("run", 7, 31), ("end", 5), ("start", 7),
        ("clear",), ("end", 7)]
    assert b.vector.log[:4] == [
        ("clear",), ("set", REGISTERS["vector.k1"].index, 0x3F800000), ("run", 8, 0),
        ("start", 8)]
    waited = await b.host.read64(counter_offset("control_wait"))
    assert 25 < waited < 90, waited


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def tokens(dut):
    b = await Bench.start(dut, STALL)
    b.tensor.duration = lambda pc: 40
    b.vector.duration = lambda pc: 3
    order = []
    for unit in (b.tensor, b.vector):
        unit.log = _Shared(unit.name, order)
    await b.halts("""
        run vector, wait=0x3, post=0x8000
        run tensor, post=0x1
        sync post=0x2               ; both are there only when tensor is done
        sync wait=0x8000
        set vector.k0, value=1
        halt 0
    """)
    assert [e for e in order if e[1] in ("start", "end")] == [
        ("tensor", "start", 1), ("tensor", "end", 1), ("vector", "start", 0),
        ("vector", "end", 0)]
    assert order[-1] == ("vector", "set", OUTPUT.index, 1)
    # several give the same token in the same cycle, and each is taken once
    for shift in range(-2, 3):
        order.clear()
        b.tensor.duration = lambda pc: 20
        b.vector.duration = lambda pc, shift=shift: 20 - shift
        await b.halts("""
            run tensor, post=0x1
            run vector, post=0x1
            loop 2, +1
            sync wait=0x1
            set vector.k0, value=9
            sync post=0x1
            run tensor, wait=0x1
            halt 0
        """)
        starts = [e for e in order if e[1] == "start"]
        assert starts == [("tensor", "start", 0), ("vector", "start", 1), ("tensor", "start", 6)]


class _Shared(list):
    """A log that goes to a common one as well."""

    def __init__(self, name, order):
        super().__init__()
        self.name, self.order = name, order

    def append(self, entry):
        super().append(entry)
        self.order.append((self.name, *entry))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def moves_and_counters(dut):
    b = await Bench.start(dut, STALL)
    words = [b.draw.getrandbits(64) for _ in range(40)]
    b.memory.put(0x2000, words)
    await b.halts("""
        set move.external.base, address=0x2000
        set move.scratchpad.base, address=3
        set move.counts, words=10, n1=4
        set move.external.n1, stride=80
        set move.scratchpad.n1, stride=10
        run move, post=1
        set move.external.base, address=0x3000
        set move.mode, store=1
        run move, wait=1
        halt 0
    """)
    assert b.memory.words(0x3000, 40) == words
    for name, wanted in (("words_filled", 40), ("words_stored", 40), ("words_read", 40),
                         ("words_written", 40), ("instructions", 10), ("macs", 0)):
        assert await b.host.read64(counter_offset(name)) == wanted, name
    busy = await b.host.read64(counter_offset("move_busy"))
    waited = await b.host.read64(counter_offset("move_wait_external"))
    cycles = await b.host.read64(counter_offset("cycles"))
    beats = 2 * 4 * -(-10 // AXI_WORDS)
    assert busy - waited >= beats and busy < cycles, (busy, waited, cycles)
    await b.halts("halt 0")
    assert await b.host.read64(counter_offset("words_filled")) == 0
    assert await b.host.read64(counter_offset("move_busy")) == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def tensor_events(dut):
    """Counters and tag counters of what the tensor unit reports, and the NaN flag."""
    b = await Bench.start(dut, STALL)
    b.load("sync wait=1\nhalt 0")  # nobody gives it: control stands still

    async def operation(tag, pc, cycles):
        totals = {"words": 0, "saturations": 0, "e5m2": 0, "waits": [0, 0, 0],
                  **dict.fromkeys(EIGHTHS, 0)}
        e = {name: getattr(dut, f"events__{name}") for name in
             ("busy", "tag", "pc", "stream_words", *EIGHTHS, "wait_stream", "wait_stationary",
              "wait_drain", "saturations", "saturations_e5m2", "nan")}
        e["busy"].value, e["tag"].value, e["pc"].value = 1, tag, pc
        for _ in range(cycles):
            words = b.draw.randrange(1 << WORDS_BITS)
            saturations, wait = b.draw.randrange(9), b.draw.randrange(4)
            e["stream_words"].value = words
            for name, bits in EIGHTHS.items():
                count = b.draw.randrange(1 << bits)
                e[name].value = count
                totals[name] += count
            e["saturations"].value = saturations
            e["saturations_e5m2"].value = saturations // 2
            for i, name in enumerate(("wait_stream", "wait_stationary", "wait_drain")):
                e[name].value = int(wait == i)
                totals["waits"][i] += wait == i
            totals["words"] += words
            totals["saturations"] += saturations
            totals["e5m2"] += saturations // 2
            await streams.cycles(dut)
        for name in ("busy", "stream_words", *EIGHTHS, "saturations", "saturations_e5m2",
                     "wait_stream", "wait_stationary", "wait_drain"):
            e[name].value = 0
        await streams.cycles(dut)
        return totals

    b.tensor.duration = lambda pc: 3000  # busy, so that it is no deadlock
    b.load("run tensor\nsync wait=1\nhalt 0")
    await b.begin()
    await streams.cycles(dut, 20)
    plan = [(3, 50), (31, 1), (0, 7), (3, 20), (3, 1)]
    done = [(tag, cycles, await operation(tag, 100 + tag, cycles)) for tag, cycles in plan]
    await streams.cycles(dut, 2)
    read = b.host.read64
    for tag in (0, 3, 5, 31):
        mine = [(cycles, totals) for t, cycles, totals in done if t == tag]
        assert await read(tag_offset(tag, "busy")) == sum(c for c, _ in mine)
        assert await read(tag_offset(tag, "words")) == sum(t["words"] for _, t in mine)
    for tag, cycles in plan[1:3]:  # the next operation follows after one cycle
        assert await read(tag_offset(tag, "span")) == cycles + 1
    for name in EIGHTHS:
        assert await read(counter_offset(name)) == EIGHTH * sum(t[name] for *_, t in done)
    assert await read(counter_offset("saturations")) == sum(t["saturations"] for *_, t in done)
    assert await read(counter_offset("saturations_e5m2")) == sum(t["e5m2"] for *_, t in done)
    assert await read(counter_offset("tensor_busy")) == sum(c for _, c, _ in done)
    for i, name in enumerate(("stream", "stationary", "drain")):
        assert await read(counter_offset(f"tensor_wait_{name}")) == \
            sum(t["waits"][i] for *_, t in done)
    # flags: the first stays until it is cleared
    assert await b.host.read(Control.FLAGS) == 0
    for pc in (77, 78):
        dut.events__pc.value, dut.events__nan.value = pc, 1
        await streams.cycles(dut)
        dut.events__nan.value = 0
        await streams.cycles(dut)
        assert await b.host.read(Control.FLAGS) == 1 << Flag.NAN
        assert await b.host.read(Control.NAN_PC) == 77
    await b.host.write(Control.FLAGS, 1 << Flag.NAN)
    assert await b.host.read(Control.FLAGS) == 0
    ending = await b.wait()
    assert (ending.cause, ending.pc) == (Trap.DEADLOCK, 1)
    await b.halts("halt 0")
    assert [await read(tag_offset(3, name)) for name in TAG_COUNTERS] == [0] * len(TAG_COUNTERS)
