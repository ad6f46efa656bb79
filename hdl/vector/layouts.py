"""What the parts of the vector unit hand each other."""

from amaranth.hdl import signed
from amaranth.lib import data

from hdl.interfaces import address_bits, registers_layout
from isa.config import LANES, WORD_BITS, Config
from isa.formats import BINARY32
from isa.registers import ADDRESS_BITS, STRIDE_BITS, VECTOR_LOOPS, Unit

FLOAT_BITS = BINARY32.bits
WORD_FLOATS = WORD_BITS // FLOAT_BITS
GROUP_WORDS = LANES // WORD_FLOATS  # of a group in binary32
ELEMENT_BITS = WORD_BITS // LANES

REGISTERS = registers_layout(Unit.VECTOR)
COUNTS = REGISTERS["counts"].shape
MODE = REGISTERS["o0_mode"].shape  # of an output
STRIDES = data.StructLayout({loop: signed(STRIDE_BITS) for loop in VECTOR_LOOPS})

# The loops of a vector stream: the words of a group inside the loops over groups.
WALKED = ("word", *VECTOR_LOOPS)

# An operand of a lane: what one of the flags names, or else the constant (zero beside a flag).
# `t` is for the second multiply-add only.
PICK = data.StructLayout({"x": 1, "y": 1, "z": 1, "t": 1, "constant": FLOAT_BITS})

# How a lane works, the same for all lanes and for a whole operation.
LANE_MODE = data.StructLayout({
    **dict.fromkeys("abcdef", PICK),
    "negate_c": 1,
    "negate_f": 1,
    "relu": 1,
    "mask": 1,
})


def place_layout(config: Config) -> data.StructLayout:
    """Where a word of an output goes.

    `offset` is from the tensor's base, modulo 2^ADDRESS_BITS.
    """
    return data.StructLayout({"address": address_bits(config), "offset": ADDRESS_BITS})
