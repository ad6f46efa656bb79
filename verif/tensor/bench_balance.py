"""The sharing of slots against sim/slots.py: a slot a cycle."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.tensor.elements.balance import Balance
from isa.config import LANES
from verif import bench, seeds, streams
from verif.tensor.sharing import draw_live, planes, shares

GIVEN = bench.parameters()
SLOT, REACH = GIVEN["slot"], GIVEN["reach"]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def random_slots(dut):
    live = draw_live(seeds.generator("balance"), GIVEN["count"], SLOT)
    if SLOT == 2:  # every count of every lane
        counts = np.indices((3,) * LANES).reshape(LANES, -1).T[:, np.newaxis]
        live = np.concatenate([live, np.arange(SLOT)[:, np.newaxis] < counts])
    words = planes(live)
    cycles, share = shares(live, REACH)
    more = np.maximum(cycles - 1, 0)
    wanted = planes(share)
    await streams.start(dut)
    edge = RisingEdge(dut.clk)
    ports = [getattr(dut, f"live__{d}") for d in range(SLOT)]
    answers = {(age, d): getattr(dut, f"share__{age}__{d}")
               for age in range(REACH + 1) for d in range(SLOT)}
    for number in range(len(words) + Balance.LATENCY + 1):
        if number < len(words):
            for port, word in zip(ports, words[number].tolist(), strict=True):
                port.value = word
        await edge
        # what was set before the first edge is registered LATENCY edges later
        slot = number - Balance.LATENCY
        if 0 <= slot < len(words):
            assert int(dut.more.value) == more[slot], f"slot {slot}: cycles of {live[slot]}"
            for (age, d), port in answers.items():
                assert int(port.value) == wanted[slot, age, d], (
                    f"slot {slot}, {live[slot].astype(int)}, age {age}, word {d}: "
                    f"{int(port.value):08b}, expected {wanted[slot, age, d]:08b}")
