"""Which words of a group's stream are asked for where dead outputs are skipped."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.streams.walker import item_layout
from hdl.tensor.live.word_window import round_bits
from isa.config import Config
from isa.registers import BLOCKS, POSITIONS, REDUCTION

LOOPS = (*POSITIONS, *REDUCTION, *BLOCKS)
AHEAD = 2  # passes that may be filled and not ended: the present one and the next


class LiveFill(wiring.Component):
    """Fills the windows of a group's cores, up to a pass ahead of the trees.

    A round of `Config.slot` positions in which all outputs of all cores are dead is not asked for.
    Of a block in which all are no round is looked at.

    Parameters
    ----------
    config : Config

    Members
    -------
    clear : between operations
    begin_valid, begin_live, begin_last, begin_take
        The next pass of the group that is done waits, the last of its block or not; or, if not
        `begin_live`, the end of a block whose last pass was left out. It is over without a walk.
    walk : the next pass, if it waits, is to be walked through
    items : stream of `item_layout`, one a round
    asked : stream of `item_layout`, to a reader
    round : of the item, in its block
    known, wanted, room
        Of all cores, that round: its masks are known; an output is live; there is room for it.
    complete, alive : likewise of the block: its masks are known; an output is live
    enter : the round is asked for in this cycle, and enters
    parity : of its pass
    counted : pulse; a pass is filled, with a block's dead outputs
    advance : pulse; the next block begins
    filled : the present pass is
    ended : pulse; the next pass is the present one from the next cycle on

    Timing
    ------
    A round a cycle; a pass with nothing live a cycle.
    """

    def __init__(self, *, config: Config):
        self.config = config
        items = stream.Signature(item_layout(len(LOOPS)))
        super().__init__({
            "clear": In(1),
            "begin_valid": In(1),
            "begin_live": In(1),
            "begin_last": In(1),
            "begin_take": Out(1),
            "walk": Out(1),
            "items": In(items),
            "asked": Out(items),
            "round": Out(round_bits(config)),
            "known": In(1),
            "wanted": In(1),
            "room": In(1),
            "complete": In(1),
            "alive": In(1),
            "enter": Out(1),
            "parity": Out(1),
            "counted": Out(1),
            "advance": Out(1),
            "filled": Out(1),
            "ended": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        items, asked = self.items, self.asked
        ahead = Signal(range(AHEAD + 1))  # passes filled and not ended
        walking = Signal()  # within a pass
        free, dead, take, walked = Signal(), Signal(), Signal(), Signal()
        ask = Signal()  # nothing but the item, and who is asked, is in the way
        m.d.comb += [
            free.eq(ahead != AHEAD),
            self.filled.eq(ahead != 0),
            # a pass that has no live output, or none at all
            dead.eq(~walking & self.complete & ~(self.begin_live & self.alive)),
            self.begin_take.eq((dead & free) & self.begin_valid),
            self.walk.eq(walking | (self.begin_live & ~dead)),
            asked.payload.eq(items.payload),
            ask.eq(free & self.known & self.wanted & self.room),
            asked.valid.eq(ask & items.valid),
            self.enter.eq(asked.valid & asked.ready),
            items.ready.eq((free & self.known & ~self.wanted) | (ask & asked.ready)),
            take.eq(items.valid & items.ready),
            walked.eq(take & items.payload.last[len(POSITIONS) - 1]),
            self.counted.eq(walked | (self.begin_take & self.begin_live)),
            self.advance.eq((walked & items.payload.last[len((*POSITIONS, *REDUCTION)) - 1])
                            | (self.begin_take & (self.begin_last | ~self.begin_live))),
        ]
        m.d.sync += ahead.eq(ahead + self.counted - self.ended)
        with m.If(self.counted):
            m.d.sync += self.parity.eq(~self.parity)
        with m.If(take):
            m.d.sync += [walking.eq(~walked), self.round.eq(Mux(walked, 0, self.round + 1))]
        with m.If(self.clear):
            m.d.sync += [ahead.eq(0), walking.eq(0), self.parity.eq(0), self.round.eq(0)]
        return m
