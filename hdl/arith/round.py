"""The one rounder of the binary32 units: normalise, round to nearest even, pack."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.binary32 import (
    EXPONENT_BITS,
    EXPONENT_TOP,
    FRACTION_BITS,
    INFINITY,
    NAN,
    SIGNIFICAND_BITS,
    normalise,
    shift_right_sticky,
)

ROUNDER_EXPONENT_BITS = EXPONENT_BITS + 2  # signed, twice the range of the format


class Rounder(wiring.Component):
    """Rounds magnitude * 2^(exponent - 127 - (width - 1)) to binary32, nearest even.

    Parameters
    ----------
    width : int
        Bits of the magnitude, at least 26. The lowest one may be sticky.

    Members
    -------
    en : advances every register
    sign, magnitude
    exponent
        The biased exponent if the highest bit of the magnitude is one; signed, at least 1.
    right
        Where it is not zero, the magnitude is shifted right by it instead of being normalised, and
        `exponent` must be 1.
    nan, infinite : the result is NaN; else infinity with `sign`
    out : the bits of the result; overflow is infinity, a magnitude of zero keeps its sign

    Latency
    -------
    2 cycles with `en`.
    """

    LATENCY = 2

    def __init__(self, *, width: int):
        if width < SIGNIFICAND_BITS + 2:
            raise ValueError(f"width = {width}: must be at least {SIGNIFICAND_BITS + 2}")
        self.width = width
        super().__init__({
            "en": In(1),
            "sign": In(1),
            "magnitude": In(width),
            "exponent": In(signed(ROUNDER_EXPONENT_BITS)),
            "right": In(range(width)),
            "nan": In(1),
            "infinite": In(1),
            "out": Out(32),
        })

    def elaborate(self, platform):
        m = Module()
        width = self.width

        # A one where the shift has to stop, so that a subnormal result keeps exponent 1.
        stop = Signal(width)
        probe = Signal(width)
        with m.If((self.exponent >= 1) & (self.exponent <= width)):
            m.d.comb += stop.eq(1 << (width - self.exponent)[:(width - 1).bit_length()])
        m.d.comb += probe.eq(self.magnitude | stop)
        left, count = normalise(m, "s0", self.magnitude, probe)
        right = shift_right_sticky(m, "s0", self.magnitude, self.right)
        below = Signal()
        shifted = Signal(width)
        m.d.comb += [
            below.eq(self.right != 0),
            shifted.eq(Mux(below, right, left)),
        ]

        s1_sign = Signal(reset_less=True)
        s1_nan = Signal(reset_less=True)
        s1_infinite = Signal(reset_less=True)
        s1_exponent = Signal(ROUNDER_EXPONENT_BITS, reset_less=True)
        s1_count = Signal.like(count, reset_less=True)  # what the left shift takes off it
        s1_kept = Signal(SIGNIFICAND_BITS, reset_less=True)
        s1_guard = Signal(reset_less=True)
        s1_sticky = Signal(reset_less=True)
        with m.If(self.en):
            m.d.sync += [
                s1_sign.eq(self.sign),
                s1_nan.eq(self.nan),
                s1_infinite.eq(self.infinite),
                s1_exponent.eq(Mux(below, 1, self.exponent)),
                s1_count.eq(Mux(below, 0, count)),
                s1_kept.eq(shifted[width - SIGNIFICAND_BITS:]),
                s1_guard.eq(shifted[width - SIGNIFICAND_BITS - 1]),
                s1_sticky.eq(shifted[:width - SIGNIFICAND_BITS - 1] != 0),
            ]

        # The carry of the fraction runs into the exponent: subnormal to normal, normal to infinity.
        up = Signal()
        field = Signal(ROUNDER_EXPONENT_BITS)
        rounded = Signal(FRACTION_BITS + ROUNDER_EXPONENT_BITS)
        s2_out = Signal(32, reset_less=True)
        m.d.comb += [
            up.eq(s1_guard & (s1_sticky | s1_kept[0])),
            field.eq(Mux(s1_kept[-1], s1_exponent - s1_count, 0)),
            rounded.eq(Cat(s1_kept[:FRACTION_BITS], field) + up),
            self.out.eq(s2_out),
        ]
        with m.If(self.en):
            with m.If(s1_nan):
                m.d.sync += s2_out.eq(NAN)
            with m.Elif(s1_infinite | (rounded[FRACTION_BITS:] >= EXPONENT_TOP)):
                m.d.sync += s2_out.eq(Cat(Const(INFINITY, 31), s1_sign))
            with m.Else():
                m.d.sync += s2_out.eq(Cat(rounded[:FRACTION_BITS + EXPONENT_BITS], s1_sign))
        return m
