"""Accumulators as words: adding one that was stored, and storing one."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from isa.config import TREES, WORD_BITS, Config


class Raw(wiring.Component):
    """Takes the sums of a position tree by tree, adds a stored accumulator, makes raw words.

    Parameters
    ----------
    config : Config

    Members
    -------
    clear : between operations
    add : aux words are added, `config.raw_words` a position in the order of `Expand`
    store : totals leave as raw words, else one by one as `total`
    valid, last, ready : a position waits, and is taken with its last tree
    tree : whose sum is looked at
    sum, poison : its sum, in the same cycle
    aux : stream of words
    total_valid, total_ready, total_last, total, total_poison : the trees in order, if not `store`
    words : stream of raw words, if `store`

    Timing
    ------
    A tree a cycle, one cycle after its sum. Both streams keep up one word a cycle.

    Numerics
    --------
    Exact; a poisoned accumulator is the most negative number.
    """

    def __init__(self, *, config: Config):
        self.config = config
        width = config.accumulator_bits
        super().__init__({
            "clear": In(1),
            "add": In(1),
            "store": In(1),
            "valid": In(1),
            "last": In(1),
            "ready": Out(1),
            "tree": Out(range(TREES)),
            "sum": In(signed(width)),
            "poison": In(1),
            "aux": In(stream.Signature(WORD_BITS)),
            "total_valid": Out(1),
            "total_ready": In(1),
            "total_last": Out(1),
            "total": Out(signed(width)),
            "total_poison": Out(1),
            "words": Out(stream.Signature(WORD_BITS)),
        })

    def elaborate(self, platform):
        m = Module()
        width, high_words = self.config.accumulator_bits, self.config.raw_words - TREES
        tree = self.tree
        free = Signal()  # the total of the tree before can be replaced
        take = Signal()
        operand = Signal(signed(width))
        pending = Signal()
        enough = Signal()  # the high words, if any, are there

        m.d.comb += [
            take.eq(self.valid & free & enough & (~self.add | self.aux.valid)),
            self.ready.eq(take & (tree == TREES - 1)),
            self.total_valid.eq(pending & ~self.store),
        ]
        high = self._take_high(m, enough, tree, high_words)
        with m.If(take):
            m.d.sync += [
                tree.eq(tree + 1),
                self.total.eq(self.sum + operand),
                self.total_poison.eq(self.poison | (operand == -(1 << (width - 1)))),
                self.total_last.eq(self.last),
            ]
        with m.If(self.add):
            low = self.aux.payload[:min(width, WORD_BITS)]
            m.d.comb += [
                operand.eq(Cat(low, (word.word_select(tree, 8) for word in high))),
                self.aux.ready.eq(take | ~enough),
            ]

        given = self._store(m, pending, high_words)
        m.d.comb += free.eq(~pending | Mux(self.store, given, self.total_ready))
        with m.If(free):
            m.d.sync += pending.eq(take)
        with m.If(self.clear):
            m.d.sync += [tree.eq(0), pending.eq(0)]
        return m

    def _take_high(self, m, enough, tree, high_words):
        """The high aux words of the position, taken before those of the trees."""
        if not high_words:
            m.d.comb += enough.eq(1)
            return []
        high = [Signal(WORD_BITS, name=f"high_{i}", reset_less=True) for i in range(high_words)]
        level = Signal(range(high_words + 1))
        m.d.comb += enough.eq(~self.add | (level == high_words))
        with m.If(self.add & ~enough & self.aux.valid):
            m.d.sync += [level.eq(level + 1), Cat(high).eq(Cat(*high[1:], self.aux.payload))]
        with m.If(self.ready | self.clear):
            m.d.sync += level.eq(0)
        return high

    def _store(self, m, pending, high_words):
        """Drives the raw words; gives whether the pending total was given away as one."""
        width = self.config.accumulator_bits
        image = Signal(signed(width))
        given = Signal()
        m.d.comb += image.eq(Mux(self.total_poison, -(1 << (width - 1)), self.total))
        low = image[:WORD_BITS] if width >= WORD_BITS else image
        if not high_words:
            m.d.comb += [
                self.words.valid.eq(pending & self.store),
                self.words.payload.eq(low),
                given.eq(self.words.ready),
            ]
            return given
        collected = [Signal(WORD_BITS, name=f"collected_{i}", reset_less=True)
                     for i in range(high_words)]
        tree = Signal(range(TREES))
        to_come = Signal(range(high_words + 1))  # high words
        m.d.comb += [
            self.words.valid.eq((pending & self.store) | (to_come != 0)),
            self.words.payload.eq(Mux(to_come != 0, collected[0], low)),
            given.eq(self.words.ready & (to_come == 0)),
        ]
        with m.If(self.words.ready & (to_come != 0)):
            m.d.sync += [to_come.eq(to_come - 1),
                         *(a.eq(b) for a, b in pairwise(collected))]
        with m.Elif(pending & self.store & self.words.ready):
            m.d.sync += tree.eq(tree + 1)
            for i, word in enumerate(collected):
                m.d.sync += word.eq(Cat(word[8:], image[WORD_BITS + 8 * i:][:8]))
            with m.If(tree == TREES - 1):
                m.d.sync += to_come.eq(high_words)
        with m.If(self.clear):
            m.d.sync += [tree.eq(0), to_come.eq(0)]
        return given
