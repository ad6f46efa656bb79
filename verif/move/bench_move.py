"""The move unit against sim/move.py: strided copies both ways, stalls everywhere, errors."""

import itertools

import cocotb

from hdl.move.bursts import BEATS
from isa.memmap import Trap
from isa.registers import ADDRESS_BITS, STRIDE_BITS
from verif import seeds, streams
from verif.move.agents import CONFIG, EXTERNAL, Check, registers_of, start

MOST = BEATS * CONFIG.axi_words  # words of a burst


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


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def random_copies(dut):
    draw = seeds.stdlib("moves")
    scratchpad, unit, memory = await start(dut)
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


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def all_alignments(dut):
    """Runs that begin and end at any word of a beat, to any port of the scratchpad; two of them
    with a gap of one word between them, which stays as it is."""
    draw = seeds.stdlib("alignments")
    scratchpad, unit, memory = await start(dut, 0.2)
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
    scratchpad, unit, memory = await start(dut)
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
    scratchpad, unit, memory = await start(dut)
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
    scratchpad, unit, memory = await start(dut, 0.2)
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
    scratchpad, unit, memory = await start(dut, 0.3)
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
