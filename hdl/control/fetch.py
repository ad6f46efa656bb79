"""Instruction fetch: bursts ahead of the program counter."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.axi import ADDRESS_BITS, BURST_LAYOUT, DATA_BITS, ReadChannel
from hdl.control.queue import Queue
from isa.instructions import FETCH_DEPTH, INSTRUCTION_BYTES

BUFFER = 4 * FETCH_DEPTH  # instructions read ahead at most
FLYING = 8 * FETCH_DEPTH - 1  # instructions under way at most, those of no use any more included


class Fetch(wiring.Component):
    """Reads instructions one after the other, from a new place after each jump.

    Bursts end at a multiple of their largest size, so none crosses a 4 KiB boundary. What is read
    ahead and not wanted, because of a jump, is let through and forgotten.

    Members
    -------
    jump, target : pulse and byte address; instructions come from there, what came before is gone
    stop : while set no burst is asked for
    external : ReadChannel
    words : stream of instructions, in order
    error : of the instruction that `words` shows: its read had an error response
    idle : nothing is under way

    Timing
    ------
    The request goes out two cycles after the jump; an instruction is there one cycle after its
    beat. Beats are always taken: there is room for all that was asked for.
    """

    def __init__(self):
        super().__init__({
            "jump": In(1),
            "target": In(ADDRESS_BITS),
            "stop": In(1),
            "external": Out(ReadChannel()),
            "words": Out(stream.Signature(DATA_BITS)),
            "error": Out(1),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = Queue(width=DATA_BITS, depth=BUFFER)
        m.submodules.errors = errors = Queue(width=1, depth=BUFFER)
        external, request = self.external, self.external.request

        place = Signal(ADDRESS_BITS)  # of the next burst
        shown = Signal(BURST_LAYOUT)
        showing = Signal()
        flying = Signal(range(FLYING + 1))
        useless = Signal(range(FLYING + 1))  # of those under way, the first so many
        length = Signal(range(FETCH_DEPTH))  # beats - 1
        beats = Signal(range(FETCH_DEPTH + 1))
        ask = Signal()
        keep = Signal()
        after = Signal.like(flying)

        low = INSTRUCTION_BYTES.bit_length() - 1
        m.d.comb += [
            # all ones minus the place in the aligned block
            length.eq(~place[low:low + len(length)]),
            beats.eq(length + 1),
            ask.eq(~self.stop & ~self.jump & (~showing | request.ready)
                   & (flying <= FLYING - FETCH_DEPTH)
                   & (queue.level + (flying - useless) <= BUFFER - FETCH_DEPTH)),
            request.valid.eq(showing),
            request.payload.eq(shown),
            external.ready.eq(1),
            keep.eq(external.valid & (useless == 0) & ~self.jump),
            queue.incoming.valid.eq(keep),
            queue.incoming.payload.eq(external.data),
            queue.clear.eq(self.jump),
            errors.incoming.valid.eq(keep),
            errors.incoming.payload.eq(external.error),
            errors.clear.eq(self.jump),
            self.words.valid.eq(queue.outgoing.valid),
            self.words.payload.eq(queue.outgoing.payload),
            self.error.eq(errors.outgoing.payload),
            queue.outgoing.ready.eq(self.words.ready),
            errors.outgoing.ready.eq(self.words.ready),
            self.idle.eq(flying == 0),
        ]
        with m.If(ask):
            m.d.comb += after.eq(flying + beats - external.valid)
            m.d.sync += [
                showing.eq(1),
                shown.address.eq(place),
                shown.length.eq(length),
                place.eq(place + (beats << low)),
            ]
        with m.Else():
            m.d.comb += after.eq(flying - external.valid)
            with m.If(request.ready):
                m.d.sync += showing.eq(0)
        m.d.sync += flying.eq(after)
        with m.If(self.jump):
            m.d.sync += [place.eq(self.target), useless.eq(after)]
        with m.Elif(external.valid & (useless != 0)):
            m.d.sync += useless.eq(useless - 1)
        return m
