"""The coefficients of the vector unit: one value each, or 8 that are read by channel."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import ReadPort
from hdl.vector.layouts import COEFFICIENTS, FLOAT_BITS, GROUP_WORDS, WORD_FLOATS
from isa.config import LANES, WORD_BITS, Config
from isa.registers import ADDRESS_BITS, STRIDE_BITS

_COUNT = len(COEFFICIENTS)
_WORD = GROUP_WORDS.bit_length() - 1  # bits of a word's number in its coefficient


class Coefficients(wiring.Component):
    """Keeps K0, K1 and K2 for every lane; reads those by channel at each round of loop n5.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse; `channel`, `base`, `stride` and `values` hold from here on
    clear : forgets the round, and asks for nothing
    next : pulse; another round of n5 begins
    channel : bit i, coefficient i is read: 4 words at base + round * stride + 4 * i
    values : of the coefficients that are not
    input : ReadPort of an input that has the port while nothing is read here
    port : ReadPort of the scratchpad
    present : the coefficients are those of the round
    trap : the next word is not in the scratchpad; it is never asked for
    k0, k1, k2 : a value for each lane

    Timing
    ------
    Present two cycles after the last of the words was asked for, one a cycle; a coefficient that
    is not read takes a cycle where others are. Where there is none, always present.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "next": In(1),
            "channel": In(_COUNT),
            "base": In(ADDRESS_BITS),
            "stride": In(signed(STRIDE_BITS)),
            "values": In(FLOAT_BITS).array(_COUNT),
            "input": In(ReadPort(config)),
            "port": Out(ReadPort(config)),
            "present": Out(1),
            "trap": Out(1),
            **{k: Out(FLOAT_BITS).array(LANES) for k in COEFFICIENTS},
        })

    def elaborate(self, platform):
        m = Module()
        port, given = self.port, self.input
        asking = Signal()
        arriving = Signal()
        place = Signal(ADDRESS_BITS)  # of the round
        address = Signal(ADDRESS_BITS)
        word = Signal(_WORD)
        chosen = Signal(_COUNT, init=1)  # one of them
        arrived_word, arrived = Signal.like(word), Signal(_COUNT)
        wanted, legal, step, last = Signal(), Signal(), Signal(), Signal()
        number = Cat(chosen[1], chosen[2])
        m.d.comb += [
            address.eq(place + Cat(word, number)),
            wanted.eq((chosen & self.channel).any()),
            legal.eq(address < self.config.words),
            self.trap.eq(asking & wanted & ~legal),
            self.present.eq(~asking & ~arriving),
            step.eq(asking & (~wanted | port.request.ready & legal)),
            last.eq(chosen[-1] & (word.all() | ~wanted)),

            port.request.valid.eq(Mux(asking, wanted & legal & ~self.clear, given.request.valid)),
            port.request.payload.eq(Mux(asking, address, given.request.payload)),
            given.request.ready.eq(port.request.ready & ~asking),
            given.valid.eq(port.valid),
            given.data.eq(port.data),
            given.zeros.eq(port.zeros),
        ]
        m.d.sync += [
            arriving.eq(step & wanted & ~self.clear),
            arrived.eq(chosen),
            arrived_word.eq(word),
        ]
        with m.If(step):
            m.d.sync += word.eq(Mux(wanted, word + 1, 0))  # the last one returns to 0 by itself
            with m.If(word.all() | ~wanted):
                m.d.sync += [chosen.eq(chosen.rotate_left(1)), asking.eq(~last)]
        with m.If(self.next):
            m.d.sync += [asking.eq(self.channel.any()), place.eq(place + self.stride)]
        with m.If(self.start):
            m.d.sync += [asking.eq(self.channel.any()), place.eq(self.base)]
        with m.If(self.clear):
            m.d.sync += [asking.eq(0), word.eq(0), chosen.eq(1)]
        self._keep(m, arriving, arrived, arrived_word)
        return m

    def _keep(self, m, arriving, arrived, arrived_word):
        for i, name in enumerate(COEFFICIENTS):
            floats = Signal(WORD_BITS, name=f"{name}_word")
            m.d.comb += floats.eq(
                Mux(self.start, self.values[i].replicate(WORD_FLOATS), self.port.data))
            for place in range(GROUP_WORDS):
                here = arriving & arrived[i] & (arrived_word == place)
                for j in range(WORD_FLOATS):
                    kept = Signal(FLOAT_BITS, name=f"kept_{name}_{place * WORD_FLOATS + j}",
                                  reset_less=True)
                    m.d.comb += getattr(self, name)[place * WORD_FLOATS + j].eq(kept)
                    with m.If(self.start | here):
                        m.d.sync += kept.eq(floats.word_select(j, FLOAT_BITS))
