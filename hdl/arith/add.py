"""Binary32 add."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.binary32 import EXPONENT_BITS, SIGNIFICAND_BITS, Unpacked, shift_right_sticky
from hdl.arith.round import Rounder

EXTRA_BITS = 3  # guard, round and sticky
ALIGNED_BITS = SIGNIFICAND_BITS + EXTRA_BITS
SHIFT_BITS = (ALIGNED_BITS - 1).bit_length()


class FloatAdd(wiring.Component):
    """out = a + b in IEEE binary32: subnormals, nearest even, every NaN 0x7FC00000.

    Members
    -------
    en : advances every register
    a, b, out : binary32 bits

    Latency
    -------
    4 cycles with `en`.
    """

    LATENCY = 2 + Rounder.LATENCY

    en: In(1)
    a: In(32)
    b: In(32)
    out: Out(32)

    def elaborate(self, platform):
        m = Module()
        m.submodules.rounder = rounder = Rounder(width=ALIGNED_BITS + 1)

        # The larger magnitude stays, the smaller is aligned to it.
        # Both differences of the exponents are ready when the comparison is.
        a, b = Unpacked(m, "s0_a", self.a), Unpacked(m, "s0_b", self.b)
        s0_swap = Signal()
        s0_large = Signal(32)
        s0_small = Signal(32)
        s0_rights = [self._right(m, f"s0_{name}", x, y) for name, x, y in
                     (("a_over_b", a, b), ("b_over_a", b, a))]
        s0_right = Signal(SHIFT_BITS)
        m.d.comb += [
            s0_swap.eq(self.a[:31] < self.b[:31]),
            s0_large.eq(Mux(s0_swap, self.b, self.a)),
            s0_small.eq(Mux(s0_swap, self.a, self.b)),
            s0_right.eq(Mux(s0_swap, s0_rights[1], s0_rights[0])),
        ]
        large = Unpacked(m, "s0_large", s0_large)
        small = Unpacked(m, "s0_small", s0_small)
        aligned = shift_right_sticky(
            m, "s0", Cat(Const(0, EXTRA_BITS), small.significand), s0_right)

        s1_large = Signal(SIGNIFICAND_BITS, reset_less=True)
        s1_small = Signal(ALIGNED_BITS, reset_less=True)
        s1_exponent = Signal(EXPONENT_BITS, reset_less=True)
        s1_sign = Signal(reset_less=True)
        s1_subtract = Signal(reset_less=True)
        s1_nan = Signal(reset_less=True)
        s1_infinite = Signal(reset_less=True)
        with m.If(self.en):
            m.d.sync += [
                s1_large.eq(large.significand),
                s1_small.eq(aligned),
                s1_exponent.eq(large.exponent),
                s1_sign.eq(large.sign),
                s1_subtract.eq(large.sign ^ small.sign),
                s1_nan.eq(large.nan | large.infinite & small.infinite & (large.sign ^ small.sign)),
                s1_infinite.eq(large.infinite),
            ]

        s1_sum = Signal(ALIGNED_BITS + 1)
        s2_sum = Signal(ALIGNED_BITS + 1, reset_less=True)
        s2_exponent = Signal(EXPONENT_BITS, reset_less=True)
        s2_sign = Signal(reset_less=True)
        s2_nan = Signal(reset_less=True)
        s2_infinite = Signal(reset_less=True)
        m.d.comb += s1_sum.eq(Cat(Const(0, EXTRA_BITS), s1_large)
                              + (s1_small ^ Mux(s1_subtract, (1 << ALIGNED_BITS + 1) - 1, 0))
                              + s1_subtract)
        with m.If(self.en):
            m.d.sync += [
                s2_sum.eq(s1_sum),
                s2_exponent.eq(s1_exponent),
                # What cancels exactly is +0; the sum of two zeros of one sign keeps it.
                s2_sign.eq(s1_sign & ~(s1_subtract & (s1_sum == 0))),
                s2_nan.eq(s1_nan),
                s2_infinite.eq(s1_infinite),
            ]

        m.d.comb += [
            rounder.en.eq(self.en),
            rounder.sign.eq(s2_sign),
            rounder.magnitude.eq(s2_sum),
            rounder.exponent.eq(s2_exponent + 1),
            rounder.nan.eq(s2_nan),
            rounder.infinite.eq(s2_infinite),
            self.out.eq(rounder.out),
        ]
        return m

    def _right(self, m: Module, name: str, large: Unpacked, small: Unpacked):
        """The shift that aligns `small` to `large`; from the largest on, only sticky is left."""
        distance = Signal(EXPONENT_BITS, name=f"{name}_distance")
        m.d.comb += distance.eq(large.exponent - small.exponent)
        most = (1 << SHIFT_BITS) - 1
        return distance[:SHIFT_BITS] | Mux(distance[SHIFT_BITS:] != 0, most, 0)
