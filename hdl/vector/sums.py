"""The sums of a nest on their way to memory."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.fixed_to_float import FixedToFloat
from hdl.vector.accumulate import SUM, SUM_BITS
from hdl.vector.layouts import GROUP_WORDS, WORD_FLOATS
from isa.config import LANES, WORD_BITS


class SumWords(wiring.Component):
    """Keeps the 8 sums of a nest and gives them as 4 words of binary32.

    Members
    -------
    clear : forgets everything
    quantum : exponent of the unit of the sums
    across : each word is the total of the 8 sums, twice
    valid, ready, sums : stream of sums, 8 at once
    words : stream of words

    Timing
    ------
    A word a cycle, with `across` after 4 cycles. The next sums are taken with the last two of the
    ones before.
    """

    def __init__(self):
        super().__init__({
            "clear": In(1),
            "quantum": In(signed(8)),
            "across": In(1),
            "valid": In(1),
            "ready": Out(1),
            "sums": In(SUM).array(LANES),
            "words": Out(stream.Signature(WORD_BITS)),
        })

    def elaborate(self, platform):
        m = Module()
        kept = [Signal(SUM, name=f"kept_{i}", reset_less=True) for i in range(LANES)]
        left = Signal(range(GROUP_WORDS + 1))  # words that are still kept
        adding = Signal(range(LANES // WORD_FLOATS + 1))  # cycles until the total is there
        going = Signal()
        en = Signal()
        room = Signal()
        held = Signal(FixedToFloat.LATENCY)  # bit i: stage i holds a word
        m.d.comb += [
            self.words.valid.eq(held[-1]),
            room.eq(~held[-1] | self.words.ready),
            going.eq((left != 0) & (adding == 0)),
            en.eq(room & (going | held.any())),
            self.ready.eq((left == 0) | (left == 1) & room),
        ]
        with m.If(en):
            m.d.sync += held.eq(Cat(going, held[:-1]))
            with m.If(going):
                m.d.sync += left.eq(left - 1)
        # Two sums leave a cycle; across, all go into two, and these into one another first.
        with m.If((adding == 0) & en & ~self.across):
            for here, there in zip(kept, kept[WORD_FLOATS:], strict=False):
                m.d.sync += here.eq(there)
        others = [Signal(SUM, name=f"other_{i}") for i in range(WORD_FLOATS)]
        m.d.comb += [other.eq(Mux(adding == 1, kept[1 - i], kept[WORD_FLOATS + i]))
                     for i, other in enumerate(others)]
        with m.If(adding != 0):
            m.d.sync += adding.eq(adding - 1)
            for here, there in zip(kept[WORD_FLOATS:], kept[2 * WORD_FLOATS:], strict=False):
                m.d.sync += here.eq(there)
            for here, other in zip(kept, others, strict=False):
                m.d.sync += [here.value.eq(here.value + other.value),
                             here.nan.eq(here.nan | other.nan)]
        with m.If(self.valid & self.ready):
            m.d.sync += [left.eq(GROUP_WORDS), adding.eq(Mux(self.across, LANES // WORD_FLOATS, 0)),
                         *(here.eq(there) for here, there in zip(kept, self.sums, strict=True))]
        with m.If(self.clear):
            m.d.sync += [left.eq(0), held.eq(0), adding.eq(0)]

        for i in range(WORD_FLOATS):
            m.submodules[f"convert_{i}"] = convert = FixedToFloat(width=SUM_BITS, exponent=0)
            m.d.comb += [
                convert.en.eq(en),
                convert.value.eq(kept[i].value),
                convert.scale.eq(self.quantum),
                convert.nan.eq(kept[i].nan),
                self.words.payload.word_select(i, WORD_BITS // WORD_FLOATS).eq(convert.out),
            ]
        return m
