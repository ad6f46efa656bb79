"""The operand multiplexer: each lane its element of a slot."""

import cocotb
from cocotb.triggers import RisingEdge

from isa.config import LANES
from verif import bench, seeds, streams

GIVEN = bench.parameters()
SLOT, REACH, ROWS = GIVEN["slot"], GIVEN["reach"], GIVEN["rows"]
DRAW = seeds.stdlib("choose")


def spread(dut, name, numbers, most):
    """Sets the bit planes of a number by lane."""
    for i in range(most.bit_length()):
        getattr(dut, f"{name}__{i}").value = sum(
            (number >> i & 1) << lane for lane, number in enumerate(numbers))


@cocotb.test()
async def random_choices(dut):
    await streams.start(dut)
    wanted = None
    for _ in range(GIVEN["count"]):
        words = [[DRAW.getrandbits(64) for _ in range(ROWS)] for _ in range(SLOT)]
        for d, rows in enumerate(words):
            for row, word in enumerate(rows):
                getattr(dut, f"words__{d}__{row}").value = word
        numbers = [DRAW.randrange(SLOT) for _ in range(LANES)]
        offsets = [DRAW.randint(0, REACH) for _ in range(LANES)]
        spread(dut, "word", numbers, SLOT - 1)
        spread(dut, "offset", offsets, REACH)
        await RisingEdge(dut.clk)
        for row, want in enumerate(wanted or []):
            assert int(getattr(dut, f"chosen__{row}").value) == int.from_bytes(want, "little")
        wanted = [bytes(words[numbers[lane]][row] >> 8 * ((lane - offsets[lane]) % LANES) & 0xFF
                        for lane in range(LANES)) for row in range(ROWS)]
