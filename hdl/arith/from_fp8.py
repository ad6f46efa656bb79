"""FP8 to binary32, exactly."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.binary32 import BIAS, EXPONENT_TOP, FRACTION_BITS, NAN
from isa.formats import E4M3, E5M2, FP8, Float


class FromFp8(wiring.Component):
    """The binary32 value of an FP8 code. Combinational; every NaN becomes 0x7FC00000.

    Members
    -------
    code : 8 bits
    format : 0 is E4M3, 1 is E5M2
    out : binary32 bits
    """

    LATENCY = 0

    code: In(8)
    format: In(1)
    out: Out(32)

    def elaborate(self, platform):
        m = Module()
        magnitudes = [self._magnitude(m, fmt) for fmt in FP8]
        nan = Signal()
        m.d.comb += [
            nan.eq(Mux(self.format, self.code[:7] > E5M2.infinity_code,
                       self.code[:7] == E4M3.nan_code)),
            self.out.eq(Mux(nan, NAN, Cat(Mux(self.format, *reversed(magnitudes)),
                                          self.code[7]))),
        ]
        return m

    def _magnitude(self, m: Module, fmt: Float):
        """The 31 bits below the sign; what they are for a NaN does not matter."""
        name = fmt.code.name.lower()
        fraction = self.code[:fmt.fraction_bits]
        exponent = self.code[fmt.fraction_bits:7]
        low = FRACTION_BITS - fmt.fraction_bits  # zeros below the fraction
        magnitude = Signal(31, name=name)
        m.d.comb += magnitude.eq(
            Cat(Const(0, low), fraction, (exponent + (BIAS - fmt.bias))[:8]))
        if fmt.infinity:
            with m.If(exponent == (1 << fmt.exponent_bits) - 1):
                m.d.comb += magnitude.eq(Const(EXPONENT_TOP << FRACTION_BITS, 31))
        with m.If(exponent == 0), m.Switch(fraction):
            for value in range(1 << fmt.fraction_bits):
                with m.Case(value):
                    m.d.comb += magnitude.eq(_normal(value, fmt.lowest_exponent))
        return magnitude


def _normal(value: int, exponent: int) -> int:
    """The binary32 bits of value * 2^exponent, a normal number or zero."""
    if value == 0:
        return 0
    top = value.bit_length() - 1
    fraction = (value << (FRACTION_BITS - top)) & ((1 << FRACTION_BITS) - 1)
    return (exponent + top + BIAS) << FRACTION_BITS | fraction
