"""From the addresses of a stream to its words."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import ReadPort
from hdl.streams.walker import item_layout
from isa.config import WORD_BITS, WORD_BYTES, Config


def word_layout(loops: int) -> data.StructLayout:
    """A word with its zero flags and the `last` flags of the item that it was read for."""
    return data.StructLayout({"data": WORD_BITS, "zeros": WORD_BYTES, "last": loops})


class WordReader(wiring.Component):
    """Reads a word of the scratchpad for each item of a walker, in order.

    Parameters
    ----------
    config : Config
    loops : int
        Loops of the walker (width of `last`).

    Members
    -------
    items : stream of `item_layout`, from a walker
    port : ReadPort of the scratchpad
    words : stream of `word_layout`; an item that is not inside gives a zero word and touches no
        bank
    trap : 1 while the next item is inside and not in the scratchpad. It is never taken: only
        `stop` of the walker and a clear of the reader get past it.
    clear : what was read and not taken is forgotten, and nothing is asked for

    Timing
    ------
    A word is valid one cycle after its request was taken, and one word a cycle is kept up. The
    request depends on room alone, not on `words.ready` of the same cycle. What stops a request
    that waits withdraws it: the scratchpad decides each cycle anew.
    """

    def __init__(self, *, config: Config, loops: int):
        self.config = config
        self.loops = loops
        super().__init__({
            "items": In(stream.Signature(item_layout(loops))),
            "port": Out(ReadPort(config)),
            "words": Out(stream.Signature(word_layout(loops))),
            "trap": Out(1),
            "clear": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        item, port, words = self.items.payload, self.port, self.words
        legal = Signal()
        room = Signal()
        arriving = Signal()  # the item taken in the last cycle, whose word is here now
        outside = Signal()
        last = Signal(self.loops)
        # Field by field: a simulator is slow on signals over 64 bits.
        arrival = {"data": Signal(WORD_BITS), "zeros": Signal(WORD_BYTES), "last": last}
        # what arrived and was not taken at once; with one on the way, two places keep full rate
        kept = [{name: Signal(len(field), name=f"kept_{i}_{name}", reset_less=True)
                 for name, field in arrival.items()} for i in range(2)]
        level = Signal(range(3))
        push, pop = Signal(), Signal()

        m.d.comb += [
            legal.eq(~item.inside | (item.address < self.config.words)),
            self.trap.eq(self.items.valid & ~legal),
            room.eq(level + arriving < 2),
            port.request.valid.eq(self.items.valid & item.inside & legal & room & ~self.clear),
            port.request.payload.eq(item.address),
            self.items.ready.eq(legal & room & ~self.clear
                                & (~item.inside | port.request.ready)),
            arrival["data"].eq(Mux(outside, 0, port.data)),
            arrival["zeros"].eq(Mux(outside, 2 ** WORD_BYTES - 1, port.zeros)),
            words.valid.eq((level != 0) | arriving),
            *(words.payload[name].eq(Mux(level != 0, kept[0][name], field))
              for name, field in arrival.items()),
            pop.eq((level != 0) & words.ready),
            push.eq(arriving & ~((level == 0) & words.ready)),
        ]
        m.d.sync += arriving.eq(self.items.valid & self.items.ready)
        with m.If(self.items.valid & self.items.ready):
            m.d.sync += [outside.eq(~item.inside), last.eq(item.last)]
        with m.If(pop):
            m.d.sync += [kept[0][name].eq(kept[1][name]) for name in arrival]
        with m.If(push):
            with m.If(level == pop):  # the first place is free, or becomes it
                m.d.sync += [kept[0][name].eq(field) for name, field in arrival.items()]
            with m.Else():
                m.d.sync += [kept[1][name].eq(field) for name, field in arrival.items()]
        m.d.sync += level.eq(level + push - pop)
        with m.If(self.clear):
            m.d.sync += [level.eq(0), arriving.eq(0)]
        return m
