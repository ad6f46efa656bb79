"""Which passes go on to stream and sequencer, against a list of what was found."""

import cocotb

from hdl.streams.walker import origin_layout
from hdl.tensor.feed.passes import PASS
from verif import bench, seeds, streams

OUTER = bench.parameters()["outer"]
DRAW = seeds.stdlib("passes")
TEST = {"timeout_time": 1, "timeout_unit": "ms"}


def draw_passes(count, density):
    """Passes of blocks of random length."""
    passes = [{"zero": DRAW.random() >= density, "block_last": DRAW.random() < 0.3, "last": False}
              for _ in range(count)]
    passes[-1].update(block_last=True, last=True)
    return passes


def events(taken):
    """Passes that are done, and ends of blocks."""
    for item in taken:
        if item["live"]:
            yield "pass"
        if item["block_last"]:
            yield "last" if item["last"] else "end"


def expected(passes, droppable):
    for item in passes:
        if not (item["zero"] and droppable):
            yield "pass"
        if item["block_last"]:
            yield "last" if item["last"] else "end"


async def begin(dut):
    for name in ("clear", "found", "queued", "droppable", "known"):
        getattr(dut, name).value = 0
    await streams.start(dut)
    dut.known.value = 1
    return (streams.Source(dut, "origins", origin_layout(OUTER)),
            streams.Sink(dut, "begins", origin_layout(OUTER)), streams.Sink(dut, "passes", PASS))


async def give(dut, passes, wait):
    """Finds the tiles of all passes; they are there until they are kept, dropped or swapped in.
    Gives how often tiles were swapped in."""
    swaps = 0
    queued = dut.queued.value
    for item in passes:
        while DRAW.random() < wait:
            await streams.cycles(dut)
            swaps += int(dut.swap.value)
            assert not dut.push.value and not dut.drop.value
        dut.found.value = 1
        for name, value in item.items():
            getattr(dut, name).value = int(value)
        while True:
            await streams.cycles(dut)
            swaps += int(dut.swap.value)
            kept, dropped = int(dut.push.value), int(dut.drop.value)
            assert not (kept and dropped)
            if kept or dropped:
                assert queued and dropped == (item["zero"] and int(dut.droppable.value))
            if kept or dropped or (not queued and dut.swap.value):
                break
        dut.found.value = 0
    for _ in range(300):  # until what waits was taken, however slowly
        await streams.cycles(dut)
        swaps += int(dut.swap.value)
    return swaps


@cocotb.test(**TEST)
async def random_passes(dut):
    source, begins, taken = await begin(dut)
    for number in range(60):
        dut.queued.value = int(number % 4 > 0)
        droppable = number % 4 > 1
        dut.droppable.value = int(droppable)
        source.stall, begins.stall, taken.stall = (DRAW.choice([0, 0.3, 0.8]) for _ in range(3))
        passes = draw_passes(DRAW.randint(1, 30), DRAW.choice([0, 0.2, 0.6, 1]))
        origins = [{"address": i, "row": DRAW.getrandbits(16), "column": i, "last": 0}
                   for i in range(len(passes))]
        source.put(origins)
        await streams.cycles(dut, 2)
        swaps = await give(dut, passes, DRAW.choice([0, 0.5]))
        live = [not (item["zero"] and droppable) for item in passes]
        wanted = [origin for origin, alive in zip(origins, live, strict=True) if alive]
        assert await begins.receive(len(wanted)) == wanted
        assert list(events(taken.items)) == list(expected(passes, droppable))
        assert swaps == sum(live)
        assert not begins.items
        taken.items = []


@cocotb.test(**TEST)
async def waits_until_it_can_count(dut):
    source, begins, taken = await begin(dut)
    dut.queued.value, dut.known.value = 1, 0
    source.put([{"address": 1}])
    dut.found.value = 1
    for _ in range(6):
        await streams.cycles(dut)
        assert not dut.push.value and not dut.drop.value
    dut.known.value = 1
    await streams.cycles(dut)
    assert dut.push.value
    dut.found.value = 0
    await streams.cycles(dut, 4)
    assert len(begins.items) == len(taken.items) == 1


@cocotb.test(**TEST)
async def clears(dut):
    """What waits is forgotten."""
    source, begins, taken = await begin(dut)
    dut.queued.value = 1
    begins.stall = taken.stall = 1
    await streams.cycles(dut, 2)
    source.put([{"address": 1}])
    dut.found.value = dut.block_last.value = 1
    await streams.cycles(dut, 3)
    dut.found.value = 0
    assert dut.passes__valid.value and dut.begins__valid.value
    dut.clear.value = 1
    await streams.cycles(dut)
    dut.clear.value = 0
    await streams.cycles(dut)
    assert not dut.passes__valid.value and not dut.begins__valid.value
