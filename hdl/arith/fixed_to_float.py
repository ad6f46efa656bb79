"""A fixed-point sum to binary32, the one rounding of an exact sum."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.binary32 import BIAS
from hdl.arith.round import ROUNDER_EXPONENT_BITS, Rounder

MAGNITUDE_BITS = 64
CHUNK_BITS = 32
PART_BITS = 36


class FixedToFloat(wiring.Component):
    """out = value * 2^(exponent + scale), rounded to binary32, nearest even; zero is +0.

    The result is zero or in the normal range by contract.

    Parameters
    ----------
    width : int
        Bits of `value`, 2 to 128.
    exponent : int
        Exponent of the lowest bit of `value`.

    Members
    -------
    en : advances every register
    value, scale : signed
    nan : the result is NaN, whatever the value
    out : binary32 bits

    Latency
    -------
    3 cycles with `en`.
    """

    LATENCY = 1 + Rounder.LATENCY

    def __init__(self, *, width: int, exponent: int):
        if not 2 <= width <= 128:
            raise ValueError(f"width = {width}: must be 2 to 128")
        self.width = width
        self.exponent = exponent
        super().__init__({
            "en": In(1),
            "value": In(signed(width)),
            "scale": In(signed(8)),
            "nan": In(1),
            "out": Out(32),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.rounder = rounder = Rounder(width=MAGNITUDE_BITS)

        s0_sign = self.value[-1]
        magnitude, dropped = self._shorten(m, self._absolute(m, s0_sign))

        s1_magnitude = Signal(MAGNITUDE_BITS, reset_less=True)
        s1_exponent = Signal(signed(ROUNDER_EXPONENT_BITS), reset_less=True)
        s1_sign = Signal(reset_less=True)
        s1_nan = Signal(reset_less=True)
        top = BIAS + MAGNITUDE_BITS - 1 + self.exponent  # exponent of the highest bit
        with m.If(self.en):
            m.d.sync += [
                s1_magnitude.eq(magnitude),
                s1_exponent.eq(self.scale + top + dropped),
                s1_sign.eq(s0_sign),
                s1_nan.eq(self.nan),
            ]
        m.d.comb += [
            rounder.en.eq(self.en),
            rounder.sign.eq(s1_sign),
            rounder.magnitude.eq(s1_magnitude),
            rounder.exponent.eq(s1_exponent),
            rounder.nan.eq(s1_nan),
            self.out.eq(rounder.out),
        ]
        return m

    def _absolute(self, m: Module, sign):
        """The magnitude of the value, in parts that with their carry fit 64 bits."""
        parts, carry = [], sign
        for low in range(0, self.width, PART_BITS):
            bits = self.value.as_unsigned()[low:low + PART_BITS]
            inverse = Mux(sign, Const((1 << len(bits)) - 1), Const(0, len(bits)))
            part = Signal(len(bits) + 1, name=f"s0_part_{low}")
            m.d.comb += part.eq((bits ^ inverse) + carry)
            parts.append(part[:-1])
            carry = part[-1]
        return Cat(*parts)

    def _shorten(self, m: Module, magnitude):
        """64 bits that round alike, and how many bits were dropped below them.

        Bits are dropped only where a higher one is set that leaves at least 32 below it, and what
        is dropped stays in the lowest bit.
        """
        dropped = 0
        while len(magnitude) > MAGNITUDE_BITS:
            width = len(magnitude) - min(CHUNK_BITS, len(magnitude) - MAGNITUDE_BITS)
            chunk = len(magnitude) - width
            wide = Signal(name=f"s0_wide_{width}")
            shorter = Signal(width, name=f"s0_magnitude_{width}")
            m.d.comb += [
                wide.eq(magnitude[width:] != 0),
                shorter.eq(Mux(wide, magnitude[chunk:] | (magnitude[:chunk] != 0), magnitude)),
            ]
            dropped += Mux(wide, chunk, 0)
            magnitude = shorter
        return magnitude, dropped
