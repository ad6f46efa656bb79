"""The registers of the units, one table: what `set` and `setr` write and a `run` reads.

A register holds up to 48 bits. A unit keeps two copies: `set` writes the next one, `run` makes it
the active one, so the registers of the next operation are written while the present one works.
Registers keep their values from one `run` to the next; `clear` returns a unit's to the defaults.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from isa.fields import Field, Kind, pack

REGISTER_BITS = 48
TAGS = 32  # counter groups that a tensor operation can be charged to
ADDRESS_BITS = 20  # scratchpad word addresses, with room to see those out of range
STRIDE_BITS = 20
INDEX_BITS = 32  # numbers of elements; 8 of them have a word number of 3 bits less
COORDINATE_BITS = 12
COUNT_BITS = 12
REDUCTION_BITS = {"r1": 10, "r4": 2}  # of counts that have fewer: all five are one register
BIN_BITS = 10  # of a size: the exponent of a binary32 number and the two bits below it
TALLY_BITS = 20  # of a count of a histogram

U, S, F = Kind.UNSIGNED, Kind.SIGNED, Kind.FLOAT


class Unit(IntEnum):
    TENSOR = 0
    VECTOR = 1
    MOVE = 2


# The loops of a tensor operation, innermost first.
ROWS = ("q0", "q1")  # the 8 words of a stationary tile
POSITIONS = ("p0", "p1", "p2")  # the positions of a block
REDUCTION = ("r0", "r1", "r2", "r3", "r4")  # the passes that a block adds up
BLOCKS = ("b0", "b1", "b2", "b3")  # the blocks of the operation
CORES = ("core",)  # the cores of a group: one stream, a tile each
GROUPS = ("group",)  # groups of cores: a stream each

# Which loops move which stream, innermost first.
TENSOR_STREAMS = {
    "stream": (*POSITIONS, *REDUCTION, *BLOCKS, *GROUPS),
    "stationary": (*ROWS, *CORES, *REDUCTION, *BLOCKS, *GROUPS),
    "output": (*POSITIONS, *CORES, *BLOCKS, *GROUPS),
    "aux": (*POSITIONS, *CORES, *BLOCKS, *GROUPS),
    "bias": (*CORES, *BLOCKS),
    "stats": (*CORES, *BLOCKS),
    "number": (*POSITIONS, *CORES, *BLOCKS, *GROUPS),
}
BOUNDED = ("stream", "stationary", "output")  # streams with rows and columns that are checked
# Streams with a base of their own and the steps of another.
BESIDE = {"mask": "aux", "norm": "aux", "gate": "output", "threshold": "bias"}

VECTOR_LOOPS = ("n0", "n1", "n2", "n3", "n4", "n5")
REDUCED = VECTOR_LOOPS[:2]  # the loops that a reduction runs over
VECTOR_INPUTS = ("x", "y", "z")
VECTOR_OUTPUTS = ("o0", "o1", "o2")


class AuxMode(IntEnum):
    """What the drain adds to the sum, exactly, before it is rounded."""

    NONE = 0
    RAW = 1  # raw_words words a position: a raw accumulator
    ELEMENT = 2  # one word a position: 8 elements in the format of the output


class StatsMode(IntEnum):
    """Which exact sums over the outputs of a channel the drain keeps."""

    NONE = 0
    SQUARE = 1  # of o, and of o * o
    NORM = 2  # of o, and of o * (element of norm, E4M3)


class Skip(IntFlag):
    """What a tensor operation leaves out; its results stay the same."""

    NONE = 0
    TILES = 1  # passes whose tiles are zero
    ELEMENTS = 2  # zero elements of the stream
    OUTPUTS = 4  # outputs whose mask element is zero


class Operand(IntEnum):
    """What a vector multiply-add takes as an operand."""

    ZERO = 0
    ONE = 1
    X = 2
    Y = 3
    Z = 4
    K0 = 5
    K1 = 6
    K2 = 7
    T = 8  # the result of the first multiply-add (second multiply-add only)


class Activation(IntEnum):
    NONE = 0
    RELU = 1  # u where u > 0 or u is NaN, else +0
    MASK = 2  # +0 where the element of z is zero, else u
    RECIPROCAL = 3  # a seed for 1 / u
    RSQRT = 4  # a seed for 1 / sqrt(u)
    EXP2 = 5  # 2 ** floor(u), to 1/64
    FLOOR = 6  # u cut down to a multiple of 1/64


class Reduce(IntEnum):
    """What happens over loops n0 and n1."""

    NONE = 0
    SUM = 1  # o2 takes 8 sums instead of elements
    MAX = 2  # o0, o1 and o2 take the largest, its x, and its number


@dataclass(frozen=True)
class Register:
    """One register: its `index` is what `set` and `setr` name in their 8-bit field."""

    name: str
    unit: Unit
    index: int
    fields: tuple[Field, ...]
    text: str

    @property
    def attribute(self) -> str:
        """The name as an identifier: ``tensor.stream.p0`` is ``stream_p0``."""
        return self.name.split(".", 1)[1].replace(".", "_")


_BASE = pack(("address", 32, U, 0, "word of the scratchpad"))
_NUMBER = pack(("word", INDEX_BITS, U, 0, "an eighth of the number of the first element"))


def _tensor():
    yield "positions", pack(*((p, COUNT_BITS, U, 1) for p in POSITIONS),
                            *((q, 4, U, d) for q, d in zip(ROWS, (8, 1), strict=True)),
                            ("cores", 4, U, 1)), \
        "counts of the position and row loops, and cores at work"
    yield "reduction", pack(*((r, REDUCTION_BITS.get(r, COUNT_BITS), U, 1) for r in REDUCTION)), \
        "counts of the reduction loops"
    yield "blocks", pack(*((b, COUNT_BITS, U, 1) for b in BLOCKS)), "counts of the block loops"
    yield "groups", pack(("groups", 4, U, 1), ("merge", 1, U, 0, "their sums are added")), \
        "groups of cores at work"
    for stream, loops in TENSOR_STREAMS.items():
        if stream == "number":
            yield "number.base", _NUMBER, "number of the first word of the output in its tensor"
        else:
            yield f"{stream}.base", _BASE, f"first word of the {stream}"
        if stream in BOUNDED:
            yield f"{stream}.window", pack(
                ("y", COORDINATE_BITS, S, 0, "row of the first word"),
                ("x", COORDINATE_BITS, S, 0, "column of the first word"),
                ("height", COORDINATE_BITS, U, 1, "rows there are"),
                ("width", COORDINATE_BITS, U, 1, "columns there are")), \
                "what lies outside reads as zero and is not written"
        for loop in loops:
            stride = ("stride", STRIDE_BITS, S, 0, "words")
            steps = (("dy", COORDINATE_BITS, S), ("dx", COORDINATE_BITS, S))
            yield f"{stream}.{loop}", pack(stride, *(steps if stream in BOUNDED else ())), \
                f"step of loop {loop}"
    for stream, steps in BESIDE.items():
        yield f"{stream}.base", _BASE, \
            f"first word of the {stream}, which takes the steps of {steps}"
    yield "mode", pack(
        ("stationary", 1, U, 0, "E4M3 or E5M2"),
        ("stream", 1, U, 0, "E4M3 or E5M2"),
        ("transpose", 1, U, 0, "tile element [tree][lane] is byte `tree` of word `lane`"),
        ("turn_stream", 1, U, 0, "8 words of the stream are transposed as 8x8 bytes"),
        ("output", 2, U, 0, "format of the output"),
        ("turn_output", 1, U, 0, "8 words of the output are transposed as 8x8 bytes"),
        ("aux", 2, U, 0, "AuxMode"),
        ("bias", 1, U, 0, "add 8 binary32 values, 4 words a block and core"),
        ("relu", 1, U, 0, "negative outputs become +0"),
        ("stochastic", 1, U, 0, "stochastic rounding"),
        ("scale", 7, S, 0, "exponent of the power of two that multiplies the sum"),
        ("mask", 1, U, 0, "an output whose mask element is zero is written as +0"),
        ("stats", 2, U, 0, "StatsMode"),
        ("skip", 3, U, 0, "Skip"),
        ("gate", 1, U, 0, "behind the first round of r4 only what passes a threshold; slot > 1")), \
        "formats and the work of the drain"
    yield "depth", pack(("passes", 32, U, 0, "passes already in the sums that aux adds")), \
        "what the bound on the reduction starts from"
    yield "key", pack(("key", 32, Kind.MASK)), "of the random bits of stochastic rounding"


def _vector():
    counts = [(n, COUNT_BITS, U, 1) for n in VECTOR_LOOPS]
    text = "counts of the loops over groups of 8 elements"
    yield "counts", pack(*counts[:4]), text
    yield "outer", pack(*counts[4:], (
        "split", 3, U, 0, "i > 0: the datapaths share the rounds of loop n(i - 1)")), text
    for stream in (*VECTOR_INPUTS, *VECTOR_OUTPUTS, "number"):
        if stream == "number":
            yield "number.base", _NUMBER, "number of the first group of the outputs in its tensor"
        else:
            yield f"{stream}.base", _BASE, f"first word of {stream}"
        for low, high in zip(VECTOR_LOOPS[::2], VECTOR_LOOPS[1::2], strict=True):
            yield f"{stream}.{low}{high[1:]}", \
                pack((low, STRIDE_BITS, S), (high, STRIDE_BITS, S)), \
                f"words from one group to the next in loops {low} and {high}"
    for k in ("k0", "k1", "k2"):
        yield k, pack(("value", 32, F)), "a coefficient"
    yield "k.base", _BASE, "first word of the coefficients by channel, 4 words each"
    yield "k.n5", pack(("stride", STRIDE_BITS, S, 0, "words")), "step of loop n5"
    yield "op", pack(
        *((o, 4, U, 0, "Operand") for o in "abcdef"),
        ("negate_c", 1, U, 0, "t = a * b - c"),
        ("negate_f", 1, U, 0, "u = d * e - f"),
        ("activation", 3, U, 0, "Activation, applied to u"),
        ("reduce", 2, U, 0, "Reduce"),
        ("source", 1, U, 0, "what is reduced: 0 is t, 1 is u"),
        ("quantum", 8, S, 0, "exponent of the unit of the sums"),
        ("gate", 5, U, 0, "if not zero, y is +0 where z is not gate - 1"),
        ("channel", 3, U, 0, "bit i: coefficient Ki is 8 values, read for each round of n5")), \
        "t = a * b + c, then u = d * e + f"
    yield "inputs", pack(*((i, 2, U, 0, "FormatCode") for i in VECTOR_INPUTS)), "input formats"
    for o in VECTOR_OUTPUTS:
        yield f"{o}.mode", pack(
            ("enable", 1),
            ("source", 1, U, 0, "0 is t, 1 is u"),
            ("format", 2, U, 0, "FormatCode"),
            ("stochastic", 1),
            ("scale", 8, S, 0, "exponent of the power of two that multiplies the value"),
            ("turn", 1, U, 0, "8 words of the output are transposed as 8x8 bytes")), \
            f"what {o} writes"
    yield "key", pack(("key", 32, Kind.MASK)), "of the random bits of stochastic rounding"
    yield "tally", pack(
        ("across", 1, U, 0, "a sum is over all 8 elements too"),
        ("histogram", 1, U, 0, "elements are counted by size, four bins to a power of two"),
        ("first", BIN_BITS, U, 0, "the size of bin 0: exponent and two bits of a binary32"),
        ("more", 1, U, 0, "a histogram goes on from the counts of the one before")), \
        "more of reductions"


def _move():
    yield "external.base", pack(("address", 32, U, 0, "byte, a multiple of 8")), \
        "first byte in external memory"
    yield "scratchpad.base", _BASE, "first word in the scratchpad"
    yield "counts", pack(("words", 16, U, 1), ("n1", 16, U, 1), ("n2", 16, U, 1)), \
        "words of a run, then two loops over runs"
    for loop in ("n1", "n2"):
        yield f"external.{loop}", pack(("stride", 32, S, 0, "bytes, a multiple of 8")), \
            f"from one run to the next in loop {loop}"
        yield f"scratchpad.{loop}", pack(("stride", STRIDE_BITS, S, 0, "words")), \
            f"from one run to the next in loop {loop}"
    yield "mode", pack(("store", 1, U, 0, "0 fills the scratchpad, 1 stores from it")), "direction"
    yield "live", pack(
        ("enable", 1, U, 0, "loop n2 goes over live elements"),
        ("count", COUNT_BITS, U, 0, "elements that there are"),
        ("first", COUNT_BITS, U, 0, "live ones before that of round 0")), \
        "which rounds of external memory loop n2 takes"
    yield "live.base", pack(("address", 32, U, 0, "word of the scratchpad")), \
        "first word of the elements, 8 a word; what is zero is not live"


FIRST_INDEX = {Unit.TENSOR: 0, Unit.VECTOR: 128, Unit.MOVE: 192}

REGISTERS = {
    register.name: register
    for unit, rows in ((Unit.TENSOR, _tensor()), (Unit.VECTOR, _vector()), (Unit.MOVE, _move()))
    for register in (
        Register(f"{unit.name.lower()}.{name}", unit, FIRST_INDEX[unit] + offset, fields, text)
        for offset, (name, fields, text) in enumerate(rows))
}
BY_INDEX = {register.index: register for register in REGISTERS.values()}


def of_unit(unit: Unit) -> tuple[Register, ...]:
    """The registers of `unit`, in the order of the table."""
    return tuple(r for r in REGISTERS.values() if r.unit is unit)
