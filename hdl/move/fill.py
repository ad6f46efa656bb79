"""Bursts from external memory into the scratchpad."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.axi import BURST_LAYOUT, ReadChannel
from hdl.control.queue import Queue
from hdl.interfaces import WritePort, address_bits
from hdl.move.bursts import BEATS, BURSTS, LENGTH_BITS, MOVE_BURST_LAYOUT
from isa.config import Config


class Fill(wiring.Component):
    """Asks for bursts and writes what comes to the scratchpad.

    Members
    -------
    bursts : stream of `MOVE_BURST_LAYOUT`
    external : ReadChannel
    port : WritePort of the scratchpad
    idle : nothing is under way
    word : pulse; a word was written
    error : pulse; a beat was an error response (it is written all the same)

    Timing
    ------
    One word a cycle while external memory gives and the scratchpad takes. A beat waits on its
    channel until the scratchpad takes it.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "bursts": In(stream.Signature(MOVE_BURST_LAYOUT)),
            "external": Out(ReadChannel()),
            "port": Out(WritePort(config)),
            "idle": Out(1),
            "word": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        width = address_bits(self.config)
        # where the words of the bursts under way go
        m.submodules.places = places = Queue(width=width + LENGTH_BITS, depth=BURSTS)
        m.submodules.requests = requests = Queue(width=BURST_LAYOUT.size, depth=2)
        asked = Signal(BURST_LAYOUT)
        burst, external, request = self.bursts.payload, self.external, self.port.request
        index = Signal(range(BEATS))
        last = Signal()

        m.d.comb += [
            # a request that was shown on the bus may not be withdrawn: it goes through a queue
            requests.incoming.valid.eq(self.bursts.valid & places.incoming.ready),
            requests.incoming.payload.eq(asked),
            asked.address.eq(burst.external),
            asked.length.eq(burst.length),
            external.request.valid.eq(requests.outgoing.valid),
            external.request.payload.eq(requests.outgoing.payload),
            requests.outgoing.ready.eq(external.request.ready),
            self.bursts.ready.eq(requests.incoming.ready & places.incoming.ready),
            places.incoming.valid.eq(self.bursts.valid & self.bursts.ready),
            places.incoming.payload[:LENGTH_BITS].eq(burst.length),
            places.incoming.payload[LENGTH_BITS:].eq(burst.scratchpad),

            request.valid.eq(external.valid & places.outgoing.valid),
            request.payload.address.eq(places.outgoing.payload[LENGTH_BITS:] + index),
            request.payload.data.eq(external.data),
            external.ready.eq(request.ready & places.outgoing.valid),
            self.word.eq(external.valid & external.ready),
            self.error.eq(self.word & external.error),
            last.eq(index == places.outgoing.payload[:LENGTH_BITS]),
            places.outgoing.ready.eq(self.word & last),
            self.idle.eq(~places.outgoing.valid),
        ]
        with m.If(self.word):
            m.d.sync += index.eq(index + 1)
            with m.If(last):
                m.d.sync += index.eq(0)
        return m
