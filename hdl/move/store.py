"""Bursts from the scratchpad to external memory."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.axi import BURST_LAYOUT, WriteChannel
from hdl.control.queue import Queue
from hdl.interfaces import ReadPort
from hdl.memory.beats import BeatQueue
from hdl.move.bursts import bursts_under_way, lanes_of, move_burst_layout, span_layout, span_of
from isa.config import Config

WORDS = 32  # read ahead of the write channel


class Store(wiring.Component):
    """Reads bursts of words from the scratchpad and writes them to external memory.

    Each lane of a beat has its port; consecutive words never meet in a bank.

    Members
    -------
    bursts : stream of `move_burst_layout`
    external : WriteChannel
    ports : array of ReadPort of the scratchpad, one for each lane
    idle : nothing is under way, all responses are there
    words : number of words given to external memory in this cycle
    error : pulse; a burst had an error response

    Timing
    ------
    One beat a cycle while the scratchpad gives and external memory takes. Data do not wait for
    their request to be taken: memories may wait for data before they take it.
    """

    def __init__(self, *, config: Config):
        self.config = config
        lanes = config.axi_words
        super().__init__({
            "bursts": In(stream.Signature(move_burst_layout(config))),
            "external": Out(WriteChannel(words=lanes)),
            "ports": Out(ReadPort(config)).array(lanes),
            "idle": Out(1),
            "words": Out(range(lanes + 1)),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, lanes = self.config, self.config.axi_words
        limit, depth = bursts_under_way(config), WORDS // lanes
        m.submodules.requests = requests = Queue(width=BURST_LAYOUT.size, depth=2)
        marks = lanes if lanes > 1 else 0  # a beat of one word is always whole
        m.submodules.beats = beats = BeatQueue(words=lanes, flags=1 + marks, depth=depth)
        burst, external = self.bursts.payload, self.external
        under_way = Signal(range(limit + 1))
        accept = Signal()
        new = Signal(span_layout(config))
        request = Signal(BURST_LAYOUT)

        # The request goes into a queue and the words are read at the same time.
        reading = Signal()
        read = Signal()  # the last words of a beat are asked for
        span = Signal.like(new)  # place and beats move on
        first, last = Signal(), Signal()
        able = Signal()  # another burst has room
        m.d.comb += [
            *(new[name].eq(value) for name, value in span_of(burst, config).items()),
            last.eq(span.beats == 0),
            able.eq(requests.incoming.ready & (under_way != limit)),
            self.bursts.ready.eq((able & ~reading) | ((able & last) & read)),
            accept.eq(self.bursts.valid & self.bursts.ready),
            request.address.eq(burst.external),
            request.length.eq(new.beats),
            requests.incoming.valid.eq(accept),
            requests.incoming.payload.eq(request),
        ]
        with m.If(read):
            m.d.sync += [span.place.eq(span.place + lanes), span.beats.eq(span.beats - 1),
                         reading.eq(~last), first.eq(0)]
        with m.If(accept):
            m.d.sync += [span.eq(new), reading.eq(1), first.eq(1)]
        m.d.sync += under_way.eq(under_way + accept - external.response)

        self._read(m, beats, span, first, last, reading, read)

        m.d.comb += [
            external.request.valid.eq(requests.outgoing.valid),
            external.request.payload.eq(requests.outgoing.payload),
            requests.outgoing.ready.eq(external.request.ready),
            external.valid.eq(beats.valid),
            *(to.eq(word) for to, word in zip(external.data, beats.data_out, strict=True)),
            external.last.eq(beats.flags_out[0]),
            external.lanes.eq(beats.flags_out[1:] if marks else 1),
            beats.pop.eq(external.valid & external.ready),
            self.error.eq(external.response & external.error),
            self.idle.eq(under_way == 0),
        ]
        with m.If(beats.pop):
            m.d.comb += self.words.eq(sum(external.lanes))
        return m

    def _read(self, m, beats, span, first, last, reading, read):
        """Reads one beat, all words in one cycle or in several, and puts it into the queue."""
        lanes = self.config.axi_words
        room = Signal()
        members = Signal(lanes)  # of the beat
        done = Signal(lanes)  # of these, what was asked for in earlier cycles
        arriving, flags = Signal(), Signal(beats.flags)  # of a beat whose last words arrive
        m.d.comb += [
            room.eq(beats.level + arriving < beats.depth),
            members.eq(lanes_of(span, first, last, self.config)),
            read.eq(reading & room & (~members | done
                                      | Cat(p.request.ready for p in self.ports)).all()),
            beats.write.eq(Cat(p.valid for p in self.ports)),
            beats.push.eq(arriving),
            beats.flags_in.eq(flags),
        ]
        for lane, port in enumerate(self.ports):
            m.d.comb += [
                port.request.valid.eq(reading & room & members[lane] & ~done[lane]),
                port.request.payload.eq(span.place + lane),
                beats.data_in[lane].eq(port.data),
            ]
        m.d.sync += [arriving.eq(read), flags.eq(Cat(last, members))]
        if lanes > 1:
            with m.If(read):
                m.d.sync += done.eq(0)
            with m.Else():
                m.d.sync += done.eq(done | Cat(p.request.valid & p.request.ready
                                               for p in self.ports))
        return m
