"""The live elements of a list in the scratchpad, and where their rounds lie outside."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.axi import ADDRESS_BITS as EXTERNAL_BITS
from hdl.interfaces import ReadPort, address_bits, registers_layout
from isa.config import WORD_BYTES, Config
from isa.registers import ADDRESS_BITS, COUNT_BITS, Unit

ROUND = data.StructLayout({
    "external": EXTERNAL_BITS,  # byte address of the first run
    "none": 1,  # there is no such element; nor for any round after it
})


class LiveWalk(wiring.Component):
    """Goes through the elements and gives the place of each that is live, from `first` on.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse; `registers` hold from here on, with a count that is not zero
    stop : it is idle from the next cycle on
    registers : of the move unit
    port : ReadPort of the scratchpad
    rounds : stream of `ROUND`
    enough : no more rounds are wanted; what is left of the list is only counted
    active : elements are left
    live : how many are live, when it is not active any more
    trap : pulse, one cycle after `start`; a word of the list is not in the scratchpad

    Timing
    ------
    An element a cycle, and 2 cycles for a word of 8; with `enough` 3 cycles a word.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "start": In(1),
            "stop": In(1),
            "registers": In(registers_layout(Unit.MOVE)),
            "port": Out(ReadPort(config)),
            "rounds": Out(stream.Signature(ROUND)),
            "enough": In(1),
            "active": Out(1),
            "live": Out(COUNT_BITS),
            "trap": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        registers, port, rounds = self.registers, self.port, self.rounds
        low = (WORD_BYTES - 1).bit_length()
        left = Signal(COUNT_BITS)  # elements, those of the present word included
        before = Signal(COUNT_BITS)  # live ones to be passed by
        place = Signal(ADDRESS_BITS)  # of the next word
        beyond = Signal(ADDRESS_BITS + 1)  # of the list
        flags = Signal(WORD_BYTES)  # of the present word from the present element on
        ahead = Signal(range(WORD_BYTES + 1))  # elements of it
        asked, checked = Signal(), Signal()
        fetch, wanted, step = Signal(), Signal(), Signal()
        fresh = Signal(WORD_BYTES)  # live elements of a word that comes
        there = Signal(range(WORD_BYTES + 1))

        m.d.comb += [
            there.eq(Mux(left[low:].any(), WORD_BYTES, left[:low])),
            fresh.eq(~port.zeros & Cat(there > i for i in range(WORD_BYTES))),
            beyond.eq(place + ((registers.live.count + WORD_BYTES - 1) >> low)),
            self.trap.eq(self.active & ~checked & (beyond > self.config.words)),
            fetch.eq(self.active & checked & ~asked & (ahead == 0)),
            port.request.valid.eq(fetch),
            port.request.payload.eq(place[:address_bits(self.config)]),
            # a live element waits until its round is taken
            wanted.eq(flags[0] & (before == 0) & ~self.enough),
            rounds.valid.eq((ahead != 0) & wanted | ~self.active),
            rounds.payload.none.eq(~self.active),
            step.eq((ahead != 0) & (~wanted | rounds.ready)),
        ]
        with m.If(fetch & port.request.ready):
            m.d.sync += [asked.eq(1), place.eq(place + 1)]
        with m.If(port.valid & asked):
            m.d.sync += [asked.eq(0), ahead.eq(there), flags.eq(fresh),
                         self.live.eq(self.live + sum(fresh))]
        with m.If(self.enough & (ahead != 0)):
            m.d.sync += [ahead.eq(0), left.eq(left - ahead), self.active.eq(left != ahead)]
        with m.Elif(step):
            m.d.sync += [flags.eq(flags >> 1), ahead.eq(ahead - 1), left.eq(left - 1),
                         self.active.eq(left != 1),
                         rounds.payload.external.eq(
                             rounds.payload.external + registers.external_n2.stride)]
            with m.If(flags[0] & (before != 0)):
                m.d.sync += before.eq(before - 1)
        with m.If(self.active):
            m.d.sync += checked.eq(1)
        with m.If(self.start):
            m.d.sync += [
                self.active.eq(1), checked.eq(0), asked.eq(0), ahead.eq(0), self.live.eq(0),
                left.eq(registers.live.count), before.eq(registers.live.first),
                place.eq(registers.live_base.address),
                rounds.payload.external.eq(registers.external_base.address),
            ]
        with m.Elif(self.stop | self.trap):
            m.d.sync += [self.active.eq(0), asked.eq(0)]
        return m
