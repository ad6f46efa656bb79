"""The words that an output meets as it is written: of mask and of norm."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.streams.reader import word_layout
from hdl.streams.walker import item_layout
from isa.config import WORD_BITS, WORD_BYTES
from isa.registers import ADDRESS_BITS

COMPANION_LAYOUT = data.StructLayout({"zeros": WORD_BYTES, "norm": WORD_BITS})


class Companions(wiring.Component):
    """Reads one word or two for each position: of mask, then of norm.

    Parameters
    ----------
    loops : int
        Loops of the walker (width of `last`).

    Members
    -------
    clear : between operations
    mask, norm : which are read, at least one; constant in an operation
    mask_base, norm_base : addresses; likewise
    items : stream of `item_layout`, one a position, from a base of zero
    asked : stream of `item_layout`, to a reader
    words : stream of `word_layout`, from it
    companions : stream of `COMPANION_LAYOUT`, the zero flags of mask and the word of norm

    Timing
    ------
    A word a cycle; what is asked, a cycle after its item.
    """

    def __init__(self, *, loops: int):
        self.loops = loops
        super().__init__({
            "clear": In(1),
            "mask": In(1),
            "norm": In(1),
            "mask_base": In(ADDRESS_BITS),
            "norm_base": In(ADDRESS_BITS),
            "items": In(stream.Signature(item_layout(loops))),
            "asked": Out(stream.Signature(item_layout(loops))),
            "words": In(stream.Signature(word_layout(loops))),
            "companions": Out(stream.Signature(COMPANION_LAYOUT)),
        })

    def elaborate(self, platform):
        m = Module()
        both = Signal()
        second_asked, second_due = Signal(), Signal()  # that of norm, after that of mask
        asks_norm, complete = Signal(), Signal()
        zeros = Signal(WORD_BYTES, reset_less=True)
        items, asked, words, companions = self.items, self.asked, self.words, self.companions
        room = Signal()  # for what is asked next; `asked` is a register
        m.d.comb += [
            both.eq(self.mask & self.norm),
            asks_norm.eq(self.norm & (~both | second_asked)),
            complete.eq(~both | second_due),
            room.eq(~asked.valid | asked.ready),
            items.ready.eq(room & (~both | second_asked)),
            companions.valid.eq(words.valid & complete),
            companions.payload.zeros.eq(Mux(both, zeros, words.payload.zeros)),
            companions.payload.norm.eq(words.payload.data),
            words.ready.eq(~complete | companions.ready),
        ]
        with m.If(room):
            base = Mux(asks_norm, self.norm_base, self.mask_base)
            m.d.sync += [
                asked.valid.eq(items.valid),
                asked.payload.eq(items.payload),
                asked.payload.address.eq(items.payload.address + base),
            ]
        with m.If(items.valid & room & both):
            m.d.sync += second_asked.eq(~second_asked)
        with m.If(words.valid & words.ready & both):
            m.d.sync += [second_due.eq(~second_due), zeros.eq(words.payload.zeros)]
        with m.If(self.clear):
            m.d.sync += [asked.valid.eq(0), second_asked.eq(0), second_due.eq(0)]
        return m
