"""Binary32 to FP8: scale by a power of two, round once, saturate."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.binary32 import BIAS, SIGNIFICAND_BITS, Unpacked, normalise, shift_right_sticky
from isa.formats import E4M3, E5M2

EXPONENT_BITS = 10  # signed; holds any exponent of binary32 plus any scale
SHIFT_BITS = 5
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

        # The exponent that the code would have, were there no lower bound, less one; and what is
        # missing to the lower bound. Neither waits for the other.
        s0_start = Signal(signed(EXPONENT_BITS))
        s0_above = Signal(signed(EXPONENT_BITS))
        s0_below = Signal(signed(EXPONENT_BITS))
        m.d.comb += [
            s0_start.eq(value.exponent + self.scale
                        - Mux(self.format, BIAS - E5M2.bias + 1, BIAS - E4M3.bias + 1)),
            s0_above.eq(s0_start - count),
            s0_below.eq(count - s0_start),
        ]

        s1 = {name: Signal(shape, name=f"s1_{name}", reset_less=True) for name, shape in (
            ("placed", SIGNIFICAND_BITS + 1), ("above", EXPONENT_BITS - 1),
            ("right", SHIFT_BITS), ("sign", 1), ("nan", 1), ("infinite", 1), ("format", 1),
            ("stochastic", 1), ("random", RANDOM_BITS))}
        far = (1 << SHIFT_BITS) - 1  # shifts everything below the last bit that rounding looks at
        with m.If(self.en):
            m.d.sync += [
                # the last bit of both formats in the same place
                s1["placed"].eq(Mux(self.format, shifted, shifted << 1)),
                s1["above"].eq(Mux(s0_above < 0, 0, s0_above)),
                s1["right"].eq(Mux(s0_above >= 0, 0, Mux(s0_below > far, far, s0_below))),
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
        # The fixed point is 4 kept bits, of E5M2 the last 3, and then all that is below them.
        width = SIGNIFICAND_BITS + 1
        below = width - KEPT_BITS
        grid = shift_right_sticky(m, "s1", s1["placed"], s1["right"])
        kept, rest = grid[below:], grid[:below]

        up = Signal()
        m.d.comb += up.eq(Mux(
            s1["stochastic"],
            (rest[below - RANDOM_BITS:] + s1["random"])[RANDOM_BITS],
            rest[-1] & (kept[0] | (rest[:-1] != 0))))

        # Exponent and kept bits side by side; the leading one adds to the exponent.
        base = Signal(EXPONENT_BITS + E4M3.fraction_bits)
        rounded = Signal(EXPONENT_BITS + KEPT_BITS)
        m.d.comb += [
            base.eq(Mux(s1["format"], s1["above"] << E5M2.fraction_bits,
                        s1["above"] << E4M3.fraction_bits) + kept),
            rounded.eq(base + up),
        ]
        return rounded
