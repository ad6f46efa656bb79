"""The stream of a group whose zero elements are skipped: from slots to what lanes take."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.streams.queue import Queue
from hdl.tensor.core.planes import count, wire
from hdl.tensor.elements.pick import offset_bits, word_bits
from hdl.tensor.elements.slots import Slots
from hdl.tensor.feed.sequencer import BANKS, position_bits
from isa.config import LANES, WORD_BITS, WORD_BYTES, Config
from isa.registers import COUNT_BITS

AHEAD = 2  # passes whose slots come: the present one and the next


def about_layout(config: Config) -> data.StructLayout:
    """A slot's position, and whether it is the last of its pass."""
    return data.StructLayout({"position": position_bits(config), "pass_last": 1})


def cycle_layout(config: Config) -> data.StructLayout:
    """A cycle of a slot: its position, whether it is its first, and the last of its pass."""
    return data.StructLayout({"position": position_bits(config), "first": 1, "pass_last": 1})


class Elements(wiring.Component):
    """Skips zero elements of the slots of a group.

    A slot that needs no cycle is left out, but for the first executed pass of a block, where it
    sets its position to zero, and for the last slot of a pass.

    Parameters
    ----------
    config : Config
        `slot` above 1.

    Members
    -------
    clear : between operations
    rounds : of loop r0, words of a slot; constant in an operation
    droppable : words whose tiles are zero are left out; likewise
    push, drop, zero, behind, block_last
        A pass is done or left out; bit by word: the tiles of all cores are zero, or there is none;
        it is behind the gate of its block, and the last of it.
    settled, open
        Bit by bank: the gates of its block are; by bank, bit by position: they are open. A slot
        behind a gate waits until it is settled, and if it is closed counts as zero.
    valid, ready : the next slot is there, and it is taken
    data, zeros, pass_last : the slot
    picks : stream of `cycle_layout`
    take, word_number, offset : with it: of `Pick`
    word : of `Slots`, in the cycle after a pick was taken
    left_out : of the pass that is pushed or dropped: words whose tiles are zero, if `droppable`
    skipped, closed
        Of the slot that was taken in the cycle before, left out words apart: zero elements; or, if
        its gate is closed, words.
    """

    def __init__(self, *, config: Config):
        self.config = config
        slot = config.slot
        super().__init__({
            "clear": In(1),
            "rounds": In(COUNT_BITS),
            "droppable": In(1),
            "push": In(1),
            "drop": In(1),
            "zero": In(slot),
            "behind": In(1),
            "block_last": In(1),
            "settled": In(BANKS),
            "open": In(config.block).array(BANKS),
            "valid": In(1),
            "ready": Out(1),
            "data": In(WORD_BITS).array(slot),
            "zeros": In(WORD_BYTES).array(slot),
            "pass_last": In(1),
            "picks": Out(stream.Signature(cycle_layout(config))),
            "take": Out(LANES),
            "word_number": Out(LANES).array(word_bits(config)),
            "offset": Out(LANES).array(offset_bits(config)),
            "word": Out(WORD_BITS),
            "left_out": Out(range(slot + 1)),
            "skipped": Out(range(slot * LANES + 1)),
            "closed": Out(range(slot + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.slots = slots = Slots(config=self.config, about=about_layout(self.config))
        pass_ = self._pass(m)
        kept, first = pass_.kept, pass_.first
        position = Signal(position_bits(self.config))
        wanted, enter, there = Signal(), Signal(), Signal()
        shut = Signal()  # the gate of the slot is
        live = [wire(m, f"live_{d}", Mux(keep & ~shut, ~zeros, 0))
                for d, (keep, zeros) in enumerate(zip(kept, self.zeros, strict=True))]
        row = Mux(pass_.bank, *reversed(self.open))
        m.d.comb += [
            there.eq(self.valid & (~pass_.behind | self.settled.bit_select(pass_.bank, 1))),
            shut.eq(pass_.behind & ~row.bit_select(position, 1)),
            wanted.eq(Cat(live).any() | first | self.pass_last),
            self.ready.eq(there & (slots.ready | ~wanted)),
            enter.eq(self.valid & self.ready),
            slots.clear.eq(self.clear),
            slots.valid.eq(there & wanted),
            slots.about.position.eq(position),
            slots.about.pass_last.eq(self.pass_last),
            *(to.eq(of) for to, of in zip(slots.data, self.data, strict=True)),
            *(to.eq(of) for to, of in zip(slots.live, live, strict=True)),
            self.picks.valid.eq(slots.picks.valid),
            slots.picks.ready.eq(self.picks.ready),
            self.picks.payload.position.eq(slots.picks.payload.about.position),
            self.picks.payload.first.eq(slots.picks.payload.first),
            self.picks.payload.pass_last.eq(slots.picks.payload.about.pass_last
                                            & slots.picks.payload.last),
            self.take.eq(slots.picks.payload.take),
            *(to.eq(of) for to, of in zip(self.word_number, slots.picks.payload.word, strict=True)),
            *(to.eq(of) for to, of in zip(self.offset, slots.picks.payload.offset, strict=True)),
            self.word.eq(slots.word),
        ]
        dead = [Mux(keep & enter & ~shut, zeros, 0)
                for keep, zeros in zip(kept, self.zeros, strict=True)]
        m.d.sync += [self.skipped.eq(Cat(count(m, "dead", list(Cat(dead))))),
                     self.closed.eq(Mux(enter & shut, sum(kept), 0))]
        with m.If(enter):
            m.d.sync += position.eq(Mux(self.pass_last, 0, position + 1))
        with m.If(self.clear):
            m.d.sync += [position.eq(0), self.skipped.eq(0), self.closed.eq(0)]
        return m

    def _pass(self, m: Module):
        """Of the pass whose slot comes: which words are kept, whether it is the first of its block
        that is done, or behind its gate, and the bank of the block."""
        slot = self.config.slot
        there = wire(m, "there", Cat(d < self.rounds for d in range(slot)))
        fresh = Signal(init=1)  # no pass of the block was pushed
        bank = Signal()
        m.submodules.passes = passes = Queue(
            layout=data.StructLayout({"kept": slot, "first": 1, "behind": 1, "bank": 1}),
            depth=AHEAD)
        found = self.push | self.drop
        zero = wire(m, "zero_words", Mux(self.droppable, self.zero & there, 0))
        with m.If(found):
            m.d.sync += [fresh.eq(self.block_last | (fresh & self.drop)),
                         bank.eq(bank ^ self.block_last)]
        with m.If(self.clear):
            m.d.sync += [fresh.eq(1), bank.eq(0)]
        m.d.comb += [
            self.left_out.eq(Mux(found, sum(zero), 0)),
            passes.clear.eq(self.clear),
            passes.given.valid.eq(self.push),
            passes.given.payload.kept.eq(there & ~zero),
            passes.given.payload.first.eq(fresh),
            passes.given.payload.behind.eq(self.behind),
            passes.given.payload.bank.eq(bank),
            passes.taken.ready.eq(self.valid & self.ready & self.pass_last),
        ]
        return passes.taken.payload
