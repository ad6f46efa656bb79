"""The parts of a binary32 number, and the steps that the float units share: unpack, shift."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data

from isa.formats import BINARY32

FRACTION_BITS = BINARY32.fraction_bits
EXPONENT_BITS = BINARY32.exponent_bits
EXPONENT_TOP = (1 << EXPONENT_BITS) - 1  # of infinity and NaN
BIAS = BINARY32.bias
SIGNIFICAND_BITS = FRACTION_BITS + 1
NAN = BINARY32.nan_code
INFINITY = BINARY32.infinity_code

LAYOUT = data.StructLayout({
    "fraction": FRACTION_BITS,
    "exponent": EXPONENT_BITS,
    "sign": 1,
})


class Unpacked:
    """A binary32 number taken apart; its value is significand * 2^(exponent - BIAS - 23).

    Attributes
    ----------
    sign : 1 bit
    exponent : biased, 1 for a subnormal number as for the smallest normal ones
    significand : 24 bits, the top one set for a normal number
    nan, infinite : 1 bit each; the others mean nothing where one is set
    """

    def __init__(self, m: Module, name: str, bits: Value):
        parts = data.View(LAYOUT, bits)
        normal = Signal(name=f"{name}_normal")
        top = Signal(name=f"{name}_top")
        self.sign = parts.sign
        self.exponent = Signal(EXPONENT_BITS, name=f"{name}_exponent")
        self.significand = Signal(SIGNIFICAND_BITS, name=f"{name}_significand")
        self.nan = Signal(name=f"{name}_nan")
        self.infinite = Signal(name=f"{name}_infinite")
        m.d.comb += [
            normal.eq(parts.exponent != 0),
            top.eq(parts.exponent == EXPONENT_TOP),
            self.exponent.eq(parts.exponent | ~normal),
            self.significand.eq(Cat(parts.fraction, normal)),
            self.nan.eq(top & (parts.fraction != 0)),
            self.infinite.eq(top & (parts.fraction == 0)),
        ]


def normalise(m: Module, name: str, magnitude: Value, probe: Value) -> tuple[Value, Value]:
    """Shifts `magnitude` left by the number of zeros above the highest one of `probe`.

    Both have the same width. Returns the shifted magnitude and the count. A probe of zero counts
    as many zeros as the count has room for. Coarse steps come first, so each step looks at the
    bits that the one before it has chosen and no separate count of zeros is needed.
    """
    width = len(magnitude)
    count = []
    for step in reversed(range((width - 1).bit_length())):
        by = 1 << step
        zero = Signal(name=f"{name}_zero_{by}")
        moved = Signal(width, name=f"{name}_moved_{by}")
        m.d.comb += [
            zero.eq(probe[width - by:] == 0),
            moved.eq(Mux(zero, _shifted_left(magnitude, by), magnitude)),
        ]
        if step:
            following = Signal(width, name=f"{name}_probe_{by}")
            m.d.comb += following.eq(Mux(zero, _shifted_left(probe, by), probe))
            probe = following
        magnitude = moved
        count.insert(0, zero)
    return magnitude, Cat(*count)


def _shifted_left(value: Value, by: int) -> Value:
    """`value` shifted left, as wide as it was: `<<` would grow beyond 64 bits, which is slow."""
    return Cat(Const(0, by), value[:len(value) - by])


def shift_right_sticky(m: Module, name: str, magnitude: Value, by: Value) -> Value:
    """`magnitude` shifted right by `by`; what falls out is kept as the OR into the lowest bit."""
    width = len(magnitude)
    for step in range(len(by)):
        distance = min(1 << step, width)
        moved = Signal(width, name=f"{name}_right_{1 << step}")
        kept = magnitude[distance:] | (magnitude[:distance] != 0)
        if distance == width:
            kept = magnitude != 0
        m.d.comb += moved.eq(Mux(by[step], kept, magnitude))
        magnitude = moved
    return magnitude
