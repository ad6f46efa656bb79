"""The passes of a group whose trees each walk through their live positions."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.tensor.feed.passes import PASS
from hdl.tensor.feed.sequencer import BANKS


class TreeSequencer(wiring.Component):
    """Says which pass the trees walk through, and where they add: a `Sequencer` of operations that
    skip dead outputs.

    Members
    -------
    clear : between operations
    passes : stream of `PASS`
    swap : the next tiles become the present ones
    filled : every word of the present pass is in the windows
    through : of all cores: after this cycle the windows have none of them
    walk, present : to the windows
    ended : pulse; the present pass ends with this cycle
    taken : a tree of the group has a word now
    drained : pulse; the older bank is free again
    bank, first : of the words that are taken in this cycle, see `Core`
    complete_all : pulse; all sums of the block are complete with the words of this cycle
    untouched : of `Sequencer`
    wait_stream, wait_stationary, wait_drain : why there is no word in this cycle, if some are left

    Timing
    ------
    The next pass is taken as the present one ends: passes follow without a gap. A pass is walked
    from the cycle after its swap on. All live positions of a block are taken in each of its passes,
    so the words of its first pass set their sums.
    """

    clear: In(1)
    passes: In(stream.Signature(PASS))
    swap: Out(1)
    filled: In(1)
    through: In(1)
    walk: Out(1)
    present: Out(1)
    ended: Out(1)
    taken: In(1)
    drained: In(1)
    bank: Out(1)
    first: Out(1)
    complete_all: Out(1)
    untouched: Out(BANKS)
    wait_stream: Out(1)
    wait_stationary: Out(1)
    wait_drain: Out(1)

    def elaborate(self, platform):
        m = Module()
        passes = self.passes
        running = Signal()  # the present pass has its tiles
        final, last = Signal(), Signal()  # it is the block's, the operation's last
        over = Signal()  # no pass is left
        begun = Signal()  # the present block has its bank
        used = Signal(range(BANKS + 1))  # banks begun and not drained
        room, begins, left_out, block_last = Signal(), Signal(), Signal(), Signal()
        later = Signal()  # not in the first pass of a block
        walked = Signal()  # in the cycle before
        m.d.comb += [
            room.eq(begun | (used < BANKS)),
            self.walk.eq(running & room),
            self.ended.eq(self.walk & self.filled & self.through),
            self.swap.eq(passes.valid & passes.payload.live & (~running | self.ended)),
            left_out.eq(passes.valid & ~passes.payload.live & ~running & room),
            passes.ready.eq(self.swap | left_out),
            block_last.eq((self.ended & final) | left_out),
            self.complete_all.eq(block_last),
            self.first.eq(~later),
            begins.eq((self.walk | left_out) & ~begun),
            self.wait_drain.eq(~over & ~room),
            self.wait_stationary.eq(~over & room & ~running),
            self.wait_stream.eq(walked & ~self.taken & ~self.wait_drain & ~self.wait_stationary),
        ]
        m.d.sync += [
            running.eq(self.swap | (running & ~self.ended)),
            used.eq(used + begins - self.drained),
            begun.eq((begun | begins) & ~block_last),
            later.eq((later | self.ended) & ~block_last),
            self.bank.eq(self.bank ^ block_last),
            self.present.eq(self.present ^ self.ended),
            over.eq(over | (self.ended & last) | (left_out & passes.payload.last)),
            walked.eq(self.walk),
        ]
        with m.If(begins):
            m.d.sync += self.untouched.bit_select(self.bank, 1).eq(left_out)
        with m.If(self.swap):
            m.d.sync += [final.eq(passes.payload.block_last), last.eq(passes.payload.last)]
        with m.If(self.clear):
            m.d.sync += [running.eq(0), used.eq(0), begun.eq(0), later.eq(0), self.bank.eq(0),
                         self.present.eq(0), over.eq(0), walked.eq(0)]
        return m
