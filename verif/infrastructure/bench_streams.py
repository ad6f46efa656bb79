"""The stream drivers against a queue."""

import cocotb

from verif import bench, seeds, streams
from verif.infrastructure.fixtures import PAYLOAD


@cocotb.test()
async def inputs_start_at_zero(dut):
    await streams.start(dut)
    await streams.cycles(dut, 3)
    assert not dut.i__valid.value and not dut.o__ready.value
    assert streams.read(dut.i__payload) == 0


@cocotb.test()
async def everything_arrives_once_in_order(dut):
    draw = seeds.stdlib("items")
    source = streams.Source(dut, "i", PAYLOAD)
    sink = streams.Sink(dut, "o", PAYLOAD)
    await streams.start(dut)
    for give, take in ((0, 0), (0.5, 0), (0, 0.5), (0.7, 0.7)):
        source.stall, sink.stall = give, take
        items = [{"tag": draw.randrange(8),
                  "pair": {"a": draw.randrange(-8, 8), "b": [draw.randrange(32) for _ in "123"]}}
                 for _ in range(200)]
        source.put(items)
        assert await sink.receive(len(items)) == items
        await source.drain()
    await streams.cycles(dut, 10)
    assert sink.items == []
    assert source.sent == 800


@cocotb.test()
async def no_stall_is_full_rate(dut):
    source = streams.Source(dut, "i")
    sink = streams.Sink(dut, "o")
    await streams.start(dut)
    source.put(range(100))
    cycles = 0
    while len(sink.items) < 100:
        await streams.cycles(dut)
        cycles += 1
    assert cycles < 110
    assert sink.items == list(range(100))


@cocotb.test(skip=not bench.parameters().get("fail"))
async def fails_on_purpose(dut):
    raise AssertionError("on purpose")
