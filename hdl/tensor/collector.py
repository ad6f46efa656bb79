"""The reading end of the drain: complete sums, in order, from the accumulators."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hdl.tensor.sequencer import BANKS, position_bits
from isa.config import Config

CORES_BITS = 4


def core_bits(config: Config) -> int:
    """Width of a core's number; at least 1."""
    return max(1, (config.cores - 1).bit_length())


class Collector(wiring.Component):
    """Reads the sums of each block: cores outermost, then positions.

    A position follows its last word at once; the other cores' sums are complete when the first
    core's are, since all work on the same words.

    Parameters
    ----------
    config : Config

    Members
    -------
    clear : between operations
    cores : at work; constant in an operation
    positions_last : the last position of a block
    complete : pulse; one more sum is complete, and can be read from the next cycle on
    read_bank, read_position : to all cores, which answer in the next cycle
    valid, core, last
        The answer of `core` is there; it belongs to the last position of a block and core. It
        stays until `take`.
    take
    drained : pulse; a bank is free
    """

    def __init__(self, *, config: Config):
        self.config = config
        position = position_bits(config)
        super().__init__({
            "clear": In(1),
            "cores": In(CORES_BITS),
            "positions_last": In(position),
            "complete": In(1),
            "read_bank": Out(1),
            "read_position": Out(position),
            "valid": Out(1),
            "core": Out(core_bits(config)),
            "last": Out(1),
            "take": In(1),
            "drained": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        waiting = Signal(bits_for(BANKS * self.config.block))  # complete, not read, of core 0
        bank, position, core = Signal(), Signal(len(self.read_position)), Signal(len(self.core))
        # What is answered now. It is read again while it waits: accumulators have no output hold.
        shown_bank, shown_position = Signal(), Signal(len(position))
        free = Signal()
        issue = Signal()
        at_end, last_core = Signal(), Signal()
        block_end = Signal()

        m.d.comb += [
            free.eq(~self.valid | self.take),
            issue.eq(free & ((core != 0) | (waiting != 0))),
            at_end.eq(position == self.positions_last),
            last_core.eq(core + 1 == self.cores),
            self.read_bank.eq(Mux(free, bank, shown_bank)),
            self.read_position.eq(Mux(free, position, shown_position)),
            # not before the answer is taken: until then it is read again
            self.drained.eq(self.valid & self.take & block_end),
        ]
        m.d.sync += waiting.eq(waiting + self.complete - (issue & (core == 0)))
        with m.If(free):
            m.d.sync += self.valid.eq(issue)
        with m.If(issue):
            m.d.sync += [
                shown_bank.eq(bank), shown_position.eq(position),
                self.core.eq(core), self.last.eq(at_end), block_end.eq(at_end & last_core),
                position.eq(Mux(at_end, 0, position + 1)),
            ]
            with m.If(at_end):
                m.d.sync += [core.eq(Mux(last_core, 0, core + 1)), bank.eq(bank ^ last_core)]
        with m.If(self.clear):
            m.d.sync += [waiting.eq(0), self.valid.eq(0), bank.eq(0), position.eq(0), core.eq(0)]
        return m
