"""Which tiles are known to be zero, against the set of those that came before."""

from itertools import product

import cocotb

from hdl.streams.walker import origin_layout
from hdl.tensor.tiles.zero_tiles import DEPTH, OUTER
from isa.registers import BLOCKS, REDUCTION
from verif import seeds, streams

LOOPS = (*REDUCTION, *BLOCKS)
DRAW = seeds.stdlib("zero tiles")


def nest(counts, repeats):
    """Origins in order, with their tile, whether it is zero and known to be."""
    zero, seen, number = {}, set(), 0
    before = None
    for index in product(*(range(count) for count in reversed(counts))):
        index = index[::-1]
        if before is not None:
            moved = max(i for i in range(OUTER) if index[i] != before[i])
            if any(repeats[:moved]) or repeats[moved]:
                number = 0
                first = repeats.index(True)
                outside = [i for i in range(first, moved) if counts[i] > 1 and not repeats[i]]
                if outside or not repeats[moved]:
                    seen.clear()
        before = index
        tile = tuple(i for i, again in zip(index, repeats, strict=True) if not again)
        dead = zero.setdefault(tile, DRAW.random() < 0.6)
        ends = [index[i] == counts[i] - 1 for i in range(OUTER)]
        last = sum(all(ends[:i + 1]) << i for i in range(OUTER))
        known = dead and tile in seen and number < DEPTH
        yield {"address": hash(tile) % 1000, "row": 1, "column": 2, "last": last}, dead, known
        seen.add(tile)
        number += 1


async def follow(dut, source, counts, repeats, patience):
    """Gives the origins, and reads each tile some cycles after it was marked."""
    first = len(REDUCTION)
    dut.repeats.value = sum(again << i for i, again in enumerate(repeats[first:]))
    dut.moves.value = sum((counts[first + i] > 1 and not again) << i
                          for i, again in enumerate(repeats[first:]))
    items = list(nest(counts, repeats))
    source.stall = DRAW.choice([0, 0.5])
    source.put(item for item, *_ in items)
    begun = read = known = 0
    while read < len(items):
        room = begun - read < 5
        dut.marked__ready.value = int(room)
        finds = begun > read and DRAW.random() < patience
        dut.found.value = int(finds)
        if finds:
            origin, dead, _ = items[read]
            dut.zero.value, dut.last.value = int(dead), origin["last"]
        await streams.cycles(dut)
        if room and dut.marked__valid.value:
            seen = streams.unpack(origin_layout(OUTER + 1), streams.read(dut.marked__payload))
            origin, _, wanted = items[begun]
            assert seen == origin | {"last": origin["last"] | wanted << OUTER}, (begun, counts)
            begun += 1
            known += wanted
        read += finds
    dut.found.value = dut.marked__ready.value = 0
    dut.clear.value = 1
    await streams.cycles(dut)
    dut.clear.value = 0
    return known


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def random_nests(dut):
    for name in ("clear", "found", "zero", "last", "repeats", "moves"):
        getattr(dut, name).value = 0
    dut.enable.value = 1
    await streams.start(dut)
    source = streams.Source(dut, "origins", origin_layout(OUTER))
    known = 0
    for number in range(40):
        counts = [DRAW.choice([1, 1, 2, 3]) for _ in LOOPS]
        repeats = [False] * len(REDUCTION) + [
            count > 1 and DRAW.random() < 0.5 for count in counts[len(REDUCTION):]]
        known += await follow(dut, source, counts, repeats, DRAW.choice([1, 0.6, 0.2]))
        if number == 0:  # more than are remembered
            counts = [40, 28, 1, 1, 1, 2, 1, 1, 1]
            assert await follow(dut, source, counts, [i == len(REDUCTION) for i in range(OUTER)], 1)
    assert known > 100


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def not_enabled(dut):
    """Nothing is known, and nothing waits."""
    for name in ("clear", "found", "enable"):
        getattr(dut, name).value = 0
    dut.repeats.value, dut.moves.value = 1, 0
    dut.zero.value = 1
    await streams.start(dut)
    source = streams.Source(dut, "origins", origin_layout(OUTER))
    sink = streams.Sink(dut, "marked", origin_layout(OUTER + 1))
    repeats = [i == len(REDUCTION) for i in range(OUTER)]
    items = [item for item, *_ in nest([2, 2, 1, 1, 1, 4, 1, 1, 1], repeats)]
    source.put(items)
    assert await sink.receive(len(items)) == items
