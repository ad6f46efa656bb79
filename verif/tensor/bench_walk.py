"""Inner loops from given origins, against nested loops."""

from itertools import product

import cocotb

from hdl.streams.walk import Walk
from hdl.streams.walker import PLACE_BITS, WINDOW_LAYOUT
from isa.registers import ADDRESS_BITS, STRIDE_BITS
from verif import bench, seeds, streams

GIVEN = bench.parameters()
LOOPS, OUTER = GIVEN["loops"], GIVEN["outer"]
MEMBERS = Walk(loops=LOOPS, outer=OUTER).signature.members
ORIGIN, ITEM = (streams.shape_of(MEMBERS[name].signature) for name in ("origins", "items"))
DRAW = seeds.stdlib("walk")


def signed(bits):
    return DRAW.randrange(-(1 << bits - 1), 1 << bits - 1)


class Nest:
    """Random counts, steps and origins."""

    def __init__(self, dut):
        self.counts = {loop: DRAW.randint(1, 4) for loop in LOOPS}
        self.steps = {loop: {"stride": signed(STRIDE_BITS), "dy": signed(3), "dx": signed(3)}
                      for loop in LOOPS}
        self.window = {"y": signed(12), "x": signed(12), "height": DRAW.randrange(16),
                       "width": DRAW.randrange(16)}  # its y and x do not matter
        self.origins = [{"address": DRAW.getrandbits(ADDRESS_BITS),
                         "row": signed(4) % (1 << PLACE_BITS),
                         "column": signed(4) % (1 << PLACE_BITS),
                         "last": DRAW.getrandbits(OUTER)} for _ in range(DRAW.randint(1, 6))]
        for name, shape in (("counts", MEMBERS["counts"].shape), ("steps", MEMBERS["steps"].shape),
                            ("window", WINDOW_LAYOUT)):
            getattr(dut, name).value = streams.pack(shape, getattr(self, name))

    def items(self):
        given = []
        for origin in self.origins:
            for index in product(*(range(self.counts[loop]) for loop in reversed(LOOPS))):
                index = dict(zip(reversed(LOOPS), index, strict=True))
                address, row, column = (
                    origin[name] + sum(i * self.steps[loop][step] for loop, i in index.items())
                    for name, step in (("address", "stride"), ("row", "dy"), ("column", "dx")))
                last, flag = 0, True
                for i, loop in enumerate(LOOPS):
                    flag = flag and index[loop] == self.counts[loop] - 1
                    last |= flag << i
                given.append({
                    "address": address % (1 << ADDRESS_BITS),
                    "inside": int(row % (1 << PLACE_BITS) < self.window["height"]
                                  and column % (1 << PLACE_BITS) < self.window["width"]),
                    "last": last | (origin["last"] << len(LOOPS) if flag else 0)})
        return given


async def begin(dut):
    dut.clear.value = dut.single.value = 0
    await streams.start(dut)
    return streams.Source(dut, "origins", ORIGIN), streams.Sink(dut, "items", ITEM)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def random_nests(dut):
    source, sink = await begin(dut)
    for _ in range(80):
        source.stall, sink.stall = DRAW.choice([0, 0.5]), DRAW.choice([0, 0, 0.3, 0.8])
        nest = Nest(dut)
        source.put(nest.origins)
        expected = nest.items()
        assert await sink.receive(len(expected)) == expected
        await streams.cycles(dut, DRAW.randrange(4))
        assert not sink.items, "an item after the last"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def full_rate(dut):
    """An item a cycle, across origins, from the cycle in which the first is there."""
    source, sink = await begin(dut)
    await streams.cycles(dut, 2)
    for _ in range(10):
        nest = Nest(dut)
        source.put(nest.origins)
        expected = nest.items()
        await streams.cycles(dut, len(expected) + 1)
        assert sink.items == expected
        sink.items = []


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def single(dut):
    """One item, outside, with all flags; the next origin has all of its items."""
    source, sink = await begin(dut)
    for _ in range(20):
        sink.stall = DRAW.choice([0, 0.5])
        nest = Nest(dut)
        dut.single.value = 1
        source.put(nest.origins)
        for item, origin in zip(await sink.receive(len(nest.origins)), nest.origins, strict=True):
            assert not item["inside"]
            assert item["last"] == (1 << len(LOOPS)) - 1 | origin["last"] << len(LOOPS)
        dut.single.value = 0
        source.put(nest.origins)
        expected = nest.items()
        assert await sink.receive(len(expected)) == expected


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def clears(dut):
    """What was left of an origin is forgotten."""
    source, sink = await begin(dut)
    for _ in range(20):
        nest = Nest(dut)
        nest.origins = nest.origins[:1]
        source.put(nest.origins)
        await source.drain()
        await streams.cycles(dut, DRAW.randrange(6))
        dut.clear.value = 1
        await streams.cycles(dut, 2)
        sink.items = []
        await streams.cycles(dut, 2)
        assert not sink.items
        dut.clear.value = 0
        nest = Nest(dut)
        source.put(nest.origins)
        expected = nest.items()
        assert await sink.receive(len(expected)) == expected
