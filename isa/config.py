"""The configuration of a chip: one frozen value, checked once, read by every other folder."""

from dataclasses import dataclass, replace

from isa.formats import E4M3, E5M2

TREES = 8  # outputs of a tile product; trees of a tensor core
LANES = 8  # products that a tree adds each cycle; elements of a word
WORD_BITS = 64
WORD_BYTES = WORD_BITS // 8

# Format mode: the most general pair of operand formats that a tree multiplies.
MODES = {
    "e4m3": (E4M3, E4M3),
    "mixed": (E4M3, E5M2),
    "e5m2": (E5M2, E5M2),
}


class ConfigError(ValueError):
    """A configuration that cannot be built. The message names the value and the rule."""


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ConfigError(what)


def _power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


@dataclass(frozen=True)
class Config:
    """Parameters of the generated chip.

    Parameters
    ----------
    name : str
        What reports call it.
    cores : int
        Tensor cores. A program makes groups of them: one stream a group, one stationary tile a
        core.
    block : int
        Positions that a core accumulates at once (P), a power of two.
    mode : str
        Operand formats of the trees: ``e4m3`` (E4M3 only), ``mixed`` (at most one operand is
        E5M2) or ``e5m2`` (any pair). It sets the lowest bit of the exact sum.
    accumulator_bits : int
        Width of the exact sum, a multiple of 8.
    tree_stages : int
        Pipeline registers inside a tree, 0 to 3.
    scratchpad_kib : int
        Size of the scratchpad.
    banks : int
        Scratchpad banks; consecutive words lie in consecutive banks.
    axi_words : int
        Words of a beat of the external memory port, which moves so many a cycle.
    slot : int
        Words that a core's ports read at once where it skips zero elements or dead outputs (D): 1,
        2, 4 or 8. With 1 it can leave out tiles only.
    reach : int
        Lanes beyond its own that may take an element of a slot, 0 to 3; 0 if `slot` is 1.
    vector_datapaths : int
        Whole datapaths of the vector unit. They work at the same time, on rounds of one loop of
        the same operation.
    """

    name: str = "small"
    cores: int = 1
    block: int = 32
    mode: str = "mixed"
    accumulator_bits: int = 72
    tree_stages: int = 2
    scratchpad_kib: int = 128
    banks: int = 16
    axi_words: int = 1
    slot: int = 1
    reach: int = 0
    vector_datapaths: int = 1

    def __post_init__(self):
        for name in ("cores", "block", "accumulator_bits", "tree_stages", "scratchpad_kib",
                     "banks", "axi_words", "slot", "reach", "vector_datapaths"):
            value = getattr(self, name)
            _require(type(value) is int, f"{name} = {value!r}: must be an integer")
        _require(self.mode in MODES, f"mode = {self.mode!r}: must be one of {', '.join(MODES)}")
        _require(self.cores in (1, 2, 4, 8), f"cores = {self.cores}: must be 1, 2, 4 or 8")
        _require(_power_of_two(self.block) and self.block <= 128,
                 f"block = {self.block}: must be a power of two from 1 to 128")
        _require(self.accumulator_bits % 8 == 0 and self.accumulator_bits <= 128,
                 f"accumulator_bits = {self.accumulator_bits}: must be a multiple of 8, "
                 f"at most 128")
        _require(self.max_passes >= 1,
                 f"accumulator_bits = {self.accumulator_bits}: mode {self.mode} needs at least "
                 f"{self.least_accumulator_bits} to hold the products of one pass")
        _require(0 <= self.tree_stages <= 3,
                 f"tree_stages = {self.tree_stages}: must be 0 to 3")
        _require(self.axi_words in (1, 2, 4), f"axi_words = {self.axi_words}: must be 1, 2 or 4")
        _require(self.slot in (1, 2, 4, 8), f"slot = {self.slot}: must be 1, 2, 4 or 8")
        _require(self.slot <= self.block,
                 f"slot = {self.slot}: must be at most block = {self.block}")
        _require(0 <= self.reach <= (3 if self.slot > 1 else 0),
                 f"reach = {self.reach}: must be 0 to 3, and 0 if slot is 1")
        _require(self.vector_datapaths in (1, 2, 4),
                 f"vector_datapaths = {self.vector_datapaths}: must be 1, 2 or 4")
        least = 2 * self.cores + 3 * self.vector_datapaths + 5
        _require(_power_of_two(self.banks) and self.banks >= least,
                 f"banks = {self.banks}: must be a power of two and at least 2 x cores + "
                 f"3 x vector_datapaths + 5 = {least}")
        _require(_power_of_two(self.scratchpad_kib) and self.scratchpad_kib <= 4096,
                 f"scratchpad_kib = {self.scratchpad_kib}: must be a power of two, at most 4096")
        _require(self.bank_words >= 2,
                 f"scratchpad_kib = {self.scratchpad_kib}: leaves a bank under two words")

    @property
    def words(self) -> int:
        """Words of the scratchpad."""
        return self.scratchpad_kib * 1024 // WORD_BYTES

    @property
    def bank_words(self) -> int:
        return self.words // self.banks

    @property
    def lowest_exponent(self) -> int:
        """Exponent of the accumulator's lowest bit: every product is a multiple of it."""
        a, b = MODES[self.mode]
        return a.lowest_exponent + b.lowest_exponent

    @property
    def max_product(self) -> int:
        """The largest product of two operands, in units of the accumulator's lowest bit."""
        a, b = MODES[self.mode]
        return int(a.max_value * b.max_value * 2.0 ** -self.lowest_exponent)

    @property
    def max_passes(self) -> int:
        """Passes (of 8 products each) that an accumulator holds whatever the operands."""
        return (2 ** (self.accumulator_bits - 1) - 1) // (LANES * self.max_product)

    @property
    def least_accumulator_bits(self) -> int:
        need = (LANES * self.max_product).bit_length() + 1
        return -(-need // 8) * 8

    @property
    def raw_words(self) -> int:
        """Words of one raw position: 8 trees' low 64 bits, then a word for each byte above."""
        return TREES + max(0, self.accumulator_bits - WORD_BITS) // 8

    @property
    def macs_per_cycle(self) -> int:
        return self.cores * TREES * LANES

    def with_(self, **changes) -> "Config":
        """A copy with some parameters changed, checked like any other."""
        return replace(self, **changes)


CONFIGS = {
    "small": Config(),
    "bench": Config(name="bench", cores=4, scratchpad_kib=1024, banks=32, axi_words=4,
                    vector_datapaths=2, slot=4, reach=2),
    "board": Config(name="board", block=16, accumulator_bits=64),  # small enough for an FPGA
}


def named(name: str) -> Config:
    """The configuration called `name`; `ConfigError` lists the names there are."""
    if name not in CONFIGS:
        raise ConfigError(f"configuration {name!r} is unknown: there are {', '.join(CONFIGS)}")
    return CONFIGS[name]
