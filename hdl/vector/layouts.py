"""What the parts of the vector unit hand each other."""

from amaranth.hdl import Mux, signed
from amaranth.lib import data

from hdl.interfaces import address_bits, registers_layout
from isa.config import LANES, WORD_BITS, Config
from isa.formats import BFLOAT16, BINARY32, FormatCode
from isa.registers import COUNT_BITS, INDEX_BITS, STRIDE_BITS, VECTOR_LOOPS, Unit

FLOAT_BITS = BINARY32.bits
WORD_FLOATS = WORD_BITS // FLOAT_BITS
GROUP_WORDS = LANES // WORD_FLOATS  # of a group in binary32
ELEMENT_BITS = WORD_BITS // LANES
HALF_BITS = BFLOAT16.bits
WORD_HALVES = WORD_BITS // HALF_BITS  # elements of a word in bfloat16
ELEMENT_INDEX_BITS = (LANES - 1).bit_length()
NUMBER_STRIDE_BITS = STRIDE_BITS + 2  # four datapaths take every fourth round
GROUP_INDEX_BITS = INDEX_BITS - ELEMENT_INDEX_BITS  # of the number of a group in its tensor

REGISTERS = registers_layout(Unit.VECTOR)
OP = REGISTERS["op"].shape
MODE = REGISTERS["o0_mode"].shape  # of an output
COUNTS = data.StructLayout(dict.fromkeys(VECTOR_LOOPS, COUNT_BITS))
STRIDES = data.StructLayout({loop: signed(STRIDE_BITS) for loop in VECTOR_LOOPS})
COEFFICIENTS = ("k0", "k1", "k2")
NUMBER_BITS = FLOAT_BITS - 1  # of a group's number within its window, as binary32 without a sign

# The loops of a vector stream: the words of a group inside the loops over groups.
WALKED = ("word", *VECTOR_LOOPS)

# The top bits of the binary32 numbers that `gate` names, below the sign; the others are zero.
LEVEL_BITS = 12

# How a lane works, the same for all lanes and for a whole operation.
LANE_MODE = data.StructLayout({
    **{name: OP[name].shape for name in (*"abcdef", "negate_c", "negate_f", "activation")},
    "gate": 1,
    "level": LEVEL_BITS,  # with `gate`: y is +0 where z is not this number
    "largest": 1,  # t and u are the largest and its x
    "source": 1,  # of what: 0 is t, 1 is u
})


def group_words(format):
    """Words of a group."""
    return Mux(format == FormatCode.BINARY32, GROUP_WORDS,
               Mux(format == FormatCode.BFLOAT16, BFLOAT16.group_words, 1))


def place_layout(config: Config) -> data.StructLayout:
    """Where a word of an output goes, and whether it is the last of its group."""
    return data.StructLayout({"address": address_bits(config), "last": 1})
