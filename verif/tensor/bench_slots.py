"""Slots and their picks: every non-zero element once, in the fewest cycles, with what goes with
its slot."""

from collections import Counter

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.tensor.elements.slots import Slots, pick_layout
from isa.config import LANES, Config
from verif import bench, seeds, streams
from verif.tensor.sharing import draw_live, planes, shares

GIVEN = bench.parameters()
SLOT, REACH = GIVEN["slot"], GIVEN["reach"]
CONFIG = Config(slot=SLOT, reach=REACH)
DRAW = seeds.generator("slots")


def words_of(rows):
    return [int.from_bytes(bytes(row.tolist()), "little") for row in rows]


def by_lane(bits, lane):
    """The number of which `bits` are planes."""
    return sum((plane >> lane & 1) << i for i, plane in enumerate(bits))


async def give(dut, data, live, about, stall):
    """The slots, one after the other."""
    for words, planes_, number in zip(map(words_of, data), planes(live).tolist(), about.tolist(),
                                      strict=True):
        while DRAW.random() < stall:
            await RisingEdge(dut.clk)
        dut.valid.value, dut.about.value = 1, number
        for d in range(SLOT):
            getattr(dut, f"data__{d}").value = words[d]
            getattr(dut, f"live__{d}").value = planes_[d]
        await RisingEdge(dut.clk)
        while not dut.ready.value:
            await RisingEdge(dut.clk)
        dut.valid.value = 0


async def run(dut, live, stalls):
    """Runs the slots; the cycles from the first pick to the last."""
    data = DRAW.integers(1, 256, live.shape)
    about = DRAW.integers(0, 1 << GIVEN["about"], len(live))
    giving = cocotb.start_soon(give(dut, data, live, about, stalls[0]))
    edge = RisingEdge(dut.clk)
    layout = pick_layout(CONFIG, GIVEN["about"])
    cycles = np.maximum(shares(live, REACH)[0], 1).tolist()
    slot, seen, number, spent, before = 0, Counter(), 0, 0, None
    while slot < len(live) or before:
        dut.picks__ready.value = int(DRAW.random() >= stalls[1])
        await edge
        if before:  # the word of the last pick
            word = streams.read(dut.word)
            assert all(word >> 8 * lane & 0xFF == want for lane, want in enumerate(before))
            before = None
        spent += number > 0 or slot > 0
        if not (dut.picks__valid.value and dut.picks__ready.value):
            continue
        pick = streams.unpack(layout, streams.read(dut.picks__payload))
        assert pick["about"] == about[slot] and pick["first"] == (number == 0)
        number, before = number + 1, [0] * LANES
        for lane in range(LANES):
            if pick["take"] >> lane & 1:
                d, offset = by_lane(pick["word"], lane), by_lane(pick["offset"], lane)
                seen[d, (lane - offset) % LANES] += 1
                before[lane] = data[slot, d, (lane - offset) % LANES]
        assert pick["last"] == (number == cycles[slot]), "not the fewest cycles"
        if pick["last"]:
            assert seen == Counter(map(tuple, np.argwhere(live[slot]).tolist()))
            slot, seen, number = slot + 1, Counter(), 0
    await giving
    return spent, sum(cycles)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def random_slots(dut):
    dut.clear.value = dut.valid.value = dut.picks__ready.value = 0
    await streams.start(dut)
    for stalls in ((0, 0), (0.6, 0), (0, 0.6), (0.3, 0.3)):
        live = draw_live(DRAW, GIVEN["count"], SLOT)
        spent, least = await run(dut, live, stalls)
        assert stalls != (0, 0) or spent == least, "picks with gaps"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def full_rate(dut):
    """Slots of one cycle each leave as fast as they come."""
    dut.clear.value = dut.valid.value = dut.picks__ready.value = 0
    await streams.start(dut)
    live = np.zeros((100, SLOT, LANES), bool)
    live[:, 0] = True
    spent, _ = await run(dut, live, (0, 0))
    assert spent == 100


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def clear_forgets(dut):
    dut.clear.value = dut.valid.value = dut.picks__ready.value = 0
    await streams.start(dut)
    dut.valid.value = 1
    await streams.cycles(dut, 40)
    assert dut.picks__valid.value and not dut.ready.value
    dut.valid.value, dut.clear.value = 0, 1
    await streams.cycles(dut, 1)
    dut.clear.value = 0
    await streams.cycles(dut, Slots.LATENCY + 2)
    assert not dut.picks__valid.value and dut.ready.value
    await run(dut, draw_live(DRAW, 20, SLOT), (0, 0))
