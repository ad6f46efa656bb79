"""One output of the vector unit."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import WritePort
from hdl.streams.skid import Skid
from hdl.vector.addresses import OutputAddresses
from hdl.vector.layouts import (
    COUNTS,
    FLOAT_BITS,
    GROUP_WORDS,
    MODE,
    STRIDES,
    group_words,
    place_layout,
)
from hdl.vector.scatter import Scatter
from isa.config import LANES, WORD_BITS, Config
from isa.formats import FormatCode
from isa.registers import ADDRESS_BITS


class Output(wiring.Component):
    """Writes the groups of an output: binary32 by itself, others through the converter; or sums.

    Words that turn wait for their places behind the turn, others bring them through the converter.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse; `mode`, `reduced`, `summed`, `base`, `counts` and `strides` hold from here on
    clear : forgets everything
    mode : how groups are written
    reduced : there is something for each round of the loops but n0 and n1
    summed : the words of `sums` are written, and no groups
    offer, took, t, u : a group, if `mode.enable` and not `summed`; `took` in its last cycle
    sums : stream of words
    asked : stream of places; a word to be made of the group for each. Ready only if it is offered.
    codes : stream of address and data, the words converted; with `mode.turn` without an address
    port : WritePort
    busy : places are left that were not asked for, or words that were not written
    trap : a word is not in the scratchpad

    Timing
    ------
    A word is written in the cycle in which it comes; one that loses its bank waits at the port.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "mode": In(MODE),
            "reduced": In(1),
            "summed": In(1),
            "base": In(ADDRESS_BITS),
            "counts": In(COUNTS),
            "strides": In(STRIDES),
            "offer": In(1),
            "took": Out(1),
            "t": In(FLOAT_BITS).array(LANES),
            "u": In(FLOAT_BITS).array(LANES),
            "sums": In(stream.Signature(WORD_BITS)),
            "asked": Out(stream.Signature(place_layout(config))),
            "codes": In(WritePort(config).members["request"].signature),
            "port": Out(WritePort(config)),
            "busy": Out(1),
            "trap": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.addresses = addresses = OutputAddresses(config=self.config)
        m.submodules.scatter = scatter = Scatter()
        wide = Signal()
        placed = Signal()  # words get their places here
        word = Signal(WORD_BITS)
        word_valid, word_ready = Signal(), Signal()
        m.submodules.skid = skid = Skid(layout=self.port.request.payload.shape())
        wiring.connect(m, skid.taken, wiring.flipped(self.port.request))
        places, request = addresses.places, skid.given

        m.d.comb += [
            wide.eq(self.summed | (self.mode.format == FormatCode.BINARY32)),
            placed.eq(wide | self.mode.turn),
            addresses.start.eq(self.start & (self.mode.enable | self.summed)),
            addresses.clear.eq(self.clear),
            addresses.words.eq(Mux(self.summed, GROUP_WORDS, group_words(self.mode.format))),
            addresses.reduced.eq(self.reduced),
            addresses.base.eq(self.base),
            addresses.counts.eq(self.counts),
            addresses.strides.eq(self.strides),
            self.busy.eq(addresses.busy | skid.held),
            skid.clear.eq(self.clear),
            self.trap.eq(addresses.trap),

            scatter.clear.eq(self.clear),
            scatter.offer.eq(self.offer & wide),
            scatter.source.eq(self.mode.source),
            *(here.eq(there) for here, there in zip(scatter.t, self.t, strict=True)),
            *(here.eq(there) for here, there in zip(scatter.u, self.u, strict=True)),
            scatter.words.ready.eq(word_ready & ~self.summed),
            self.sums.ready.eq(word_ready & self.summed),
            word.eq(Mux(self.summed, self.sums.payload,
                        Mux(wide, scatter.words.payload, self.codes.payload.data))),
            word_valid.eq(Mux(self.summed, self.sums.valid,
                              Mux(wide, scatter.words.valid, self.codes.valid))),
            word_ready.eq(places.valid & request.ready),

            self.asked.valid.eq(self.offer & ~wide & (places.valid | placed)),
            self.asked.payload.address.eq(places.payload.address),
            self.asked.payload.last.eq(places.payload.last | placed),
            self.took.eq(scatter.took
                         | self.asked.valid & self.asked.ready & self.asked.payload.last),
            places.ready.eq(Mux(placed, word_valid & request.ready,
                                self.offer & self.asked.ready)),
        ]
        with m.If(placed):
            m.d.comb += [
                request.valid.eq(word_valid & places.valid),
                request.payload.address.eq(places.payload.address),
                request.payload.data.eq(word),
                self.codes.ready.eq(word_ready),
            ]
        with m.Else():
            m.d.comb += [
                request.valid.eq(self.codes.valid),
                request.payload.eq(self.codes.payload),
                self.codes.ready.eq(request.ready),
            ]
        return m
