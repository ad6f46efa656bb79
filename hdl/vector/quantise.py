"""Binary32 to an integer number of quanta."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.binary32 import BIAS, FRACTION_BITS, Unpacked, shift_right_sticky
from hdl.vector.layouts import FLOAT_BITS

LIMIT_EXPONENT = 40  # an integer is at most 2^40 in magnitude
INTEGER_BITS = LIMIT_EXPONENT + 2
_LOW_BITS = LIMIT_EXPONENT - FRACTION_BITS - 1  # below the significand at the largest exponent
_SHIFT_BITS = 6


class Quantise(wiring.Component):
    """floor + up = value / 2^quantum, rounded to nearest even and limited to +-2^40.

    Members
    -------
    en : advances every register
    value : binary32 bits
    quantum : signed, -64 to 63
    floor, up
        Signed, and one bit: the integer is their sum. It is left to the adder of what follows.
    nan : the value is NaN, and the integer does not matter

    Latency
    -------
    1 cycle with `en`.
    """

    LATENCY = 1

    en: In(1)
    value: In(FLOAT_BITS)
    quantum: In(signed(8))
    floor: Out(signed(INTEGER_BITS))
    up: Out(1)
    nan: Out(1)

    def elaborate(self, platform):
        m = Module()
        value = Unpacked(m, "s0", self.value)

        # From just below the limit down to the exponent of the value; what moves further than all
        # its bits is zero. Two bits below the integer decide the rounding.
        s0_right = Signal(signed(11))
        s0_amount = Signal(_SHIFT_BITS)
        m.d.comb += [
            s0_right.eq(self.quantum + (BIAS + LIMIT_EXPONENT - 1) - value.exponent),
            s0_amount.eq(Mux(s0_right[_SHIFT_BITS:] == 0, s0_right, 2 ** _SHIFT_BITS - 1)),
        ]
        shifted = shift_right_sticky(
            m, "s0", Cat(Const(0, 2 + _LOW_BITS), value.significand), s0_amount)

        s1_shifted = Signal(2 + LIMIT_EXPONENT, reset_less=True)
        s1_over = Signal(reset_less=True)
        s1_sign = Signal(reset_less=True)
        s1_nan = Signal(reset_less=True)
        with m.If(self.en):
            m.d.sync += [
                s1_shifted.eq(shifted),
                s1_over.eq(s0_right < 0),
                s1_sign.eq(value.sign),
                s1_nan.eq(value.nan),
            ]

        # -(magnitude + up) is ~magnitude + 1 - up.
        away = Signal()
        magnitude = Signal(LIMIT_EXPONENT + 1)
        m.d.comb += [
            away.eq(s1_shifted[1] & (s1_shifted[0] | s1_shifted[2]) & ~s1_over),
            magnitude.eq(Mux(s1_over, 1 << LIMIT_EXPONENT, s1_shifted[2:])),
            self.floor.eq(magnitude ^ s1_sign.replicate(INTEGER_BITS)),
            self.up.eq(away ^ s1_sign),
            self.nan.eq(s1_nan),
        ]
        return m
