"""A tensor core against Python integers: random positions, bubbles, banks and tiles."""

import cocotb
from cocotb.triggers import RisingEdge

from isa.config import LANES, TREES, Config
from verif import bench, seeds
from verif.streams import start
from verif.tensor import exact

NAN = {0: 0x7F, 1: 0x7E}
INFINITY = {0: 0x7F, 1: 0x7C}  # E4M3 has none: NaN again


class Model:
    """The accumulators: (bank, position) to a list of [sum, poison] by tree."""

    def __init__(self, config: Config):
        self.config = config
        self.accumulators = {}

    def word(self, table, tile, word, address, first):
        old = self.accumulators.get(address)
        new = []
        for tree, row in enumerate(tile):
            total, poison = exact.dot(table, row, word)
            if not first:
                total += old[tree][0]
                poison = poison or old[tree][1]
            new.append((total, poison))
        self.accumulators[address] = new


class Driver:
    """Gives a word or a bubble each cycle, reads accumulators meanwhile and checks them."""

    def __init__(self, dut, config: Config, rng):
        self.dut = dut
        self.config = config
        self.rng = rng
        self.model = Model(config)
        self.pending = []  # words by the cycle, None for bubbles, newest last
        self.read = None  # what the accumulators read in the last cycle held
        self.checked = 0
        self.tile = [bytes(LANES)] * TREES
        self.table = None

    def formats(self, s_format: int, m_format: int):
        self.dut.s_format.value, self.dut.m_format.value = s_format, m_format
        self.table = exact.products(s_format, m_format, self.config.lowest_exponent)

    def load(self, tile):
        self.tile = tile
        self.dut.tile.value = int.from_bytes(b"".join(tile), "little")

    async def cycle(self, word=None, address=(0, 0), first=0, read=None):
        """One cycle: `word` None is a bubble, `read` None reads anything."""
        dut, model = self.dut, self.model
        dut.valid.value = word is not None
        garbage = int(self.rng.integers(0, 1 << 63))
        dut.word.value = garbage if word is None else int.from_bytes(word, "little")
        dut.bank.value, dut.first.value = address[0], first
        read = read or self._anywhere()
        dut.position.value = address[1]
        dut.read_bank.value, dut.read_position.value = read
        item = None if word is None else (self.table, self.tile, word, address, first)
        self.pending.append(item)
        await RisingEdge(dut.clk)
        self._compare()
        # What is read in a cycle is what earlier cycles wrote.
        self.read = (read, model.accumulators.get(read))
        finished = len(self.pending) > self.config.tree_stages
        item = self.pending.pop(0) if finished else None
        assert int(dut.written.value) == (item is not None), "written at the wrong time"
        if item is not None:
            model.word(*item)

    def _anywhere(self):
        return int(self.rng.integers(2)), int(self.rng.integers(self.config.block))

    def _compare(self):
        if self.read is None or self.read[1] is None:
            return
        address, wanted = self.read
        poison = int(self.dut.poison.value)
        for tree, (total, poisoned) in enumerate(wanted):
            what = f"tree {tree} of {address}"
            assert poison >> tree & 1 == poisoned, f"{what}: poison is {poison >> tree & 1}"
            if not poisoned:
                seen = exact.wrapped(int(getattr(self.dut, f"sums__{tree}").value), self.config)
                want = exact.wrapped(total, self.config)
                assert seen == want, f"{what}: {seen:#x}, expected {want:#x}"
        self.checked += 1

    async def flush(self):
        """Bubbles until everything is written."""
        for _ in range(self.config.tree_stages + 1):
            await self.cycle()


async def _begin(dut):
    config = Config(**bench.parameters()["config"])
    for port in ("valid", "first", "bank", "read_bank"):
        getattr(dut, port).value = 0
    await start(dut)
    return Driver(dut, config, seeds.generator("core"))


def random_codes(rng, special: float) -> bytes:
    """A row of codes, zeros and NaN among them."""
    codes = rng.integers(0, 256, LANES)
    codes[codes & 0x7F >= 0x7C] ^= 0x40  # no NaN and no infinity of either format
    codes[rng.random(LANES) < 0.2] &= 0x80
    codes[rng.random(LANES) < special] = rng.choice([0x7F, 0xFF, 0x7E, 0x7C, 0xFC])
    return codes.astype("uint8").tobytes()


@cocotb.test()
async def random_words(dut):
    driver = await _begin(dut)
    config, rng = driver.config, driver.rng
    cycles = bench.parameters()["cycles"]
    for formats in exact.pairs(config.mode):
        await driver.flush()
        driver.formats(*formats)
        near = 0
        for _ in range(cycles):
            if rng.random() < 0.1:
                driver.load([random_codes(rng, 0.002) for _ in range(TREES)])
            # Runs at one position, steps to the next one, and jumps.
            near = [near, near, near + 1, int(rng.integers(config.block))][rng.integers(4)]
            address = int(rng.random() < 0.2), near % config.block
            fresh = not any(item and item[3] == address for item in driver.pending)
            first = rng.random() < 0.1 or (fresh and address not in driver.model.accumulators)
            word = random_codes(rng, 0.002) if rng.random() < 0.8 else None
            read = address if rng.random() < 0.5 else None
            await driver.cycle(word, address, int(first), read)
    await driver.flush()
    assert driver.checked > cycles // 4


@cocotb.test()
async def same_position_every_cycle(dut):
    """The accumulator is right after every word of an unbroken run, and after `first` in it."""
    driver = await _begin(dut)
    config, rng = driver.config, driver.rng
    driver.formats(*exact.pairs(config.mode)[-1])
    driver.load([random_codes(rng, 0) for _ in range(TREES)])
    address = (1, config.block - 1)
    for index in range(200):
        await driver.cycle(random_codes(rng, 0), address, int(index % 50 == 0), address)
    await driver.flush()
    assert driver.checked >= 190


@cocotb.test()
async def zero_wins_and_poison(dut):
    driver = await _begin(dut)
    config = driver.config
    for s_format, m_format in exact.pairs(config.mode):
        await driver.flush()
        driver.formats(s_format, m_format)
        one = {0: 0x38, 1: 0x3C}
        rows = [bytes([code] + [one[s_format]] * 7) for code in
                (0x00, 0x80, NAN[s_format], NAN[s_format] | 0x80, INFINITY[s_format],
                 one[s_format], 0x01, 0x81)]
        driver.load(rows)
        for code in (NAN[m_format], NAN[m_format] | 0x80, INFINITY[m_format], 0x00, 0x80,
                     one[m_format]):
            word = bytes([code] + [one[m_format]] * 7)
            await driver.cycle(word, (0, 0), 1)
            await driver.flush()
            await driver.cycle(read=(0, 0))
            await driver.cycle(bytes([one[m_format]] * LANES), (0, 0), 0)  # poison stays
            await driver.flush()
            await driver.cycle(read=(0, 0))
            accumulators = driver.model.accumulators[0, 0]
            assert not accumulators[0][1] or code & 0x7F, "0 x NaN poisoned in the model itself"
            await driver.cycle(bytes(LANES), (0, 0), 1)  # a new sum is clean
            await driver.flush()
            await driver.cycle(read=(0, 0))
    assert driver.checked > 10
