"""The passes of a tensor operation: which word meets which tile, and where it is added."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.tensor.feed.passes import PASS
from isa.config import WORD_BITS, Config

SETTLED = 8  # cycles from the last word of the base to its gates, beside those of the trees
BANKS = 2  # halves of the accumulators: one is filled while the other is drained


def position_bits(config: Config) -> int:
    """Width of a position in a block; at least 1, since Verilog has no narrower port."""
    return max(1, (config.block - 1).bit_length())


STREAM_WORD = data.StructLayout({
    "data": WORD_BITS,
    "pass_last": 1,  # the last of a pass
})


class Sequencer(wiring.Component):
    """Feeds the cores.

    Parameters
    ----------
    config : Config

    Members
    -------
    clear : between operations
    words : stream of `STREAM_WORD`, one a position
    by_slot, slot_position, slot_first
        If `slot` is above 1: the words come by slots, any number a position; this is that of the
        next, and whether it is the first there. `by_slot` is constant in an operation.
    passes : stream of `PASS`; one that is live is taken as its tiles become the present ones
    drained : pulse; the older bank is free again
    gate : constant in an operation; a pass behind the gate waits until the gates are settled
    known : with `gate`: the threshold of the next block is
    begins, ended : pulses; a block begins, the present block ends
    behind, settled : with `gate`: the present pass is behind it; bit by bank, gates are settled
    valid, word, position, bank, first : to the cores
    complete : with `valid`: the sum at this position is complete with this word
    complete_all : pulse; all sums of the block are complete, none was before
    untouched : bit by bank: no pass of the block in it was done, its sums are zero
    wait_stream, wait_stationary, wait_drain : why there is no word in this cycle, if some are left;
        gates are waited for like tiles

    Timing
    ------
    The next tile is taken with the last word of a pass: passes follow without a gap. A block
    begins when one of the two banks is free. One whose last pass was left out ends in the cycle
    after its last word, or if it has none in a cycle of its own.
    """

    def __init__(self, *, config: Config):
        self.config = config
        position = position_bits(config)
        super().__init__({
            "clear": In(1),
            "words": In(stream.Signature(STREAM_WORD)),
            "passes": In(stream.Signature(PASS)),
            "drained": In(1),
            "gate": In(1),
            "known": In(1),
            "begins": Out(1),
            "ended": Out(1),
            "behind": Out(1),
            "settled": Out(BANKS),
            "valid": Out(1),
            "word": Out(WORD_BITS),
            "position": Out(position),
            "bank": Out(1),
            "first": Out(1),
            "complete": Out(1),
            "complete_all": Out(1),
            "untouched": Out(BANKS),
            "wait_stream": Out(1),
            "wait_stationary": Out(1),
            "wait_drain": Out(1),
            **({"by_slot": In(1), "slot_position": In(position),
                "slot_first": In(1)} if config.slot > 1 else {}),
        })

    def elaborate(self, platform):
        m = Module()
        loaded = Signal()  # the present tile has words to come
        final, last = Signal(), Signal()  # the present tile is the block's, the operation's last
        over = Signal()  # every word was fed
        begun = Signal()  # the present block has its bank
        used = Signal(range(BANKS + 1))  # banks begun and not drained
        room = Signal()
        take = Signal()
        swap, left_out = Signal(), Signal()  # of passes
        pass_last, block_last = Signal(), Signal()
        later = Signal()  # not in the first pass of a block
        settle = self.config.tree_stages + SETTLED
        since = Signal(range(settle + 1))  # cycles since the base of the block ended
        held = Signal()  # the next pass waits for the gates
        words, passes = self.words, self.passes
        by_slot, again, position = Const(0, 1), Const(0, 1), Signal.like(self.position)
        if self.config.slot > 1:
            by_slot, again = self.by_slot, self.by_slot & ~self.slot_first
            m.d.comb += self.position.eq(Mux(by_slot, self.slot_position, position))
        else:
            position = self.position

        m.d.comb += [
            room.eq(begun | ((used < BANKS) & (self.known | ~self.gate))),
            held.eq(passes.payload.behind & (since != settle)),
            self.begins.eq((take | left_out) & ~begun),
            self.ended.eq(block_last),
            self.settled.eq(Mux(since == settle, 1 << self.bank, 0)),
            words.ready.eq(loaded & room),
            take.eq(words.valid & words.ready),
            pass_last.eq(take & words.payload.pass_last),
            swap.eq(passes.valid & passes.payload.live & (~loaded | pass_last)
                    & ~held),
            left_out.eq(passes.valid & ~passes.payload.live & ~loaded & room),
            passes.ready.eq(swap | left_out),
            block_last.eq((pass_last & final) | left_out),
            self.valid.eq(take),
            self.word.eq(words.payload.data),
            self.first.eq(~later & ~again),
            self.complete.eq(take & final & ~by_slot),
            self.complete_all.eq(left_out | (pass_last & final & by_slot)),
            self.wait_drain.eq(~over & ~room),
            self.wait_stationary.eq(~over & room & ~loaded),
            self.wait_stream.eq(~over & room & loaded & ~words.valid),
        ]
        m.d.sync += used.eq(used + ((take | left_out) & ~begun) - self.drained)
        with m.If((take | left_out) & ~begun):
            m.d.sync += self.untouched.bit_select(self.bank, 1).eq(left_out)
        with m.If(passes.valid & held & ~loaded):
            m.d.sync += since.eq(since + 1)
        with m.If(take):
            m.d.sync += [begun.eq(1), position.eq(Mux(pass_last, 0, position + 1))]
        with m.If(pass_last):
            m.d.sync += [loaded.eq(0), later.eq(1), over.eq(last)]
        with m.If(block_last):
            m.d.sync += [begun.eq(0), later.eq(0), self.bank.eq(~self.bank), since.eq(0)]
        with m.If(left_out):
            m.d.sync += over.eq(passes.payload.last)
        with m.If(swap):
            m.d.sync += [loaded.eq(1), final.eq(passes.payload.block_last),
                         last.eq(passes.payload.last), self.behind.eq(passes.payload.behind)]
        with m.If(self.clear):
            m.d.sync += [loaded.eq(0), over.eq(0), begun.eq(0), used.eq(0), later.eq(0),
                         position.eq(0), self.bank.eq(0), since.eq(0), self.behind.eq(0)]
        return m
