"""The walker against nested loops."""

from itertools import product

import cocotb

from hdl.streams.walker import WINDOW_LAYOUT, Walker
from isa.registers import ADDRESS_BITS, COORDINATE_BITS, STRIDE_BITS
from verif import bench, seeds, streams

GIVEN = bench.parameters()
LOOPS, BOUNDED = GIVEN["loops"], GIVEN["bounded"]
MEMBERS = Walker(loops=LOOPS, bounded=BOUNDED).signature.members
ITEM = streams.shape_of(MEMBERS["items"].signature)
DRAW = seeds.stdlib("walker")


def signed(bits):
    return DRAW.randrange(-(1 << bits - 1), 1 << bits - 1)


class Nest:
    """Random inputs of a walker."""

    def __init__(self, most=60):
        self.counts = dict.fromkeys(LOOPS, 1)
        for loop in DRAW.sample(LOOPS, len(LOOPS)):
            room = most
            for count in self.counts.values():
                room //= count
            self.counts[loop] = DRAW.randint(1, max(1, min(room, 5)))
        near = DRAW.random() < 0.7
        place = 3 if near else COORDINATE_BITS
        self.steps = {loop: {"stride": signed(STRIDE_BITS),
                             **({"dy": signed(place), "dx": signed(place)} if BOUNDED else {})}
                      for loop in LOOPS}
        self.base = DRAW.getrandbits(ADDRESS_BITS)
        self.window = {"y": signed(place), "x": signed(place),
                       "height": DRAW.getrandbits(4 if near else 12),
                       "width": DRAW.getrandbits(4 if near else 12)}

    def drive(self, dut):
        dut.counts.value = streams.pack(MEMBERS["counts"].shape, self.counts)
        dut.steps.value = streams.pack(MEMBERS["steps"].shape, self.steps)
        dut.base.value = self.base
        if BOUNDED:
            dut.window.value = streams.pack(WINDOW_LAYOUT, self.window)

    def items(self):
        """By definition: every index, outermost loop slowest."""
        given = []
        for index in product(*(range(self.counts[loop]) for loop in reversed(LOOPS))):
            index = dict(zip(reversed(LOOPS), index, strict=True))

            def total(field, index=index):
                return sum(i * self.steps[loop][field] for loop, i in index.items())

            inside = True
            if BOUNDED:
                row = self.window["y"] + total("dy")
                column = self.window["x"] + total("dx")
                inside = (0 <= row < self.window["height"]
                          and 0 <= column < self.window["width"])
            last, flag = 0, True
            for i, loop in enumerate(LOOPS):
                flag = flag and index[loop] == self.counts[loop] - 1
                last |= flag << i
            given.append({"address": (self.base + total("stride")) % (1 << ADDRESS_BITS),
                          "inside": int(inside), "last": last})
        return given


async def pulse(dut, handle):
    handle.value = 1
    await streams.cycles(dut)
    handle.value = 0


async def begin(dut):
    dut.start.value = 0
    dut.stop.value = 0
    await streams.start(dut)
    sink = streams.Sink(dut, "items", ITEM)
    await streams.cycles(dut)
    return sink


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def random_nests(dut):
    sink = await begin(dut)
    for _ in range(60):
        sink.stall = DRAW.choice([0, 0, 0.3, 0.8])
        nest = Nest()
        nest.drive(dut)
        await pulse(dut, dut.start)
        expected = nest.items()
        assert await sink.receive(len(expected)) == expected
        await streams.cycles(dut, DRAW.randrange(4))
        assert not sink.items, "an item after the last"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def full_rate(dut):
    sink = await begin(dut)
    sink.stall = 0
    await streams.cycles(dut, 2)
    for _ in range(5):
        nest = Nest()
        nest.drive(dut)
        await pulse(dut, dut.start)
        expected = nest.items()
        await streams.cycles(dut, len(expected) + 1)
        assert sink.items == expected
        sink.items = []


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def stops(dut):
    sink = await begin(dut)
    for _ in range(10):
        nest = Nest(most=200)
        nest.drive(dut)
        await pulse(dut, dut.start)
        await streams.cycles(dut, DRAW.randrange(8))
        await pulse(dut, dut.stop)
        await streams.cycles(dut, 2)
        sink.items = []
        await streams.cycles(dut, 5)
        assert not sink.items
        nest = Nest()
        nest.drive(dut)
        await pulse(dut, dut.start)
        expected = nest.items()
        assert await sink.receive(len(expected)) == expected
