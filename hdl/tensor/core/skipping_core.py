"""A tensor core that skips: each tree has a word and a position of its own, each lane an element
of its choice."""

from amaranth.hdl import Module, signed
from amaranth.lib.wiring import In, Out

from hdl.tensor.core.choose import Choose
from hdl.tensor.core.core import AccumulatingCore
from hdl.tensor.elements.pick import offset_bits, word_bits
from hdl.tensor.feed.sequencer import position_bits
from isa.config import LANES, TREES, WORD_BITS, Config


class SkippingCore(AccumulatingCore):
    """Multiplies stationary tiles with words into exact accumulators.

    Parameters
    ----------
    config : Config
        `mode`, `tree_stages`, `accumulator_bits`, `block`, `slot` and `reach` matter.

    Members
    -------
    tile : [tile of the super-tile][tree], 8 codes, lane 0 low
    pick_word, pick_offset
        Bit planes, lowest first, a bit a lane, see `Pick`: in the next cycle lane m multiplies its
        byte of a tree's word with the code of lane m - offset of this tile. All zero: tile 0, as
        it is.
    s_format, m_format : of the tiles and of the words; 0 is E4M3, 1 is E5M2
    valid : a bit a tree
    position, word : by tree
    bank, first
        The products are added to the tree's accumulator at `position` of `bank`, or replace it
        with `first`. Tiles and pick are those of the cycle before. Never refused; any cycle may
        be a bubble.
    written
        A bit a tree: its accumulator is written at the end of this cycle, `tree_stages` cycles
        after the word: a read address given in a later cycle sees it.
    read_bank, read_position
        Address of the accumulators that `sums` and `poison` show in the next cycle.
    sums : by tree, signed; undefined where poisoned
    poison : a bit a tree
    results, poisons : by tree, what is written with `written`

    Latency
    -------
    `tree_stages` cycles from a word to `written`. Reading, adding and writing an accumulator take
    one cycle, so any order of positions is right.
    """

    def __init__(self, *, config: Config):
        position = position_bits(config)
        super().__init__(config, {
            "tile": In(WORD_BITS).array(config.slot, TREES),
            "pick_word": In(LANES).array(word_bits(config)),
            "pick_offset": In(LANES).array(offset_bits(config)),
            "s_format": In(1),
            "m_format": In(1),
            "valid": In(TREES),
            "position": In(position).array(TREES),
            "word": In(WORD_BITS).array(TREES),
            "bank": In(1),
            "first": In(1),
            "written": Out(TREES),
            "read_bank": In(1),
            "read_position": In(position),
            "sums": Out(signed(config.accumulator_bits)).array(TREES),
            "poison": Out(TREES),
            "results": Out(signed(config.accumulator_bits)).array(TREES),
            "poisons": Out(TREES),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.choose = choose = Choose(config=self.config, rows=TREES)
        m.d.comb += [
            *(choose.words[d][tree].eq(row) for d, rows in enumerate(self.tile)
              for tree, row in enumerate(rows)),
            *(to.eq(of) for to, of in zip(choose.word, self.pick_word, strict=True)),
            *(to.eq(of) for to, of in zip(choose.offset, self.pick_offset, strict=True)),
        ]
        valid, bank, first, *positions = self._delayed(
            m, valid=self.valid, bank=self.bank, first=self.first,
            **{f"position{i}": position for i, position in enumerate(self.position)})
        m.d.comb += self.written.eq(valid)
        for i, position in enumerate(positions):
            self._add_tree(m, i, codes=choose.chosen[i], word=self.word[i], valid=valid[i],
                           address=self._address(position, bank), first=first)
        return m
