"""From the registers of a move to bursts."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.axi import ADDRESS_BITS as EXTERNAL_BITS
from hdl.interfaces import address_bits, registers_layout
from hdl.move.live import ROUND
from isa.config import WORD_BYTES, Config
from isa.registers import ADDRESS_BITS, Unit

BEATS = 16  # of a burst at most, a power of two

_LOW = WORD_BYTES.bit_length() - 1


def bursts_under_way(config: Config) -> int:
    """Bursts under way at most, in each direction.

    They hide a latency of about 64 cycles: full bursts, or of several words a beat runs of 32
    words.
    """
    return 4 if config.axi_words == 1 else 8


def move_burst_layout(config: Config) -> data.StructLayout:
    """What `BurstGenerator` gives."""
    return data.StructLayout({
        "external": EXTERNAL_BITS,  # byte address of the first word
        "scratchpad": ADDRESS_BITS,  # its word address
        "length": (BEATS * config.axi_words - 1).bit_length(),  # words - 1
        "zero": 1,  # zeros, in the place of what is at `external`
    })


def span_layout(config: Config) -> data.StructLayout:
    """The beats of a burst, of which the first and the last need not be whole."""
    lane = (config.axi_words - 1).bit_length()
    return data.StructLayout({
        "place": address_bits(config),  # scratchpad address of lane 0 of the first beat
        "beats": (BEATS - 1).bit_length(),  # beats - 1
        "low": lane,  # first lane of the first beat
        "high": lane,  # last lane of the last beat
    })


def span_of(burst, config: Config):
    """A burst of `move_burst_layout` as a dict of the fields of `span_layout`."""
    lane = (config.axi_words - 1).bit_length()
    low = burst.external[_LOW:_LOW + lane]
    end = (low + burst.length)[:len(burst.length)]
    return {"place": burst.scratchpad - low, "beats": end[lane:], "low": low, "high": end[:lane]}


def lanes_of(span, first, last, config: Config):
    """Which lanes of a beat belong to the burst."""
    lane = len(span.low)
    ones = Const((1 << config.axi_words) - 1, config.axi_words)
    if lane == 0:
        return ones
    before = span.low & first.replicate(lane)
    after = ~span.high & last.replicate(lane)
    return (ones << before)[:config.axi_words] & (ones >> after)


class BurstGenerator(wiring.Component):
    """Cuts the runs of a move into bursts, in order.

    A burst is at most `BEATS` beats. It ends at a multiple of its largest size, so none crosses a
    4 KiB boundary.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse; begins. `registers` hold from here to the last burst, their counts not zero.
    stop : while set no burst is given, and what was left is forgotten
    registers : of the move unit
    rounds : stream of `ROUND`, of a move over live elements: one for each round of n2, or fewer in
        a store, which ends where there is no element
    bursts : stream of `move_burst_layout`; all of their addresses are checked
    active : there are bursts left
    trap : pulse; the next burst is not aligned or leaves the scratchpad. Ends the work.

    Timing
    ------
    The first burst is valid two cycles after `start`, or after its round is taken; the following
    ones come without a gap but where they wait for their round.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "start": In(1),
            "stop": In(1),
            "registers": In(registers_layout(Unit.MOVE)),
            "rounds": In(stream.Signature(ROUND)),
            "bursts": Out(stream.Signature(move_burst_layout(config))),
            "active": Out(1),
            "trap": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        counts = self.registers.counts
        most = BEATS * self.config.axi_words  # words of a burst
        left = Signal(16)  # words of the run
        rest_1, rest_2 = Signal(16), Signal(16)  # rounds of the loops, the present one included
        words = Signal(range(most + 1))  # of the burst
        room = Signal(range(most + 1))  # words to the next multiple of `most`
        shown, legal = Signal(), Signal()
        burst = self.bursts.payload  # registered, so that its check is not in the path of the walk
        take = Signal()
        last = Signal()  # burst of its run
        last_1, last_2 = Signal(), Signal()
        walking = Signal()  # bursts are left that are not shown yet
        waiting = Signal()  # for the next round of live elements
        zero = Signal()  # it has no element
        external, scratchpad = Signal(EXTERNAL_BITS), Signal(ADDRESS_BITS)
        sides = (
            # the place, its registers, and how many units of its address a word has
            (external, "external", WORD_BYTES),
            (scratchpad, "scratchpad", 1),
        )

        m.d.comb += [
            room.eq(most - external[_LOW:_LOW + len(burst.length)]),
            last.eq(left <= room),
            words.eq(Mux(last, left, room)),
            last_1.eq(rest_1 == 1),
            last_2.eq(rest_2 == 1),
            take.eq((walking & ~waiting) & (~shown | self.bursts.ready)),
            self.rounds.ready.eq(waiting),

            legal.eq(((burst.external[:_LOW] == 0) | burst.zero)
                     & (burst.scratchpad + burst.length < self.config.words)),
            self.bursts.valid.eq(shown & legal & ~self.stop),
            self.trap.eq(shown & ~legal & ~self.stop),
            self.active.eq(walking | shown),
        ]
        with m.If(~shown | self.bursts.ready):
            m.d.sync += [
                shown.eq(take),
                burst.external.eq(external),
                burst.scratchpad.eq(scratchpad),
                burst.length.eq(words - 1),
                burst.zero.eq(zero),
            ]
        with m.If(take):
            m.d.sync += left.eq(left - words)
            with m.If(last):
                m.d.sync += [left.eq(counts.words), rest_1.eq(rest_1 - 1)]
                with m.If(last_1):
                    m.d.sync += [rest_1.eq(counts.n1), rest_2.eq(rest_2 - 1),
                                 waiting.eq(self.registers.live.enable & ~last_2)]
                    with m.If(last_2):
                        m.d.sync += walking.eq(0)
        with m.If(waiting & self.rounds.valid):
            m.d.sync += [waiting.eq(0), zero.eq(self.rounds.payload.none)]
            with m.If(self.rounds.payload.none & self.registers.mode.store):
                m.d.sync += walking.eq(0)
        with m.If(self.trap | self.stop):
            m.d.sync += [walking.eq(0), shown.eq(0), waiting.eq(0)]
        with m.If(self.start):
            m.d.sync += [walking.eq(1), left.eq(counts.words), rest_1.eq(counts.n1),
                         rest_2.eq(counts.n2), zero.eq(0),
                         waiting.eq(self.registers.live.enable)]

        for place, side, scale in sides:
            self._walk(m, place, side, words * scale, take, last, last_1, waiting)
        return m

    def _walk(self, m, place, side, advance, take, last, last_1, waiting):
        """Moves one address: along the run, else to the next round of a loop."""
        width = len(place)
        begin_1 = Signal(width, name=f"{side}_begin_1")  # of the present run
        begin_2 = Signal(width, name=f"{side}_begin_2")  # of the present round of loop n2
        step = Signal(width, name=f"{side}_step")
        moved = Signal(width, name=f"{side}_moved")
        base = self.registers[f"{side}_base"].address
        origin = Mux(last, Mux(last_1, begin_2, begin_1), place)
        stride = Mux(last_1, self.registers[f"{side}_n2"].stride,
                     self.registers[f"{side}_n1"].stride)
        m.d.comb += [
            step.eq(Mux(last, stride, advance)),
            moved.eq(origin + step),
        ]
        with m.If(take):
            m.d.sync += place.eq(moved)
            with m.If(last):
                m.d.sync += begin_1.eq(moved)
                with m.If(last_1):
                    m.d.sync += begin_2.eq(moved)
        if side == "external":
            with m.If(waiting):
                found = self.rounds.payload.external
                m.d.sync += [place.eq(found), begin_1.eq(found)]
        with m.If(self.start):
            m.d.sync += [place.eq(base), begin_1.eq(base), begin_2.eq(base)]
