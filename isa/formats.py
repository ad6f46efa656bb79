"""The number formats, one table.

E4M3 and E5M2 are those of the OCP 8-bit floating point specification (revision 1.0): E4M3 has no
infinity and one NaN code a sign, E5M2 follows IEEE 754. BINARY32 is IEEE 754 single precision,
BFLOAT16 its upper half. RAW is not a number format but the image of an accumulator in memory (see
`Config.raw_words`).
"""

from dataclasses import dataclass
from enum import IntEnum


class FormatCode(IntEnum):
    """What a two-bit format field of a register holds.

    Code 3 is RAW in the tensor unit and BFLOAT16 in the vector unit.
    """

    E4M3 = 0
    E5M2 = 1
    BINARY32 = 2
    RAW = 3
    BFLOAT16 = 3  # in the vector unit


@dataclass(frozen=True)
class Float:
    """A binary floating-point format of sign, exponent and fraction, subnormals included.

    `infinity` tells whether the all-ones exponent is reserved as in IEEE 754; without it only the
    code of all ones below the sign is a NaN and the rest of that exponent are ordinary numbers.
    """

    code: FormatCode
    exponent_bits: int
    fraction_bits: int
    infinity: bool

    @property
    def bits(self) -> int:
        return 1 + self.exponent_bits + self.fraction_bits

    @property
    def group_words(self) -> int:
        """Words of 64 bits that 8 elements take."""
        return self.bits * 8 // 64

    @property
    def bias(self) -> int:
        return 2 ** (self.exponent_bits - 1) - 1

    @property
    def max_code(self) -> int:
        """The code of the largest finite number; what overflow saturates to."""
        top = (1 << (self.bits - 1)) - 1
        return top - (1 << self.fraction_bits) if self.infinity else top - 1

    @property
    def one_code(self) -> int:
        """The code of 1."""
        return self.bias << self.fraction_bits

    @property
    def infinity_code(self) -> int:
        """The code of positive infinity, for formats that have one."""
        if not self.infinity:
            raise ValueError(f"{self.code.name} has no infinity")
        return ((1 << self.exponent_bits) - 1) << self.fraction_bits

    @property
    def nan_code(self) -> int:
        """The NaN that the machine writes: quiet, positive."""
        if self.infinity:
            return self.infinity_code | (1 << (self.fraction_bits - 1))
        return (1 << (self.bits - 1)) - 1

    @property
    def lowest_exponent(self) -> int:
        """The exponent of the lowest bit of a subnormal: every number is a multiple of 2**this."""
        return 1 - self.bias - self.fraction_bits

    @property
    def max_value(self) -> float:
        exponent = self.max_code >> self.fraction_bits
        fraction = self.max_code & ((1 << self.fraction_bits) - 1)
        return (1 + fraction / (1 << self.fraction_bits)) * 2.0 ** (exponent - self.bias)


E4M3 = Float(FormatCode.E4M3, 4, 3, infinity=False)
E5M2 = Float(FormatCode.E5M2, 5, 2, infinity=True)
BINARY32 = Float(FormatCode.BINARY32, 8, 23, infinity=True)
BFLOAT16 = Float(FormatCode.BFLOAT16, 8, 7, infinity=True)

FORMATS = {f.code: f for f in (E4M3, E5M2, BINARY32, BFLOAT16)}
FP8 = (E4M3, E5M2)
