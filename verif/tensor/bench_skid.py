"""A skid buffer against a list."""

import cocotb

from verif import bench, seeds, streams

BITS = bench.parameters()["bits"]
DRAW = seeds.stdlib("skid")


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_cycle(dut):
    """What is given, taken and kept, and that ready does not follow what is taken now."""
    dut.clear.value = dut.given__valid.value = 0
    await streams.start(dut)
    kept, given = None, None
    for i in range(2000):
        if given is None and DRAW.random() < (0.3, 0.8, 1.0)[i % 3]:
            given = DRAW.getrandbits(BITS)
        ready, clear = DRAW.random() < (0.5, 1.0)[i // 20 % 2], DRAW.random() < 0.02
        dut.given__valid.value, dut.given__payload.value = int(given is not None), given or 0
        dut.taken__ready.value, dut.clear.value = int(ready), int(clear)
        await streams.cycles(dut)
        room, shown = kept is None, given if kept is None else kept
        assert dut.given__ready.value == room and dut.held.value == (not room)
        assert dut.taken__valid.value == (shown is not None)
        assert shown is None or dut.taken__payload.value == shown
        if room:
            given = None
        kept = None if shown is None or ready or clear else shown
