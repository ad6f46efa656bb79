"""The bias of the trees, for the present block and core."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from isa.config import TREES, WORD_BITS

FLOAT_BITS = 32
WORDS = TREES * FLOAT_BITS // WORD_BITS


class Bias(wiring.Component):
    """Holds 8 binary32 numbers.

    Members
    -------
    clear : between operations; the numbers become +0
    words : stream of words, 4 for each block and core
    valid : the 8 numbers are there
    bias : the 8 numbers
    release : only while `valid`; the next 4 words are taken
    """

    clear: In(1)
    words: In(stream.Signature(WORD_BITS))
    valid: Out(1)
    bias: Out(FLOAT_BITS).array(TREES)
    release: In(1)

    def elaborate(self, platform):
        m = Module()
        kept = [Signal(WORD_BITS, name=f"kept_{i}") for i in range(WORDS)]
        level = Signal(range(WORDS + 1))
        m.d.comb += [
            self.valid.eq(level == WORDS),
            self.words.ready.eq(~self.valid),
            Cat(self.bias).eq(Cat(kept)),
        ]
        with m.If(self.words.valid & ~self.valid):
            m.d.sync += [level.eq(level + 1), kept[-1].eq(self.words.payload),
                         *(a.eq(b) for a, b in pairwise(kept))]
        with m.If(self.release):
            m.d.sync += level.eq(0)
        with m.If(self.clear):
            m.d.sync += [level.eq(0), *(word.eq(0) for word in kept)]
        return m
