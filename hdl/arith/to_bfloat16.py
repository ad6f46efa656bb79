"""Binary32 to bfloat16: its upper half, rounded."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.binary32 import Unpacked
from isa.formats import BFLOAT16

HALF_BITS = BFLOAT16.bits
TO_EVEN = (1 << HALF_BITS - 1) - 1  # with the last kept bit: what rounds to nearest even


class ToBfloat16(wiring.Component):
    """The bfloat16 code of a value, rounded once (docs/architecture.md, Numbers).

    Members
    -------
    en : advances every register
    value : binary32 bits
    stochastic : round by `random`, else to nearest even
    random : 16 bits
    code : the result; overflow is infinity

    Latency
    -------
    2 cycles with `en`.
    """

    LATENCY = 2

    en: In(1)
    value: In(32)
    stochastic: In(1)
    random: In(HALF_BITS)
    code: Out(HALF_BITS)

    def elaborate(self, platform):
        m = Module()
        value = Unpacked(m, "s0", self.value)
        kept, rest = self.value[HALF_BITS:], self.value[:HALF_BITS]
        below = Mux(self.stochastic, self.random, Const(TO_EVEN, HALF_BITS) + kept[0])

        s1_kept = Signal(HALF_BITS, reset_less=True)
        s1_up = Signal(reset_less=True)
        s1_nan = Signal(reset_less=True)
        s2_code = Signal(HALF_BITS, reset_less=True)
        with m.If(self.en):
            m.d.sync += [
                s1_kept.eq(kept),
                s1_up.eq((rest + below)[HALF_BITS]),
                s1_nan.eq(value.nan),
                s2_code.eq(Mux(s1_nan, BFLOAT16.nan_code, s1_kept + s1_up)),
            ]
        m.d.comb += self.code.eq(s2_code)
        return m
