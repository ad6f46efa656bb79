"""Instruction fetch: bursts ahead of the program counter, and a ring of what came last."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.axi import ADDRESS_BITS, BURST_LAYOUT, ReadChannel
from hdl.interfaces import PC_BITS
from hdl.memory.regfile import RegisterFile
from isa.config import WORD_BITS
from isa.instructions import FETCH_DEPTH, INSTRUCTION_BYTES

RING = 4 * FETCH_DEPTH  # instructions kept
AHEAD = 2 * FETCH_DEPTH  # a burst is asked for while no more than these are ahead
BLOCKS = 8  # FETCH_DEPTH instructions each: under way are less, those of no use included

_LOW = INSTRUCTION_BYTES.bit_length() - 1
_INDEX_BITS = RING.bit_length() - 1
_NEAR_BITS = _INDEX_BITS + 2  # enough for differences of places in the ring, with a sign


class Fetch(wiring.Component):
    """Reads instructions one after the other, from a new place after each jump.

    The ring keeps what was fetched last: a jump to an instruction in it, such as the beginning of
    a short loop, needs no memory. Bursts end at a multiple of their largest size, so none crosses
    a 4 KiB boundary. What is under way and not wanted, because of a jump, is let through and
    forgotten. A program may not change instructions that it has not executed yet.

    A beat is one row of the ring, which has a column for each word of it. The first instruction of
    a program, or of what comes after a jump, may be at any word of its beat; what is before it in
    the row is not looked at.

    Parameters
    ----------
    words : int
        Words of a beat.

    Members
    -------
    program : byte address of the first instruction, a multiple of 8
    jump, target : pulse and number of an instruction; they come from there, what came before is
        gone
    flush : with `jump`: the ring is empty, memory may have changed
    stop : while set no burst is asked for
    external : ReadChannel
    words : stream of instructions, in order
    error : of the instruction that `words` shows: its read had an error response
    idle : nothing is under way

    Timing
    ------
    One instruction a cycle. After a jump the first comes in the next cycle if it is in the ring;
    else its request goes out two cycles after the jump, and it comes one cycle after its beat.
    Beats are always taken: there is room for all that was asked for.
    """

    def __init__(self, *, words: int):
        self.beat_words = words
        self.lane_bits = (words - 1).bit_length()
        super().__init__({
            "program": In(ADDRESS_BITS),
            "jump": In(1),
            "target": In(PC_BITS),
            "flush": In(1),
            "stop": In(1),
            "external": Out(ReadChannel(words=words)),
            "words": Out(stream.Signature(WORD_BITS)),
            "error": Out(1),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        external, request = self.external, self.external.request
        most = BLOCKS * FETCH_DEPTH // self.beat_words - 1  # beats under way

        # numbers of instructions: oldest <= at <= asked, and oldest <= filled <= asked
        oldest, filled = Signal(PC_BITS), Signal(PC_BITS)
        at, asked = Signal(PC_BITS), Signal(PC_BITS)
        flying = Signal(range(most + 1))  # beats
        useless = Signal(range(most + 1))  # of those under way, the first so many

        ahead, ready_ahead = Signal(_NEAR_BITS), Signal(_NEAR_BITS)
        hit = Signal()
        keep = Signal()
        m.d.comb += [
            ahead.eq(asked - at),
            ready_ahead.eq(filled - at),
            hit.eq(~self.flush & ((self.target - oldest)[:PC_BITS]
                                  <= (asked - oldest)[:_NEAR_BITS])),
            self.words.valid.eq((ready_ahead != 0) & ~ready_ahead[-1]),
            external.ready.eq(1),
            keep.eq(external.valid & (useless == 0)),
            self.idle.eq(flying == 0),
        ]
        lane = self._ring(m, at, filled, keep)

        # requests
        shown = Signal(BURST_LAYOUT)
        showing = Signal()
        place = Signal(range(FETCH_DEPTH))  # of the next burst, in an aligned block
        length = Signal(range(FETCH_DEPTH))  # instructions - 1
        beats = Signal(range(FETCH_DEPTH // self.beat_words))  # beats - 1
        ask = Signal()
        after = Signal(PC_BITS)  # what comes after the burst
        flying_after = Signal.like(flying)
        m.d.comb += [
            place.eq(asked + self.program[_LOW:]),
            length.eq(~place),  # to the end of the block: all ones minus the place
            beats.eq(length[self.lane_bits:]),
            after.eq(asked + length + 1),
            ask.eq(~self.stop & ~self.jump & (~showing | request.ready)
                   & (flying <= most - FETCH_DEPTH // self.beat_words) & (ahead <= AHEAD)),
            request.valid.eq(showing),
            request.payload.eq(shown),
            flying_after.eq(flying + Mux(ask, beats + 1, 0) - external.valid),
        ]
        with m.If(request.ready):
            m.d.sync += showing.eq(0)
        with m.If(ask):
            m.d.sync += [
                showing.eq(1),
                shown.address.eq(self.program + (asked << _LOW)),
                shown.length.eq(beats),
                asked.eq(after),
            ]
            with m.If((after - oldest)[:_NEAR_BITS] > RING):
                m.d.sync += oldest.eq(after - RING)
        m.d.sync += flying.eq(flying_after)

        with m.If(keep):
            m.d.sync += filled.eq(filled + self.beat_words - lane)
        with m.Elif(external.valid):
            m.d.sync += useless.eq(useless - 1)
        with m.If(self.words.valid & self.words.ready):
            m.d.sync += at.eq(at + 1)
        with m.If(self.jump):
            m.d.sync += at.eq(self.target)
            with m.If(~hit):
                m.d.sync += [oldest.eq(self.target), filled.eq(self.target),
                             asked.eq(self.target), useless.eq(flying_after)]
        return m

    def _ring(self, m, at, filled, keep):
        """The ring's memories; returns the lane of instruction `filled` in its beat."""
        external, lane_bits = self.external, self.lane_bits
        first = self.program[_LOW:_LOW + lane_bits]  # lane of instruction 0
        slot, shown = Signal(_INDEX_BITS), Signal(_INDEX_BITS)
        m.d.comb += [slot.eq(filled + first), shown.eq(at + first)]
        words = []
        for name, value in (*((f"word_{i}", word) for i, word in enumerate(external.data)),
                            ("errors", external.error)):
            rows = RegisterFile(width=len(value), depth=RING // self.beat_words)
            m.submodules[name] = rows
            m.d.comb += [
                rows.read_address[0].eq(shown[lane_bits:]),
                rows.write_enable.eq(keep),
                rows.write_address.eq(slot[lane_bits:]),
                rows.write_data.eq(value),
            ]
            words.append(rows.read_data[0])
        m.d.comb += [
            self.error.eq(words.pop()),
            self.words.payload.eq(Array(words)[shown[:lane_bits]]),
        ]
        return slot[:lane_bits]
