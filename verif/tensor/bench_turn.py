"""The corner turn against its definition."""

import cocotb
from cocotb.triggers import with_timeout

from hdl.streams.turn import turn_layout
from verif import bench, seeds, streams

GIVEN = bench.parameters()
BITS, LAST = GIVEN["element_bits"], GIVEN["last_bits"]
LAYOUT = turn_layout(BITS, LAST)
END = 1 << LAST - 1
DRAW = seeds.stdlib("turn")


async def begin(dut, enable=1):
    dut.enable.value = enable
    dut.clear.value = 0
    await streams.start(dut)
    return streams.Source(dut, "words", LAYOUT), streams.Sink(dut, "turned", LAYOUT)


def draw_groups(count):
    """The last group has the flag with which it may leave alone."""
    words = []
    for group in range(count):
        for i in range(8):
            last = 0
            if i == 7:
                last = END if group == count - 1 else DRAW.getrandbits(LAST)
            words.append({"elements": [DRAW.getrandbits(BITS) for _ in range(8)], "last": last})
    return words


def turned(words):
    given = []
    for first in range(0, len(words), 8):
        group = words[first:first + 8]
        given += [{"elements": [word["elements"][j] for word in group], "last": group[j]["last"]}
                  for j in range(8)]
    return given


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def random_groups(dut):
    source, sink = await begin(dut)
    for _ in range(20):
        source.stall, sink.stall = (DRAW.choice([0, 0.3, 0.8]) for _ in range(2))
        words = draw_groups(DRAW.randint(1, 4))
        source.put(words)
        assert await sink.receive(len(words)) == turned(words)
        await streams.cycles(dut, DRAW.randrange(3))
        assert not sink.items


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def back_to_back(dut):
    source, sink = await begin(dut)
    words = [word for _ in range(15) for word in draw_groups(DRAW.randint(1, 3))]
    source.put(words)
    assert await sink.receive(len(words)) == turned(words)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def full_rate(dut):
    source, sink = await begin(dut)
    words = draw_groups(12)
    await streams.cycles(dut, 2)
    source.put(words)
    result = await with_timeout(sink.receive(96), (96 + 8 + 4) * streams.PERIOD_NS, "ns")
    assert result == turned(words)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def off(dut):
    source, sink = await begin(dut, enable=0)
    source.stall = sink.stall = 0.4
    words = draw_groups(4)
    source.put(words)
    assert await sink.receive(len(words)) == words


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def clears(dut):
    source, sink = await begin(dut)
    for _ in range(10):
        sink.stall = 1.0
        await streams.cycles(dut)
        words = draw_groups(1)[:DRAW.randint(1, 8)]
        await source.send(words)
        dut.clear.value = 1
        await streams.cycles(dut)
        dut.clear.value = 0
        sink.stall = 0.0
        await streams.cycles(dut, 2)
        sink.items = []
        words = draw_groups(2)
        source.put(words)
        assert await sink.receive(16) == turned(words)
