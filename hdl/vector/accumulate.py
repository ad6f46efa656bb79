"""The exact sum of one lane."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.vector.layouts import FLOAT_BITS
from hdl.vector.quantise import INTEGER_BITS, Quantise

SUM_BITS = 64
SUM = data.StructLayout({"value": signed(SUM_BITS), "nan": 1})
_HALF = SUM_BITS // 2


class LaneSum(wiring.Component):
    """Adds numbers as integer multiples of 2^quantum in 64 bits; one NaN makes the sum NaN.

    Members
    -------
    clear : begins a new sum
    en : advances every register
    s0_value, quantum : a number of binary32, as for `Quantise`
    s1_add, s1_last : it is added; it is the last one of a sum
    s2_add, s2_last : the same, one cycle with `en` later
    s2_sum : where `s2_last`, the sum

    Timing
    ------
    The low half is added in stage 1, the high half in stage 2.
    """

    def __init__(self):
        super().__init__({
            "clear": In(1),
            "en": In(1),
            "quantum": In(signed(8)),
            "s0_value": In(FLOAT_BITS),
            "s1_add": In(1),
            "s1_last": In(1),
            "s2_add": In(1),
            "s2_last": In(1),
            "s2_sum": Out(SUM),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.quantise = quantise = Quantise()
        m.d.comb += [
            quantise.en.eq(self.en),
            quantise.quantum.eq(self.quantum),
            quantise.value.eq(self.s0_value),
        ]

        low = Signal(_HALF)
        s1_low = Signal(_HALF + 1)
        m.d.comb += s1_low.eq(low + quantise.floor[:_HALF] + quantise.up)
        s2_low = Signal(_HALF + 1, reset_less=True)
        s2_floor = Signal(signed(INTEGER_BITS - _HALF), reset_less=True)
        s2_nan = Signal(reset_less=True)
        with m.If(self.en):
            m.d.sync += [
                s2_low.eq(s1_low),
                s2_floor.eq(quantise.floor[_HALF:]),
                s2_nan.eq(quantise.nan),
            ]
            with m.If(self.s1_add):
                m.d.sync += low.eq(Mux(self.s1_last, 0, s1_low))

        high = Signal(_HALF)
        nan = Signal()
        s2_high = Signal(_HALF)
        m.d.comb += [
            s2_high.eq(high + s2_floor + s2_low[_HALF]),
            self.s2_sum.value.eq(s2_low[:_HALF] | s2_high << _HALF),
            self.s2_sum.nan.eq(nan | s2_nan),
        ]
        with m.If(self.en & self.s2_add):
            m.d.sync += [
                high.eq(Mux(self.s2_last, 0, s2_high)),
                nan.eq(~self.s2_last & self.s2_sum.nan),
            ]
        with m.If(self.clear):
            m.d.sync += [low.eq(0), high.eq(0), nan.eq(0)]
        return m
