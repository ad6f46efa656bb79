"""A tensor core that skips: each tree has a word and a position of its own, each lane an element
of its choice."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.memory.regfile import RegisterFile
from hdl.tensor.accumulate import AccumulatingTree, accumulator_layout
from hdl.tensor.choose import Choose
from hdl.tensor.pick import offset_bits, word_bits
from isa.config import LANES, TREES, WORD_BITS, Config


class SkippingCore(wiring.Component):
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

    Latency
    -------
    `tree_stages` cycles from a word to `written`. Reading, adding and writing an accumulator take
    one cycle, so any order of positions is right.
    """

    def __init__(self, *, config: Config):
        self.config = config
        self.position_bits = exact_log2(config.block)
        position = unsigned(max(1, self.position_bits))  # a port has at least one bit
        super().__init__({
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
        valid, bank, first, *positions = self._delayed(m)
        m.d.comb += self.written.eq(valid)
        layout = accumulator_layout(self.config)
        for i, position in enumerate(positions):
            tree = AccumulatingTree(config=self.config)
            memory = RegisterFile(width=layout.size, depth=2 * self.config.block, reads=2)
            m.submodules[f"tree{i}"] = tree
            m.submodules[f"accumulators{i}"] = memory
            shown = Signal(layout, name=f"shown{i}", reset_less=True)
            m.d.comb += [
                tree.s_codes.eq(choose.chosen[i]),
                tree.m_codes.eq(self.word[i]),
                tree.s_format.eq(self.s_format),
                tree.m_format.eq(self.m_format),
                memory.read_address[0].eq(self._address(position, bank)),
                tree.accumulator.eq(Mux(first, 0, memory.read_data[0])),
                memory.write_enable.eq(valid[i]),
                memory.write_address.eq(self._address(position, bank)),
                memory.write_data.eq(tree.result),
                memory.read_address[1].eq(self._address(self.read_position, self.read_bank)),
                self.sums[i].eq(shown.as_value()[:-1]),
                self.poison[i].eq(shown.poison),
            ]
            m.d.sync += shown.eq(memory.read_data[1])
        return m

    def _address(self, position, bank):
        return Cat(position[:self.position_bits], bank)

    def _delayed(self, m: Module):
        """Valid bits, bank, `first` and positions of the words whose products leave the trees."""
        values = [self.valid, self.bank, self.first, *self.position]
        names = ["valid", "bank", "first", *(f"position{i}" for i in range(TREES))]
        for stage in range(1, self.config.tree_stages + 1):
            following = [Signal(len(value), name=f"s{stage}_{name}")
                         for name, value in zip(names, values, strict=True)]
            m.d.sync += [a.eq(b) for a, b in zip(following, values, strict=True)]
            values = following
        return values
