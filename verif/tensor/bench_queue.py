"""A queue against a list."""

import cocotb

from verif import bench, seeds, streams

DEPTH, BITS = (bench.parameters()[name] for name in ("depth", "bits"))
DRAW = seeds.stdlib("queue")


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def order(dut):
    dut.clear.value = dut.amend.value = 0
    await streams.start(dut)
    source, sink = streams.Source(dut, "given"), streams.Sink(dut, "taken")
    for stalls in ((0, 0), (0.6, 0), (0, 0.6), (0.3, 0.3)):
        source.stall, sink.stall = stalls
        items = [DRAW.getrandbits(BITS) for _ in range(60)]
        source.put(items)
        assert await sink.receive(60) == items
    source.stall = 0
    sink.stall = 1  # takes nothing
    await streams.cycles(dut, 2)
    before = source.sent
    source.put(DRAW.getrandbits(BITS) for _ in range(DEPTH + 3))
    await streams.cycles(dut, DEPTH + 8)
    assert source.sent - before == DEPTH
    dut.clear.value = 1
    await streams.cycles(dut, 5)
    assert not dut.taken__valid.value


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def amended(dut):
    """What came last changes while it is there, and may leave nothing behind meanwhile."""
    dut.clear.value = dut.given__valid.value = 0
    await streams.start(dut)
    kept = []
    for _ in range(400):
        valid, ready, item = DRAW.random() < 0.7, DRAW.random() < 0.4, DRAW.getrandbits(BITS)
        left = kept[1:] if ready else kept[:]
        amend = DRAW.random() < 0.5 and bool(left)
        dut.given__valid.value, dut.taken__ready.value = int(valid), int(ready)
        dut.amend.value, dut.given__payload.value = int(amend), item
        await streams.cycles(dut)
        assert dut.amendable.value == bool(left)
        assert dut.taken__valid.value == bool(kept)
        assert not kept or dut.taken__payload.value == kept[0]
        if valid and len(kept) < DEPTH:
            left = [*left[:-1], item] if amend else [*left, item]
        kept = left
