"""Binary32 to FP8: scale by a power of two, round once, saturate."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.binary32 import BIAS, SIGNIFICAND_BITS, Unpacked, normalise, shift_right_sticky
from isa.formats import E4M3, E5M2

EXPONENT_BITS = 10  # signed; holds any exponent of binary32 plus any scale
RANDOM_BITS = 16
KEPT_BITS = 1 + E4M3.fraction_bits  # the wider significand, implicit one included


class ToFp8(wiring.Component):
    """The FP8 code of value * 2^scale, rounded once (docs/architecture.md, Numbers).

    Members
    -------
    en : advances every register
    value : binary32 bits
    format : 0 is E4M3, 1 is E5M2
    scale : signed
    stochastic : round by `random`, else to nearest even
    random : 16 bits
    code : the result
    saturated : it was finite and too large, and is the largest finite number instead

    Latency
    -------
    2 cycles with `en`.
    """

    LATENCY = 2

    en: In(1)
    value: In(32)
    format: In(1)
    scale: In(signed(8))
    stochastic: In(1)
    random: In(RANDOM_BITS)
    code: Out(8)
    saturated: Out(1)

    def elaborate(self, platform):
        m = Module()
        value = Unpacked(m, "s0", self.value)
        shifted, count = normalise(m, "s0", value.significand, value.significand)

        # The exponent that the code would have, were there no lower bound; E5M2 is written with
        # the significand one bit lower, so that both keep their last bit in the same place.
        s0_exponent = Signal(signed(EXPONENT_BITS))
        m.d.comb += s0_exponent.eq(
            value.exponent + self.scale - count
            - Mux(self.format, BIAS - E5M2.bias, BIAS - E4M3.bias))

        s1 = {name: Signal(shape, name=f"s1_{name}", reset_less=True) for name, shape in (
            ("significand", SIGNIFICAND_BITS), ("exponent", signed(EXPONENT_BITS)), ("sign", 1),
            ("nan", 1), ("infinite", 1), ("format", 1), ("stochastic", 1),
            ("random", RANDOM_BITS))}
        with m.If(self.en):
            m.d.sync += [
                s1["significand"].eq(shifted),
                s1["exponent"].eq(s0_exponent),
                s1["sign"].eq(value.sign),
                s1["nan"].eq(value.nan),
                s1["infinite"].eq(value.infinite),
                s1["format"].eq(self.format),
                s1["stochastic"].eq(self.stochastic),
                s1["random"].eq(self.random),
            ]

        rounded = self._round(m, s1)
        most = Signal(7)
        over = Signal()
        s2_code = Signal(8, reset_less=True)
        s2_saturated = Signal(reset_less=True)
        m.d.comb += [
            most.eq(Mux(s1["format"], E5M2.max_code, E4M3.max_code)),
            over.eq(rounded > most),
            self.code.eq(s2_code),
            self.saturated.eq(s2_saturated),
        ]
        with m.If(self.en):
            m.d.sync += s2_saturated.eq(over & ~s1["nan"] & ~s1["infinite"])
            with m.If(s1["nan"] | s1["infinite"] & ~s1["format"]):
                m.d.sync += s2_code.eq(Mux(s1["format"], E5M2.nan_code, E4M3.nan_code))
            with m.Elif(s1["infinite"]):
                m.d.sync += s2_code.eq(Cat(Const(E5M2.infinity_code, 7), s1["sign"]))
            with m.Else():
                m.d.sync += s2_code.eq(Cat(Mux(over, most, rounded)[:7], s1["sign"]))
        return m

    def _round(self, m: Module, s1: dict):
        """The code below the sign as if exponents went on upwards."""
        exponent = s1["exponent"]

        # The fixed point is 4 kept bits, of E5M2 the last 3, and then all that is below them.
        width = SIGNIFICAND_BITS + 1
        below = width - KEPT_BITS
        placed = Signal(width)
        far = Signal(signed(EXPONENT_BITS))
        right = Signal(5)
        m.d.comb += [
            placed.eq(Mux(s1["format"], s1["significand"], s1["significand"] << 1)),
            far.eq(1 - exponent),
            right.eq(Mux(exponent >= 1, 0, Mux(far > 31, 31, far))),
        ]
        grid = shift_right_sticky(m, "s1", placed, right)
        kept, rest = grid[below:], grid[:below]

        up = Signal()
        m.d.comb += up.eq(Mux(
            s1["stochastic"],
            (rest[below - RANDOM_BITS:] + s1["random"])[RANDOM_BITS],
            rest[-1] & (kept[0] | (rest[:-1] != 0))))

        # Kept bits and exponent side by side; the leading one adds to the exponent.
        base = Signal(signed(EXPONENT_BITS))
        rounded = Signal(signed(EXPONENT_BITS + KEPT_BITS))
        m.d.comb += [
            base.eq(Mux(exponent >= 1, exponent - 1, 0)),
            rounded.eq(Mux(s1["format"], base << E5M2.fraction_bits, base << E4M3.fraction_bits)
                       + kept + up),
        ]
        return rounded
