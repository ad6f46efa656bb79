"""From the addresses of a stream to its words."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import ReadPort
from hdl.streams.walker import item_layout
from isa.config import WORD_BITS, WORD_BYTES, Config


def word_layout(loops: int, words: int = 1) -> data.StructLayout:
    """A word with its zero flags and the `last` flags of the item that it was read for. With
    `words` > 1 data and flags are arrays."""
    fields = {"data": WORD_BITS, "zeros": WORD_BYTES}
    if words > 1:
        fields = {name: data.ArrayLayout(bits, words) for name, bits in fields.items()}
    return data.StructLayout({**fields, "last": loops})


class WordReader(wiring.Component):
    """Reads a word of the scratchpad for each item of a walker, in order.

    Parameters
    ----------
    config : Config
    loops : int
        Loops of the walker (width of `last`).
    words : int
        Words of a wide request; 1 if there are none.

    Members
    -------
    items : stream of `item_layout`, from a walker
    wide : the items are for `words` words each, only with `words` > 1. Else the word is the first.
    port : ReadPort of the scratchpad
    words : stream of `word_layout`; an item that is not inside gives a zero word and touches no
        bank
    trap : 1 while the next item is inside and not in the scratchpad, or wide and not a multiple of
        `words`. It is never taken: only `stop` of the walker and a clear of the reader get past it.
    clear : what was read and not taken is forgotten, and nothing is asked for

    Timing
    ------
    A word is valid one cycle after its request was taken, and one word a cycle is kept up. The
    request depends on room alone, not on `words.ready` of the same cycle. What stops a request
    that waits withdraws it: the scratchpad decides each cycle anew.
    """

    def __init__(self, *, config: Config, loops: int, words: int = 1):
        self.config = config
        self.loops = loops
        self.number = words
        super().__init__({
            "items": In(stream.Signature(item_layout(loops))),
            "port": Out(ReadPort(config, words)),
            "words": Out(stream.Signature(word_layout(loops, words))),
            "trap": Out(1),
            "clear": In(1),
            **({"wide": In(1)} if words > 1 else {}),
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
        arrival, given = [last], [words.payload.last]
        for name, outside_value in (("data", 0), ("zeros", 2 ** WORD_BYTES - 1)):
            answers, payload = getattr(port, name), words.payload[name]
            for i in range(self.number):
                answer, to = (answers[i], payload[i]) if self.number > 1 else (answers, payload)
                field = Signal(len(answer), name=f"arrival_{name}_{i}")
                m.d.comb += field.eq(Mux(outside, outside_value, answer))
                arrival.append(field)
                given.append(to)
        # what arrived and was not taken at once; with one on the way, two places keep full rate
        kept = [[Signal(len(field), name=f"kept_{i}_{k}", reset_less=True)
                 for k, field in enumerate(arrival)] for i in range(2)]
        level = Signal(range(3))
        push, pop = Signal(), Signal()

        m.d.comb += [
            legal.eq(~item.inside | ((item.address < self.config.words) & self._aligned(m))),
            self.trap.eq(self.items.valid & ~legal),
            room.eq(level + arriving < 2),
            port.request.valid.eq((item.inside & legal & room & ~self.clear) & self.items.valid),
            port.request.payload.eq(item.address),
            self.items.ready.eq(legal & room & ~self.clear
                                & (~item.inside | port.request.ready)),
            words.valid.eq((level != 0) | arriving),
            *(to.eq(Mux(level != 0, first, field))
              for to, first, field in zip(given, kept[0], arrival, strict=True)),
            pop.eq((level != 0) & words.ready),
            push.eq(arriving & ~((level == 0) & words.ready)),
        ]
        m.d.sync += arriving.eq(self.items.valid & self.items.ready)
        with m.If(self.items.valid & self.items.ready):
            m.d.sync += [outside.eq(~item.inside), last.eq(item.last)]
        with m.If(pop):
            m.d.sync += [first.eq(second) for first, second in zip(*kept, strict=True)]
        with m.If(push):
            with m.If(level == pop):  # the first place is free, or becomes it
                m.d.sync += [first.eq(field) for first, field in zip(kept[0], arrival, strict=True)]
            with m.Else():
                m.d.sync += [second.eq(field)
                             for second, field in zip(kept[1], arrival, strict=True)]
        m.d.sync += level.eq(level + push - pop)
        with m.If(self.clear):
            m.d.sync += [level.eq(0), arriving.eq(0)]
        return m

    def _aligned(self, m):
        """Whether the next item may be read as it is asked for."""
        if self.number == 1:
            return Const(1, 1)
        low = (self.number - 1).bit_length()
        m.d.comb += self.port.wide.eq(self.wide)
        return ~self.wide | (self.items.payload.address[:low] == 0)
