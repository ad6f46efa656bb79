"""Binary32 multiply."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.binary32 import BIAS, SIGNIFICAND_BITS, Unpacked
from hdl.arith.round import ROUNDER_EXPONENT_BITS, Rounder

PRODUCT_BITS = 2 * SIGNIFICAND_BITS
SHIFT_BITS = (PRODUCT_BITS - 1).bit_length()


class FloatMultiply(wiring.Component):
    """out = a * b in IEEE binary32: subnormals, nearest even, every NaN 0x7FC00000.

    Members
    -------
    en : advances every register
    a, b, out : binary32 bits

    Latency
    -------
    3 cycles with `en`.
    """

    LATENCY = 1 + Rounder.LATENCY

    en: In(1)
    a: In(32)
    b: In(32)
    out: Out(32)

    def elaborate(self, platform):
        m = Module()
        m.submodules.rounder = rounder = Rounder(width=PRODUCT_BITS)
        a = Unpacked(m, "s0_a", self.a)
        b = Unpacked(m, "s0_b", self.b)

        # The significands are multiplied as they are: the rounder shifts subnormal ones left, and
        # a product below the smallest exponent right.
        s0_exponent = Signal(signed(ROUNDER_EXPONENT_BITS))
        s0_below = Signal(signed(ROUNDER_EXPONENT_BITS))
        s0_invalid = Signal()
        m.d.comb += [
            s0_exponent.eq(a.exponent + b.exponent - (BIAS - 1)),
            s0_below.eq(BIAS - a.exponent - b.exponent),
            s0_invalid.eq(a.infinite & (b.significand == 0) | b.infinite & (a.significand == 0)),
        ]

        s1_product = Signal(PRODUCT_BITS, reset_less=True)
        s1_exponent = Signal(signed(ROUNDER_EXPONENT_BITS), reset_less=True)
        s1_right = Signal(SHIFT_BITS, reset_less=True)
        s1_sign = Signal(reset_less=True)
        s1_nan = Signal(reset_less=True)
        s1_infinite = Signal(reset_less=True)
        with m.If(self.en):
            m.d.sync += [
                s1_product.eq(a.significand * b.significand),
                s1_exponent.eq(Mux(s0_below > 0, 1, s0_exponent)),
                s1_right.eq(Mux(s0_below > 0, _limited(s0_below), 0)),
                s1_sign.eq(a.sign ^ b.sign),
                s1_nan.eq(a.nan | b.nan | s0_invalid),
                s1_infinite.eq(a.infinite | b.infinite),
            ]

        m.d.comb += [
            rounder.en.eq(self.en),
            rounder.sign.eq(s1_sign),
            rounder.magnitude.eq(s1_product),
            rounder.right.eq(s1_right),
            rounder.exponent.eq(s1_exponent),
            rounder.nan.eq(s1_nan),
            rounder.infinite.eq(s1_infinite),
            self.out.eq(rounder.out),
        ]
        return m


def _limited(below):
    """A right shift that is at least the width of the product leaves only the sticky bit."""
    most = (1 << SHIFT_BITS) - 1
    return Mux(below > most, most, below)
