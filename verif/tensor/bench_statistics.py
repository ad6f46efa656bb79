"""The sums over the outputs against Python integers: all pairs of codes, and long random runs."""

import cocotb
from cocotb.triggers import RisingEdge

from isa.config import TREES, Config
from verif import bench, seeds, streams
from verif.tensor import exact

CONFIG = Config(**bench.parameters()["config"])
LOWEST = CONFIG.lowest_exponent
ONE = 0x38  # of E4M3
E4M3 = 0
SQUARE, NORM = 0, 1
CASES = [(kind, a) for a, b in exact.pairs(CONFIG.mode)
         for kind in (SQUARE, NORM) if b == (a if kind == SQUARE else E4M3)]


class Driver:
    """Gives words, and keeps what the sums must be: by core, moment and tree."""

    def __init__(self, dut):
        self.dut = dut
        self.edge = RisingEdge(dut.clk)
        self.sums = {}
        self.case = None

    def set(self, kind, format_):
        self.case = kind, format_
        self.dut.by_norm.value, self.dut.format.value = kind, format_
        other = format_ if kind == SQUARE else E4M3
        self.tables = (exact.products(format_, E4M3, LOWEST),
                       exact.products(format_, other, LOWEST))

    async def cycle(self, core=0, codes=None, norms=bytes(TREES), begin=0):
        dut = self.dut
        dut.core.value, dut.restart.value, dut.valid.value = core, begin, codes is not None
        if codes is not None:
            dut.word.value = int.from_bytes(codes, "little")
            dut.norm.value = int.from_bytes(norms, "little")
            others = codes if self.case[0] == SQUARE else norms
            for tree in range(TREES):
                for moment, other in enumerate((ONE, others[tree])):
                    product = self.tables[moment][codes[tree]][other]
                    total, poison = self.sums[core][moment][tree]
                    self.sums[core][moment][tree] = (total + (product or 0),
                                                     poison or product is None)
        if begin:
            self.sums[core] = [[(0, False)] * TREES for _ in range(2)]
        await self.edge
        dut.valid.value = dut.restart.value = 0

    async def check(self, core, moments=(0, 1)):
        """Looks at all sums of `core`."""
        dut = self.dut
        dut.core.value = core
        await self.edge  # the last word is on its way
        for moment in moments:
            for tree in range(TREES):
                dut.moment.value, dut.tree.value = moment, tree
                await self.edge
                total, poison = self.sums[core][moment][tree]
                what = f"case {self.case}, core {core}, moment {moment}, tree {tree}"
                assert int(dut.poison.value) == poison, what
                if not poison:
                    seen = exact.wrapped(int(dut.sum.value), CONFIG)
                    assert seen == exact.wrapped(total, CONFIG), what


async def begin(dut):
    dut.valid.value = dut.restart.value = dut.core.value = 0
    await streams.start(dut)
    return Driver(dut)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def all_pairs(dut):
    driver = await begin(dut)
    for kind, format_ in CASES:
        driver.set(kind, format_)
        for code in range(256):
            for other in range(0, 256 if kind == NORM else TREES, TREES):
                codes = bytes([code] * TREES) if kind == NORM else bytes(
                    (code + i) % 256 for i in range(TREES))
                await driver.cycle(begin=1)
                await driver.cycle(0, codes, bytes(range(other, other + TREES)))
                await driver.check(0, (0, 1) if other == 0 else (1,))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def random_runs(dut):
    """Words of any core in any cycle; some sums pass the end of the range."""
    draw = seeds.stdlib("statistics")
    driver = await begin(dut)
    for number in range(6 * len(CASES)):
        driver.set(*CASES[number % len(CASES)])
        for core in range(CONFIG.cores):
            await driver.cycle(core, begin=1)
        largest = 0xFB if driver.case[1] else 0xFE
        for _ in range(300):
            codes, norms = (bytes(draw.choice((0, 0x80, largest & 0x7F, draw.randrange(0x78)))
                                  for _ in range(TREES)) for _ in range(2))
            if draw.random() < 0.005:
                codes = bytes([draw.choice((0x7F, 0xFF))]) + codes[1:]
            await driver.cycle(draw.randrange(CONFIG.cores),
                               codes if draw.random() < 0.9 else None, norms)
        for core in range(CONFIG.cores):
            await driver.check(core)
