"""The stationary tile of a core, double-buffered."""

from itertools import pairwise

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from isa.config import LANES, TREES, WORD_BITS

KEPT = TREES - 1  # the last word of a tile waits in its stream
TILE_WORD = data.StructLayout({"data": WORD_BITS, "zero": 1, "whole": 1})


class Tile(wiring.Component):
    """Collects the next tile while the present one works. On chips that read a word at a time.

    Members
    -------
    transpose, queued : constant in an operation
    clear : what was collected is forgotten
    words : stream of words with whether all their elements are zero, 8 a tile; or a `whole` tile
        that is zero and will be dropped
    found : the next tile is complete; with `queued` only until it is kept
    zero : with `found`: it has no non-zero element
    push : with `queued`: the tile that was found is kept until it is swapped in
    drop : the tile that was found is forgotten
    swap : the tile that is kept, or without `queued` the one that was found, is the present tile
        from the next cycle on
    tile : codes [tree][lane] of the present tile: byte `lane` of word `tree`, or with `transpose`
        byte `tree` of word `lane`

    Timing
    ------
    `found` comes in the cycle in which the eighth word is there; a tile every 8 cycles.
    """

    transpose: In(1)
    queued: In(1)
    clear: In(1)
    words: In(stream.Signature(TILE_WORD))
    found: Out(1)
    zero: Out(1)
    push: In(1)
    drop: In(1)
    swap: In(1)
    tile: Out(8).array(TREES, LANES)

    def elaborate(self, platform):
        m = Module()
        kept = [Signal(WORD_BITS, name=f"kept_{k}", reset_less=True) for k in range(KEPT)]
        count = Signal(range(TREES))
        complete = Signal()
        held = Signal()  # the tile is complete and kept
        some = Signal()  # a word before the last has a non-zero element
        word = self.words.payload
        following = [*kept, word.data]

        m.d.comb += [
            complete.eq((count == KEPT) | (self.words.valid & word.whole)),
            self.found.eq(complete & self.words.valid & ~held),
            self.zero.eq(~some & word.zero),
            self.words.ready.eq(~complete | self.swap | self.drop),
        ]
        with m.If(self.words.valid & ~complete):
            m.d.sync += [count.eq(count + 1), some.eq(some | ~word.zero), kept[-1].eq(word.data),
                         *(a.eq(b) for a, b in pairwise(kept))]
        with m.If(self.push):
            m.d.sync += held.eq(1)
        with m.If(self.swap):
            for tree in range(TREES):
                for lane in range(LANES):
                    m.d.sync += self.tile[tree][lane].eq(
                        Mux(self.transpose, following[lane].word_select(tree, 8),
                            following[tree].word_select(lane, 8)))
        with m.If(self.swap | self.drop | self.clear):
            m.d.sync += [count.eq(0), some.eq(0), held.eq(0)]
        return m
