"""The stationary tile of a core, double-buffered."""

from itertools import pairwise

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from isa.config import LANES, TREES, WORD_BITS

KEPT = TREES - 1  # the last word of a tile waits in its stream


class Tile(wiring.Component):
    """Collects the next tile while the present one works.

    Members
    -------
    transpose : constant in an operation
    clear : what was collected is forgotten
    words : stream of words, 8 a tile
    ready : the next tile is complete
    swap : only while `ready`; it is the present tile from the next cycle on
    tile : codes [tree][lane] of the present tile: byte `lane` of word `tree`, or with `transpose`
        byte `tree` of word `lane`

    Timing
    ------
    `ready` comes in the cycle in which the eighth word is there; a tile every 8 cycles.
    """

    transpose: In(1)
    clear: In(1)
    words: In(stream.Signature(WORD_BITS))
    ready: Out(1)
    swap: In(1)
    tile: Out(8).array(TREES, LANES)

    def elaborate(self, platform):
        m = Module()
        kept = [Signal(WORD_BITS, name=f"kept_{k}", reset_less=True) for k in range(KEPT)]
        count = Signal(range(TREES))
        complete = Signal()
        following = [*kept, self.words.payload]

        m.d.comb += [
            complete.eq(count == KEPT),
            self.ready.eq(complete & self.words.valid),
            self.words.ready.eq(~complete | self.swap),
        ]
        with m.If(self.words.valid & ~complete):
            m.d.sync += [count.eq(count + 1), kept[-1].eq(self.words.payload),
                         *(a.eq(b) for a, b in pairwise(kept))]
        with m.If(self.swap):
            m.d.sync += count.eq(0)
            for tree in range(TREES):
                for lane in range(LANES):
                    m.d.sync += self.tile[tree][lane].eq(
                        Mux(self.transpose, following[lane].word_select(tree, 8),
                            following[tree].word_select(lane, 8)))
        with m.If(self.clear):
            m.d.sync += count.eq(0)
        return m
