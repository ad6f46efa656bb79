"""Bursts from external memory into the scratchpad."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.axi import BURST_LAYOUT, ReadChannel
from hdl.control.queue import Queue
from hdl.interfaces import WritePort
from hdl.move.bursts import bursts_under_way, lanes_of, move_burst_layout, span_layout, span_of
from isa.config import Config


class Fill(wiring.Component):
    """Asks for bursts and writes what comes to the scratchpad.

    Each lane of a beat has its port; consecutive words never meet in a bank.

    Members
    -------
    bursts : stream of `move_burst_layout`
    external : ReadChannel
    ports : array of WritePort of the scratchpad, one for each lane
    idle : nothing is under way
    words : number of words of external memory written in this cycle
    error : pulse; a beat was an error response (it is written all the same)

    Timing
    ------
    One beat a cycle while external memory gives and the scratchpad takes. A beat waits on its
    channel until the scratchpad took all of its words. Bursts of zeros are a beat a cycle too.
    """

    def __init__(self, *, config: Config):
        self.config = config
        lanes = config.axi_words
        super().__init__({
            "bursts": In(stream.Signature(move_burst_layout(config))),
            "external": Out(ReadChannel(words=lanes)),
            "ports": Out(WritePort(config)).array(lanes),
            "idle": Out(1),
            "words": Out(range(lanes + 1)),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, lanes = self.config, self.config.axi_words
        layout = data.StructLayout({**span_layout(config).members, "zero": 1})
        # where the words of the bursts under way go
        m.submodules.places = places = Queue(width=layout.size, depth=bursts_under_way(config))
        m.submodules.requests = requests = Queue(width=BURST_LAYOUT.size, depth=2)
        asked = Signal(BURST_LAYOUT)
        burst, external = self.bursts.payload, self.external
        new, span = Signal(layout), Signal(layout)
        fields = span_of(burst, config) | {"zero": burst.zero}
        given = Signal()  # a beat is there
        m.d.comb += [
            *(new[name].eq(value) for name, value in fields.items()),
            # a request that was shown on the bus may not be withdrawn: it goes through a queue
            requests.incoming.valid.eq(self.bursts.valid & places.incoming.ready & ~new.zero),
            requests.incoming.payload.eq(asked),
            asked.address.eq(burst.external),
            asked.length.eq(new.beats),
            external.request.valid.eq(requests.outgoing.valid),
            external.request.payload.eq(requests.outgoing.payload),
            requests.outgoing.ready.eq(external.request.ready),
            self.bursts.ready.eq((requests.incoming.ready | new.zero) & places.incoming.ready),
            places.incoming.valid.eq(self.bursts.valid & self.bursts.ready),
            places.incoming.payload.eq(new),
            span.eq(places.outgoing.payload),
        ]

        index = Signal.like(span.beats)
        first, last = Signal(), Signal()
        wanted = Signal(lanes)  # to be written, of the beat that is there
        done = Signal(lanes)  # of these, what was taken in earlier cycles
        taken = Signal(lanes)
        beat = Signal()
        m.d.comb += [
            first.eq(index == 0),
            last.eq(index == span.beats),
            wanted.eq(lanes_of(span, first, last, config) & ~done),
            given.eq(places.outgoing.valid & (external.valid | span.zero)),
            beat.eq(given & (~wanted | Cat(p.request.ready for p in self.ports)).all()),
            external.ready.eq(beat & ~span.zero),
            taken.eq(Cat(p.request.valid & p.request.ready for p in self.ports)),
            self.words.eq(Mux(span.zero, 0, sum(taken))),
            self.error.eq(external.ready & external.error),
            places.outgoing.ready.eq(beat & last),
            self.idle.eq(~places.outgoing.valid),
        ]
        for lane, port in enumerate(self.ports):
            place = Cat(Const(lane, (lanes - 1).bit_length()), index)
            m.d.comb += [
                port.request.valid.eq(given & wanted[lane]),
                port.request.payload.address.eq(span.place + place),
                port.request.payload.data.eq(Mux(span.zero, 0, external.data[lane])),
            ]
        with m.If(beat):
            m.d.sync += index.eq(index + 1)
            with m.If(last):
                m.d.sync += index.eq(0)
        if lanes > 1:
            with m.If(beat):
                m.d.sync += done.eq(0)
            with m.Else():
                m.d.sync += done.eq(done | taken)
        return m
