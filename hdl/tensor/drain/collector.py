"""The reading end of the drain: complete sums, in order, from the accumulators."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hdl.tensor.feed.sequencer import BANKS, position_bits
from hdl.tensor.groups import CORES_BITS, core_bits
from isa.config import Config


class Collector(wiring.Component):
    """Reads the sums of each block: groups outermost, then cores, then positions; with `merge`
    cores outermost, then positions, then groups.

    A position follows its last word at once; the other cores' sums of a group are complete when
    the first core's are, since they work on the same words.

    Parameters
    ----------
    config : Config

    Members
    -------
    clear : between operations
    cores, groups, merge : at work; constant in an operation
    positions_last : the last position of a block
    complete : pulses, bit by core that leads a group: one more sum of the group is complete, and
        can be read from the next cycle on
    complete_all : likewise, all sums of a block are
    read_bank, read_position : to all cores, which answer in the next cycle
    valid, core, leader, bank, last, first_group, last_group
        The answer of `core` is there, from `bank`; `leader` leads its group. It belongs to
        the last position of a block and core, the first and the last group of those that are
        merged. It stays until `take`.
    take
    drained : pulses, bit by core that leads a group: a bank of the group is free
    """

    def __init__(self, *, config: Config):
        self.config = config
        position = position_bits(config)
        super().__init__({
            "clear": In(1),
            "cores": In(CORES_BITS),
            "groups": In(CORES_BITS),
            "merge": In(1),
            "positions_last": In(position),
            "complete": In(config.cores),
            "complete_all": In(config.cores),
            "read_bank": Out(1),
            "read_position": Out(position),
            "valid": Out(1),
            "core": Out(core_bits(config)),
            "leader": Out(core_bits(config)),
            "bank": Out(1),
            "last": Out(1),
            "first_group": Out(1),
            "last_group": Out(1),
            "take": In(1),
            "drained": Out(config.cores),
        })

    def elaborate(self, platform):
        m = Module()
        cores = self.config.cores
        # complete and not read, of a group's first core, by that core
        waiting = [Signal(bits_for(BANKS * self.config.block), name=f"waiting_{i}")
                   for i in range(cores)]
        bank, position = Signal(), Signal(len(self.read_position))
        # What is answered now. It is read again while it waits: accumulators have no output hold.
        shown_bank, shown_position = self.bank, Signal(len(position))
        free, issue = Signal(), Signal()
        at_end = Signal()
        next_position, next_bank = Signal(), Signal()
        block_end = Signal()

        m.d.comb += [
            free.eq(~self.valid | self.take),
            at_end.eq(position == self.positions_last),
            self.read_bank.eq(Mux(free, bank, shown_bank)),
            self.read_position.eq(Mux(free, position, shown_position)),
        ]
        core, leader, last_core, last_group = self._walk(m, issue, at_end, next_position)
        m.d.comb += [
            issue.eq(free & ((core != 0) | (Cat(w != 0 for w in waiting) >> leader)[0])),
            next_position.eq(issue & (~self.merge | last_group)),
            next_bank.eq(issue & at_end & last_core & last_group),
        ]
        shown_leader = self.leader
        for i, count in enumerate(waiting):
            after = count + Mux(self.complete_all[i], self.positions_last + 1, self.complete[i])
            m.d.sync += count.eq(Mux(issue & (core == 0) & (leader == i), after - 1, after))
            # not before the answer is taken: until then it is read again
            m.d.comb += self.drained[i].eq(self.valid & self.take & block_end
                                           & (shown_leader == i))
        with m.If(free):
            m.d.sync += self.valid.eq(issue)
        with m.If(issue):
            m.d.sync += [
                shown_bank.eq(bank), shown_position.eq(position), shown_leader.eq(leader),
                self.core.eq(core + leader), self.last.eq(at_end),
                self.first_group.eq(leader == 0), self.last_group.eq(last_group),
                block_end.eq(at_end & last_core), bank.eq(bank ^ next_bank),
            ]
        with m.If(next_position):
            m.d.sync += position.eq(Mux(at_end, 0, position + 1))
        with m.If(self.clear):
            m.d.sync += [self.valid.eq(0), bank.eq(0), position.eq(0),
                         *(count.eq(0) for count in waiting)]
        return m

    def _walk(self, m, issue, at_end, next_position):
        """The core in its group and the core that leads it, whose sum is read next, and whether
        they are the last."""
        if self.config.cores == 1:
            return Const(0, 1), Const(0, 1), Const(1, 1), Const(1, 1)
        core, leader, group = (Signal(len(self.core), name=name)
                               for name in ("in_group", "leader", "group"))
        last_core, last_group = Signal(), Signal()
        m.d.comb += [last_core.eq(core + 1 == self.cores), last_group.eq(group + 1 == self.groups)]
        with m.If(next_position & at_end):
            m.d.sync += core.eq(Mux(last_core, 0, core + 1))
        with m.If(issue & (self.merge | (at_end & last_core))):
            m.d.sync += [group.eq(Mux(last_group, 0, group + 1)),
                         leader.eq(Mux(last_group, 0, leader + self.cores))]
        with m.If(self.clear):
            m.d.sync += [core.eq(0), group.eq(0), leader.eq(0)]
        return core, leader, last_core, last_group
