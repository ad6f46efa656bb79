"""A tensor core: 8 trees and their double-banked accumulators."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.memory.regfile import RegisterFile
from hdl.tensor.core.accumulate import AccumulatingTree, accumulator_layout
from hdl.tensor.feed.sequencer import position_bits
from isa.config import LANES, TREES, WORD_BITS, Config

TILE_LAYOUT = data.ArrayLayout(data.ArrayLayout(8, LANES), TREES)  # [tree][lane]


class AccumulatingCore(wiring.Component):
    """What all cores have: trees with their accumulators, and what waits for the products.

    A subclass has the members `s_format`, `m_format`, `read_bank`, `read_position`, `sums`,
    `poison`, `results` and `poisons` of a `Core`.
    """

    def __init__(self, config: Config, members: dict):
        self.config = config
        self.position_bits = exact_log2(config.block)
        super().__init__(members)

    def _add_tree(self, m: Module, i: int, *, codes, word, valid, address, first):
        """Tree `i`, which multiplies `codes` with `word`. `valid`, `address` and `first` are those
        of the words whose products leave it."""
        layout = accumulator_layout(self.config)
        tree = AccumulatingTree(config=self.config)
        memory = RegisterFile(width=layout.size, depth=2 * self.config.block, reads=2)
        m.submodules[f"tree{i}"] = tree
        m.submodules[f"accumulators{i}"] = memory
        shown = Signal(layout, name=f"shown{i}", reset_less=True)
        m.d.comb += [
            tree.s_codes.eq(codes),
            tree.m_codes.eq(word),
            tree.s_format.eq(self.s_format),
            tree.m_format.eq(self.m_format),
            memory.read_address[0].eq(address),
            tree.accumulator.eq(Mux(first, 0, memory.read_data[0])),
            memory.write_enable.eq(valid),
            memory.write_address.eq(address),
            memory.write_data.eq(tree.result),
            memory.read_address[1].eq(self._address(self.read_position, self.read_bank)),
            self.results[i].eq(tree.result.as_value()[:-1]),
            self.poisons[i].eq(tree.result.poison),
            self.sums[i].eq(shown.as_value()[:-1]),
            self.poison[i].eq(shown.poison),
        ]
        m.d.sync += shown.eq(memory.read_data[1])

    def _address(self, position, bank):
        return Cat(position[:self.position_bits], bank)

    def _delayed(self, m: Module, **values):
        """Values that came with a word, when its products leave the trees."""
        for stage in range(1, self.config.tree_stages + 1):
            following = {name: Signal(len(value), name=f"s{stage}_{name}")
                         for name, value in values.items()}
            m.d.sync += [following[name].eq(value) for name, value in values.items()]
            values = following
        return values.values()


class Core(AccumulatingCore):
    """Multiplies a stationary tile with a stream of words into exact accumulators.

    Parameters
    ----------
    config : Config
        `mode`, `tree_stages`, `accumulator_bits` and `block` matter.

    Members
    -------
    tile : 8x8 codes [tree][lane]
    s_format, m_format : of the tile and of the word; 0 is E4M3, 1 is E5M2
    valid, word, position, bank, first
        A word (lane 0 low): for each tree the products of its row of the tile with the word are
        added to the accumulator at `position` of `bank`, or replace it with `first`. The tile and
        the formats are those of the same cycle. Never refused; any cycle may be a bubble.
    written
        The accumulators of a word are written at the end of this cycle, `tree_stages` cycles after
        the word: a read address given in a later cycle sees them.
    read_bank, read_position
        Address of the accumulators that `sums` and `poison` show in the next cycle.
    sums : by tree, signed; undefined where poisoned
    poison : bit by tree
    results, poisons : by tree, what is written with `written`

    Latency
    -------
    `tree_stages` cycles from a word to `written`. Reading, adding and writing an accumulator take
    one cycle, so any order of positions is right.
    """

    def __init__(self, *, config: Config):
        super().__init__(config, {
            "tile": In(TILE_LAYOUT),
            "s_format": In(1),
            "m_format": In(1),
            "valid": In(1),
            "word": In(WORD_BITS),
            "position": In(position_bits(config)),
            "bank": In(1),
            "first": In(1),
            "written": Out(1),
            "read_bank": In(1),
            "read_position": In(position_bits(config)),
            "sums": Out(signed(config.accumulator_bits)).array(TREES),
            "poison": Out(TREES),
            "results": Out(signed(config.accumulator_bits)).array(TREES),
            "poisons": Out(TREES),
        })

    def elaborate(self, platform):
        m = Module()
        valid, address, first = self._delayed(
            m, valid=self.valid, address=self._address(self.position, self.bank), first=self.first)
        m.d.comb += self.written.eq(valid)
        for i in range(TREES):
            self._add_tree(m, i, codes=self.tile[i], word=self.word, valid=valid, address=address,
                           first=first)
        return m
