"""From a group of binary32 numbers to its words."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.vector.layouts import FLOAT_BITS, GROUP_WORDS, WORD_FLOATS
from isa.config import LANES, WORD_BITS


class Scatter(wiring.Component):
    """Gives the 4 words of a group, which waits where it is.

    Members
    -------
    clear : begins anew
    offer : there is a group; it stays until `took`
    source : the group is `t` (0) or `u` (1)
    took : the last word is being taken
    words : stream of words
    """

    def __init__(self):
        super().__init__({
            "clear": In(1),
            "offer": In(1),
            "source": In(1),
            "t": In(FLOAT_BITS).array(LANES),
            "u": In(FLOAT_BITS).array(LANES),
            "took": Out(1),
            "words": Out(stream.Signature(WORD_BITS)),
        })

    def elaborate(self, platform):
        m = Module()
        place = Signal(range(GROUP_WORDS))
        taken = Signal()
        groups = [[Cat(values[i:i + WORD_FLOATS]) for i in range(0, LANES, WORD_FLOATS)]
                  for values in (self.t, self.u)]
        t_word, u_word = (Array(words)[place] for words in groups)
        m.d.comb += [
            self.words.valid.eq(self.offer),
            self.words.payload.eq(Mux(self.source, u_word, t_word)),
            taken.eq(self.words.valid & self.words.ready),
            self.took.eq(taken & place.all()),
        ]
        with m.If(self.clear):
            m.d.sync += place.eq(0)
        with m.Elif(taken):
            m.d.sync += place.eq(place + 1)  # 4 words: it returns to 0 by itself
        return m
