"""The cycles of slots: every element once, in the fewest cycles, slots without a gap."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from isa.config import LANES
from verif import bench, seeds, streams
from verif.tensor.sharing import draw_live, planes, shares

GIVEN = bench.parameters()
SLOT, REACH = GIVEN["slot"], GIVEN["reach"]
DRAW = seeds.generator("pick")


def _bits(dut, name, count, lane):
    return sum((int(getattr(dut, f"{name}__{i}").value) >> lane & 1) << i for i in range(count))


async def run(dut, live, stalls):
    """Gives the slots one after the other and collects what each cycle takes."""
    cycles, share = shares(live, REACH)
    words, more = planes(share), np.maximum(cycles - 1, 0).tolist()
    edge = RisingEdge(dut.clk)
    dut.clear.value = 0
    given = done = spent = 0
    taken = []
    while done < len(words):
        offered = given < len(words) and DRAW.random() >= stalls[0]
        dut.valid.value = int(offered)
        if offered:
            dut.more.value = more[given]
            for age in range(REACH + 1):
                for d in range(SLOT):
                    getattr(dut, f"share__{age}__{d}").value = int(words[given, age, d])
        dut.enable.value = int(DRAW.random() >= stalls[1])
        await edge
        spent += 1
        if dut.busy.value and dut.enable.value:
            take = int(dut.take.value)
            for lane in range(LANES):
                word = _bits(dut, "word", (SLOT - 1).bit_length(), lane)
                offset = _bits(dut, "offset", REACH.bit_length(), lane)
                if take >> lane & 1:
                    taken.append((word, (lane - offset) % LANES))
                    assert share[done, offset, word, lane], "an element of another lane"
                else:
                    assert word == offset == 0
            cycles[done] -= 1
            if dut.last.value:
                assert sorted(taken) == [tuple(e) for e in np.argwhere(live[done])]
                assert cycles[done] == (0 if live[done].any() else -1), "not the fewest cycles"
                taken, done = [], done + 1
        if offered and dut.ready.value:
            given += 1
    return spent


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def random_slots(dut):
    await streams.start(dut)
    for stalls in ((0, 0), (0.5, 0), (0, 0.5), (0.3, 0.3)):
        live = draw_live(DRAW, GIVEN["count"], SLOT)
        live[:3] = np.array([False, True, False])[:, np.newaxis, np.newaxis]
        need = np.maximum(shares(live, REACH)[0], 1).sum()
        spent = await run(dut, live, stalls)
        assert stalls != (0, 0) or spent == need + 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def clear_forgets(dut):
    await streams.start(dut)
    dut.valid.value, dut.enable.value, dut.clear.value = 1, 0, 0
    await streams.cycles(dut, 2)
    assert dut.busy.value
    dut.valid.value, dut.clear.value = 0, 1
    await streams.cycles(dut, 2)
    assert not dut.busy.value
