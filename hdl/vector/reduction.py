"""Exact sums of groups over the nests of loops n0 and n1."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.clock import gated
from hdl.vector.accumulate import LaneSum
from hdl.vector.layouts import FLOAT_BITS
from hdl.vector.sums import SumWords
from isa.config import LANES, WORD_BITS


class Reduction(wiring.Component):
    """Adds groups lane by lane as integer multiples of 2^quantum, exactly.

    Members
    -------
    clear : forgets everything
    quantum : signed, -64 to 63; constant while there are groups
    across : each of the sums is that of all lanes
    source : groups are `t` (0) or `u` (1)
    offer, took, t, u, nest_last
        A stream of groups; `nest_last` with the last one of a sum.
    words : stream of words, 4 for each nest: its 8 sums in binary32

    Timing
    ------
    A group a cycle. The words of a nest are given while the groups of the next one are added; it
    waits at its end until they are on their way, two sums a cycle.
    """

    def __init__(self):
        super().__init__({
            "clear": In(1),
            "quantum": In(signed(8)),
            "across": In(1),
            "source": In(1),
            "offer": In(1),
            "took": Out(1),
            "t": In(FLOAT_BITS).array(LANES),
            "u": In(FLOAT_BITS).array(LANES),
            "nest_last": In(1),
            "words": Out(stream.Signature(WORD_BITS)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.convert = convert = SumWords()
        wiring.connect(m, convert.words, wiring.flipped(self.words))
        en = Signal()
        free = Signal()  # whole sums in the last stage have somewhere to go
        held = Signal(2)  # bit i: stage i + 1 holds a group
        last = Signal(2)
        m.d.comb += [
            free.eq(~(held[1] & last[1]) | convert.ready),
            en.eq(free & (self.offer | held.any())),
            self.took.eq(self.offer & free),
            convert.clear.eq(self.clear),
            convert.quantum.eq(self.quantum),
            convert.across.eq(self.across),
            convert.valid.eq(held[1] & last[1]),
        ]
        with m.If(en):
            m.d.sync += [
                held.eq(Cat(self.offer, held[0])),
                last.eq(Cat(self.nest_last, last[0])),
            ]
        with m.If(self.clear):
            m.d.sync += held.eq(0)

        lanes = {f"lane_{i}": LaneSum() for i in range(LANES)}
        gated(m, "lanes", en | self.clear, lanes)
        for i, lane in enumerate(lanes.values()):
            m.d.comb += [
                lane.clear.eq(self.clear),
                lane.en.eq(en),
                lane.quantum.eq(self.quantum),
                lane.s0_value.eq(Mux(self.source, self.u[i], self.t[i])),
                lane.s1_add.eq(held[0]),
                lane.s1_last.eq(last[0]),
                lane.s2_add.eq(held[1]),
                lane.s2_last.eq(last[1]),
                convert.sums[i].eq(lane.s2_sum),
            ]
        return m
