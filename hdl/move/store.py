"""Bursts from the scratchpad to external memory."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.axi import BURST_LAYOUT, DATA_BITS, WriteChannel
from hdl.control.queue import Queue
from hdl.interfaces import ReadPort, address_bits
from hdl.move.bursts import BEATS, BURSTS, MOVE_BURST_LAYOUT
from isa.config import Config

WORDS = 2 * BEATS  # read ahead of the write channel


class Store(wiring.Component):
    """Reads bursts of words from the scratchpad and writes them to external memory.

    Members
    -------
    bursts : stream of `MOVE_BURST_LAYOUT`
    external : WriteChannel
    port : ReadPort of the scratchpad
    idle : nothing is under way, all responses are there
    word : pulse; a word was given to external memory
    error : pulse; a burst had an error response

    Timing
    ------
    One word a cycle while the scratchpad gives and external memory takes. Data do not wait for
    their request to be taken: memories may wait for data before they take it.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "bursts": In(stream.Signature(MOVE_BURST_LAYOUT)),
            "external": Out(WriteChannel()),
            "port": Out(ReadPort(config)),
            "idle": Out(1),
            "word": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.requests = requests = Queue(width=BURST_LAYOUT.size, depth=2)
        m.submodules.words = words = Queue(width=DATA_BITS, depth=WORDS)
        m.submodules.lasts = lasts = Queue(width=1, depth=WORDS)
        burst, external, port = self.bursts.payload, self.external, self.port
        under_way = Signal(range(BURSTS + 1))
        accept = Signal()

        # The request goes into a queue and the words are read at the same time.
        reading = Signal()
        place = Signal(address_bits(self.config))
        left = Signal.like(burst.length)
        room = Signal()
        read = Signal()
        arriving, arriving_last = Signal(), Signal()
        request = Signal(BURST_LAYOUT)
        m.d.comb += [
            self.bursts.ready.eq((~reading | (read & (left == 0))) & requests.incoming.ready
                                 & (under_way != BURSTS)),
            accept.eq(self.bursts.valid & self.bursts.ready),
            request.address.eq(burst.external),
            request.length.eq(burst.length),
            requests.incoming.valid.eq(accept),
            requests.incoming.payload.eq(request),

            room.eq(words.level + arriving < WORDS),
            port.request.valid.eq(reading & room),
            port.request.payload.eq(place),
            read.eq(port.request.valid & port.request.ready),
            words.incoming.valid.eq(port.valid),
            words.incoming.payload.eq(port.data),
            lasts.incoming.valid.eq(port.valid),
            lasts.incoming.payload.eq(arriving_last),
        ]
        m.d.sync += [arriving.eq(read), arriving_last.eq(left == 0)]
        with m.If(read):
            m.d.sync += [place.eq(place + 1), left.eq(left - 1), reading.eq(left != 0)]
        with m.If(accept):
            m.d.sync += [place.eq(burst.scratchpad), left.eq(burst.length), reading.eq(1)]

        m.d.comb += [
            external.request.valid.eq(requests.outgoing.valid),
            external.request.payload.eq(requests.outgoing.payload),
            requests.outgoing.ready.eq(external.request.ready),
            external.valid.eq(words.outgoing.valid),
            external.data.eq(words.outgoing.payload),
            external.last.eq(lasts.outgoing.payload),
            words.outgoing.ready.eq(external.ready),
            lasts.outgoing.ready.eq(external.ready),
            self.word.eq(external.valid & external.ready),
            self.error.eq(external.response & external.error),
            self.idle.eq(under_way == 0),
        ]
        m.d.sync += under_way.eq(under_way + accept - external.response)
        return m
