"""The entry of the drain: from the accumulators of all cores to one position after the other."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.clock import gated
from hdl.interfaces import registers_layout
from hdl.tensor.drain.collector import Collector
from hdl.tensor.drain.merge import Merge
from hdl.tensor.feed.sequencer import BANKS, position_bits
from isa.config import TREES, WORD_BITS, Config
from isa.registers import AuxMode, Unit


class Intake(wiring.Component):
    """Collects the sums of the cores; merges groups and adds elements where that is asked for.

    Parameters
    ----------
    config : Config

    Members
    -------
    clear : between operations
    registers
    positions_last, complete, complete_all, read_bank, read_position, drained : of `Collector`
    untouched : by core that leads a group, bit by bank: its sums are zero, whatever the cores say
    core_sum : [core][tree], in the cycle after its position
    core_poison : [core], a bit a tree
    core_open : bit by core, likewise: the gate of the position
    elements : stream of words, see `Merge`
    valid, last, sum, poison, open, ready
        The sums of a position by tree, whether it is the last of a block and core, and its gate;
        it is taken.

    Timing
    ------
    A position a cycle, or a group a cycle; one cycle later where something is added.
    """

    def __init__(self, *, config: Config):
        self.config = config
        number = signed(config.accumulator_bits)
        super().__init__({
            "clear": In(1),
            "registers": In(registers_layout(Unit.TENSOR)),
            "positions_last": In(position_bits(config)),
            "complete": In(config.cores),
            "complete_all": In(config.cores),
            "untouched": In(BANKS).array(config.cores),
            "read_bank": Out(1),
            "read_position": Out(position_bits(config)),
            "drained": Out(config.cores),
            "core_sum": In(number).array(config.cores, TREES),
            "core_poison": In(TREES).array(config.cores),
            "core_open": In(config.cores),
            "elements": In(stream.Signature(WORD_BITS)),
            "valid": Out(1),
            "last": Out(1),
            "sum": Out(number).array(TREES),
            "poison": Out(TREES),
            "open": Out(1),
            "ready": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        mode, groups = self.registers.mode, self.registers.groups
        m.submodules.collector = collector = Collector(config=self.config)
        merge = Merge(config=self.config)
        merged = Signal()
        zero = Signal()
        gated(m, "merge", merged, {"merge": merge})
        connect(m, flipped(self.elements), merge.elements)
        m.d.comb += [
            merged.eq(groups.merge | (mode.aux == AuxMode.ELEMENT)),
            collector.clear.eq(self.clear),
            collector.cores.eq(self.registers.positions.cores),
            collector.groups.eq(groups.groups),
            collector.merge.eq(groups.merge),
            collector.positions_last.eq(self.positions_last),
            collector.complete.eq(self.complete),
            collector.complete_all.eq(self.complete_all),
            zero.eq(Array(self.untouched)[collector.leader].bit_select(collector.bank, 1)),
            self.read_bank.eq(collector.read_bank),
            self.read_position.eq(collector.read_position),
            self.drained.eq(collector.drained),
            collector.take.eq(Mux(merged, merge.ready, self.ready)),
            merge.clear.eq(self.clear),
            merge.element.eq(mode.aux == AuxMode.ELEMENT),
            merge.format.eq(mode.output[0]),
            merge.valid.eq(collector.valid),
            merge.first.eq(~groups.merge | collector.first_group),
            merge.final.eq(~groups.merge | collector.last_group),
            merge.last.eq(collector.last),
            merge.poison.eq(Mux(zero, 0, Array(self.core_poison)[collector.core])),
            merge.total_ready.eq(self.ready),
            self.open.eq(self.core_open.bit_select(collector.core, 1)),
            self.valid.eq(Mux(merged, merge.total_valid, collector.valid)),
            self.last.eq(Mux(merged, merge.total_last, collector.last)),
            self.poison.eq(Mux(merged, merge.total_poison, merge.poison)),
            *(merge.sum[tree].eq(Mux(zero, 0, Array(core[tree] for core in self.core_sum)
                                     [collector.core]))
              for tree in range(TREES)),
            *(self.sum[tree].eq(Mux(merged, merge.total[tree], merge.sum[tree]))
              for tree in range(TREES)),
        ]
        return m
