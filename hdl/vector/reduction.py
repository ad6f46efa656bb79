"""Exact sums of groups over the nests of loops n0 and n1."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.vector.delay import delayed
from hdl.vector.layouts import FLOAT_BITS
from hdl.vector.quantise import Quantise
from hdl.vector.sums import SUM, SumWords
from isa.config import LANES, WORD_BITS


class Reduction(wiring.Component):
    """Adds groups lane by lane as integer multiples of 2^quantum, exactly.

    Members
    -------
    clear : forgets everything
    quantum : signed, -64 to 63; constant while there are groups
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
        free = Signal()  # the last stage holds no whole sums that have nowhere to go
        held = Signal(Quantise.LATENCY)  # bit i: stage i holds a group
        last = delayed(m, "last", self.nest_last, Quantise.LATENCY, en)
        add = Signal()
        m.d.comb += [
            free.eq(~(held[-1] & last) | convert.ready),
            en.eq(free & (self.offer | held.any())),
            self.took.eq(self.offer & free),
            add.eq(held[-1] & free),
            convert.clear.eq(self.clear),
            convert.quantum.eq(self.quantum),
            convert.valid.eq(held[-1] & last),
        ]
        with m.If(en):
            m.d.sync += held.eq(Cat(self.offer, held[:-1]))
        with m.If(self.clear):
            m.d.sync += held.eq(0)

        for i in range(LANES):
            m.submodules[f"quantise_{i}"] = quantise = Quantise()
            total = Signal(SUM, name=f"total_{i}")
            following = Signal(SUM, name=f"following_{i}")
            m.d.comb += [
                quantise.en.eq(en),
                quantise.quantum.eq(self.quantum),
                quantise.value.eq(Mux(self.source, self.u[i], self.t[i])),
                following.value.eq(total.value + quantise.integer),
                following.nan.eq(total.nan | quantise.nan),
                convert.sums[i].eq(following),
            ]
            with m.If(self.clear | add & last):
                m.d.sync += total.eq(0)
            with m.Elif(add):
                m.d.sync += total.eq(following)
        return m
