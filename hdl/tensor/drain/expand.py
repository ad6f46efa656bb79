"""The words of a position of the aux stream."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.streams.walker import item_layout
from isa.config import TREES, Config


class Expand(wiring.Component):
    """Gives each item of a walker as it is, or as the words of a raw accumulator.

    Raw words come high bytes first, then the low words of trees 0 to 7: then one adder serves all
    trees in order.

    Parameters
    ----------
    config : Config
    loops : int

    Members
    -------
    clear : between operations
    raw : `config.raw_words` words an item, else one; constant in an operation
    items, words : streams of `item_layout`
    """

    def __init__(self, *, config: Config, loops: int):
        self.config = config
        self.loops = loops
        super().__init__({
            "clear": In(1),
            "raw": In(1),
            "items": In(stream.Signature(item_layout(loops))),
            "words": Out(stream.Signature(item_layout(loops))),
        })

    def elaborate(self, platform):
        m = Module()
        raw_words = self.config.raw_words
        first = TREES % raw_words  # the high words, if there are any
        count = Signal(range(raw_words), init=first)
        offset = Signal(range(raw_words))
        last = Signal()
        items, words = self.items, self.words
        m.d.comb += [
            offset.eq(Mux(self.raw, count, 0)),
            last.eq(~self.raw | (count == TREES - 1)),
            words.valid.eq(items.valid),
            words.payload.eq(items.payload),
            words.payload.address.eq(items.payload.address + offset),
            items.ready.eq(words.ready & last),
        ]
        with m.If(words.valid & words.ready & self.raw):
            with m.If(count == TREES - 1):
                m.d.sync += count.eq(first)
            with m.Elif(count == raw_words - 1):
                m.d.sync += count.eq(0)
            with m.Else():
                m.d.sync += count.eq(count + 1)
        with m.If(self.clear):
            m.d.sync += count.eq(first)
        return m
