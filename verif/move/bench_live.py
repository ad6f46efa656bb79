"""Moves over live elements, and moves that are left out, against sim/move.py."""

import cocotb

from isa.memmap import Trap
from isa.registers import ADDRESS_BITS
from verif import seeds
from verif.move.agents import CONFIG, EXTERNAL, Check, registers_of, start

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
    scratchpad, unit, memory = await start(dut)
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
    scratchpad, unit, memory = await start(dut, 0.2)
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
    scratchpad, unit, memory = await start(dut)
    check = Check(scratchpad, memory, seeds.generator("left out"))
    for store in (0, 1):
        await unit.give(registers_of(counts=(0, 9, 9), store=store), 1, leave=1, count=1)
    await unit.wait_ended(2)
    assert unit.ended == [(1, Trap.NONE)] * 2 and unit.counts["busy"] == 0
    check.compare()
