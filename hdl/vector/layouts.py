"""What the parts of the vector unit hand each other."""

from amaranth.hdl import signed
from amaranth.lib import data

from hdl.interfaces import address_bits, registers_layout
from isa.config import LANES, WORD_BITS, Config
from isa.formats import BINARY32
from isa.registers import ADDRESS_BITS, COUNT_BITS, STRIDE_BITS, VECTOR_LOOPS, Unit

FLOAT_BITS = BINARY32.bits
WORD_FLOATS = WORD_BITS // FLOAT_BITS
GROUP_WORDS = LANES // WORD_FLOATS  # of a group in binary32
ELEMENT_BITS = WORD_BITS // LANES

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


def place_layout(config: Config) -> data.StructLayout:
    """Where a word of an output goes.

    `offset` is from the base of the whole tensor, modulo 2^ADDRESS_BITS.
    """
    return data.StructLayout({"address": address_bits(config), "offset": ADDRESS_BITS})
