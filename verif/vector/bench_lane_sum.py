"""The sum of a lane, against integers of any size."""

from fractions import Fraction

import cocotb
import numpy as np

from verif import bench, seeds, streams
from verif.vector.shapes import binary32

COUNT = bench.parameters()["count"]
LIMIT = 1 << 40


def integer(bits: int, quantum: int):
    """The integer of a number, by definition; None for NaN."""
    value = np.uint32(bits).view(np.float32)
    if np.isnan(value):
        return None
    if np.isinf(value):
        return LIMIT if value > 0 else -LIMIT
    # round() of a Fraction is to nearest even
    return max(-LIMIT, min(LIMIT, round(Fraction(float(value)) / Fraction(2) ** quantum)))


def numbers(draw, quantum: int) -> int:
    """Binary32 numbers; many at a half of a quantum or at the limit."""
    kind = draw.randrange(4)
    if kind == 0:
        return binary32(draw)
    near = quantum + (draw.randrange(-2, 4) if kind == 1 else
                      draw.randrange(38, 42) if kind == 2 else draw.randrange(-26, 41))
    exponent = max(0, min(254, near + 127))
    fraction = draw.choice((0, 1, 1 << 22, (1 << 22) + 1, 3 << 21, (1 << 23) - 1,
                            draw.getrandbits(23)))
    return draw.getrandbits(1) << 31 | exponent << 23 | fraction


@cocotb.test()
async def sums_are_exact(dut):
    """Sums of 1 to 8 numbers, back to back, with cycles without `en` and without numbers."""
    draw = seeds.stdlib("lane sum")
    for port in ("clear", "en", "s1_add", "s1_last", "s2_add", "s2_last"):
        getattr(dut, port).value = 0
    await streams.start(dut)
    total, poison, left = 0, False, 0
    expected = []
    stages = [(0, 0), (0, 0)]  # what goes with stages 1 and 2: add, last
    quantum = -64
    for number in range(COUNT):
        if number % 500 == 0:  # an empty pipeline, then another quantum
            quantum = (-64, 63, -1, *(draw.randrange(-64, 64) for _ in range(4)))[number // 500 % 7]
            total, poison, left = 0, False, 0
            stages, expected = [(0, 0), (0, 0)], []
            dut.clear.value = 1
            dut.en.value = 0
            dut.quantum.value = quantum
            await streams.cycles(dut)
            dut.clear.value = 0
        en = draw.random() < 0.8
        given = draw.random() < 0.8
        bits = numbers(draw, quantum)
        last = False
        if en and given:
            left = left or draw.randint(1, 8)
            left -= 1
            last = left == 0
            value = integer(bits, quantum)
            poison |= value is None
            total += value or 0
            if last:
                expected.append(None if poison else total)
                total, poison = 0, False
        dut.en.value = int(en)
        dut.s0_value.value = bits
        for i, (add, end) in enumerate(stages, 1):
            getattr(dut, f"s{i}_add").value = add
            getattr(dut, f"s{i}_last").value = end
        await streams.cycles(dut)
        if en:
            if stages[1] == (1, 1):
                found = streams.read(dut.s2_sum)
                wanted = expected.pop(0)
                assert found >> 64 == (wanted is None), (hex(bits), quantum)
                if wanted is not None:
                    assert found & (2**64 - 1) == wanted % 2**64, (hex(found), wanted, quantum)
            stages = [(int(given), int(last)), stages[0]]
