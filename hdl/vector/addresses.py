"""The places of an output's words."""

from amaranth.hdl import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.streams.walker import Walker
from hdl.vector.layouts import COUNTS, GROUP_WORDS, STRIDES, WALKED, place_layout
from isa.config import Config
from isa.registers import ADDRESS_BITS, REDUCED, VECTOR_LOOPS


class OutputAddresses(wiring.Component):
    """Gives the place of each word of an output, in loop order.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse; the inputs below it hold from here on
    clear : forgets everything
    words : consecutive words of a group
    reduced : loops n0 and n1 are not used
    base, counts, strides
    places : stream of `place_layout`
    busy : from `start` until the last place is taken
    trap : the next place is not in the scratchpad; it is never given
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "words": In(range(GROUP_WORDS + 1)),
            "reduced": In(1),
            "base": In(ADDRESS_BITS),
            "counts": In(COUNTS),
            "strides": In(STRIDES),
            "places": Out(stream.Signature(place_layout(config))),
            "busy": Out(1),
            "trap": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.walker = walker = Walker(loops=WALKED)
        item = walker.items.payload
        m.d.comb += [
            walker.start.eq(self.start),
            walker.stop.eq(self.clear),
            walker.base.eq(self.base),
            walker.counts.word.eq(self.words),
            walker.steps.word.stride.eq(1),
        ]
        for loop in VECTOR_LOOPS:
            inner = loop in REDUCED
            m.d.comb += [
                walker.counts[loop].eq(
                    Mux(self.reduced, 1, self.counts[loop]) if inner else self.counts[loop]),
                walker.steps[loop].stride.eq(self.strides[loop]),
            ]
        m.d.comb += [
            self.trap.eq(walker.items.valid & (item.address >= self.config.words)),
            self.places.valid.eq(walker.items.valid & ~self.trap),
            self.places.payload.address.eq(item.address),
            self.places.payload.last.eq(item.last[0]),
            walker.items.ready.eq(self.places.ready & ~self.trap),
        ]
        with m.If(self.start):
            m.d.sync += self.busy.eq(1)
        with m.Elif(self.clear | walker.items.valid & walker.items.ready & item.last[-1]):
            m.d.sync += self.busy.eq(0)
        return m
