"""A skipping core against Python integers: each tree its own words, positions and bubbles, each
lane its own pick of the tiles."""

import cocotb
from cocotb.triggers import RisingEdge

from isa.config import LANES, TREES, Config
from verif import bench, seeds
from verif.streams import start
from verif.tensor import exact
from verif.tensor.bench_core import random_codes

GIVEN = bench.parameters()
CONFIG = Config(**GIVEN["config"])
DRAW = seeds.generator("skipping core")


class Driver:
    """Gives every tree a word or a bubble each cycle, reads accumulators meanwhile and checks
    them."""

    def __init__(self, dut):
        self.dut = dut
        self.accumulators = {}  # (tree, bank, position) to (sum, poison)
        self.pending = []  # by cycle: by tree what is added, newest last
        self.read = None
        self.checked = self.shared = 0

    def formats(self, s_format, m_format):
        self.dut.s_format.value, self.dut.m_format.value = s_format, m_format
        self.table = exact.products(s_format, m_format, CONFIG.lowest_exponent)

    def load(self, tiles):
        self.tiles = tiles
        for d, tile in enumerate(tiles):
            for tree, row in enumerate(tile):
                getattr(self.dut, f"tile__{d}__{tree}").value = int.from_bytes(row, "little")

    def pick(self, words, offsets):
        """Sets the pick; the codes by tree that the next cycle multiplies."""
        for name, numbers, most in (("pick_word", words, CONFIG.slot - 1),
                                    ("pick_offset", offsets, CONFIG.reach)):
            for i in range(most.bit_length()):
                getattr(self.dut, f"{name}__{i}").value = sum(
                    (number >> i & 1) << lane for lane, number in enumerate(numbers))
        return [bytes(self.tiles[d][tree][(lane - offset) % LANES]
                      for lane, (d, offset) in enumerate(zip(words, offsets, strict=True)))
                for tree in range(TREES)]

    async def cycle(self, codes, words, bank, positions, first, read):
        """One cycle of words by tree, None for bubbles, that meet `codes`."""
        dut = self.dut
        dut.valid.value = sum((word is not None) << tree for tree, word in enumerate(words))
        dut.bank.value, dut.first.value = bank, first
        added = {}
        for tree, word in enumerate(words):
            getattr(dut, f"position__{tree}").value = positions[tree]
            getattr(dut, f"word__{tree}").value = int.from_bytes(
                word or DRAW.bytes(LANES), "little")
            if word is not None:
                added[tree, bank, positions[tree]] = (codes[tree], word, first, self.table)
        dut.read_bank.value, dut.read_position.value = read
        self.pending.append(added)
        await RisingEdge(dut.clk)
        self._compare()
        self.read = read, {tree: self.accumulators.get((tree, *read)) for tree in range(TREES)}
        finished = self.pending.pop(0) if len(self.pending) > CONFIG.tree_stages else {}
        assert int(dut.written.value) == sum(1 << tree for tree, _, _ in finished)
        self.shared += 1 < len(finished) < TREES
        for address, (row, word, fresh, table) in finished.items():
            total, poison = exact.dot(table, row, word)
            if not fresh:
                before, poisoned = self.accumulators[address]
                total, poison = total + before, poison or poisoned
            self.accumulators[address] = total, poison

    def _compare(self):
        address, wanted = self.read or ((0, 0), {})
        poison = int(self.dut.poison.value) if wanted else 0
        for tree, value in wanted.items():
            if value is None:
                continue
            total, poisoned = value
            assert poison >> tree & 1 == poisoned, f"tree {tree} of {address}: poison"
            if not poisoned:
                seen = exact.wrapped(int(getattr(self.dut, f"sums__{tree}").value), CONFIG)
                want = exact.wrapped(total, CONFIG)
                assert seen == want, f"tree {tree} of {address}: {seen:#x}, expected {want:#x}"
            self.checked += 1

    def known(self, tree, address):
        return (tree, *address) in self.accumulators or any(
            (tree, *address) in added for added in self.pending)


@cocotb.test()
async def random_words(dut):
    for port in ("valid", "first", "bank", "read_bank"):
        getattr(dut, port).value = 0
    await start(dut)
    driver = Driver(dut)
    idle = [None] * TREES
    for formats in exact.pairs(CONFIG.mode):
        for _ in range(CONFIG.tree_stages + 2):
            await driver.cycle(idle, idle, 0, [0] * TREES, 0, (0, 0))
        driver.formats(*formats)
        codes = idle
        for _ in range(GIVEN["cycles"]):
            bank = int(DRAW.random() < 0.2)
            near = int(DRAW.integers(CONFIG.block))
            positions = [near if DRAW.random() < 0.5 else int(DRAW.integers(CONFIG.block))
                         for _ in range(TREES)]
            first = int(DRAW.random() < 0.2)
            words = [random_codes(DRAW, 0.002) if codes[tree] is not None
                     and DRAW.random() < 0.8
                     and (first or driver.known(tree, (bank, positions[tree]))) else None
                     for tree in range(TREES)]
            if DRAW.random() < 0.1 or codes[0] is None:
                driver.load([[random_codes(DRAW, 0.002) for _ in range(TREES)]
                             for _ in range(CONFIG.slot)])
            following = driver.pick([int(DRAW.integers(CONFIG.slot)) for _ in range(LANES)],
                                    [int(DRAW.integers(CONFIG.reach + 1)) for _ in range(LANES)])
            read = (bank, near) if DRAW.random() < 0.5 else (
                int(DRAW.integers(2)), int(DRAW.integers(CONFIG.block)))
            await driver.cycle(codes, words, bank, positions, first, read)
            codes = following
    assert driver.checked > GIVEN["cycles"]
    assert driver.shared
