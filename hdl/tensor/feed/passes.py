"""Which passes of a group are done, and where their stream begins."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.streams.queue import Queue
from hdl.streams.walker import origin_layout
from isa.config import Config

# A pass that is done; or, if not `live`, the end of a block whose last pass was left out.
# `behind`: it is behind the gate of its block.
PASS = data.StructLayout({"live": 1, "behind": 1, "block_last": 1, "last": 1})


class Passes(wiring.Component):
    """Follows the passes of a group: those that are done go on to the stream and the sequencer.

    An operation that skips nothing does all: the stream begins a pass when it comes to it, and its
    tile is swapped in from where it was collected. Else a tile that was found is kept or dropped:
    its pass, and where that begins, wait in queues until sequencer and stream come to them. Where
    the last pass of a block is left out, one before it that still waits becomes the last.

    Parameters
    ----------
    config : Config
    outer : int
        Loops of the origins.

    Members
    -------
    clear : between operations
    queued : the operation skips something; constant in an operation
    droppable : a pass of zero tiles is left out; likewise, only with `queued`
    marked : the ends of blocks whose last pass is left out go with the origins; likewise
    gate : there is a gate behind the first round of r4; likewise. The first pass of a block is done
        then whatever its tiles.
    known : what is left out can be counted
    found, zero, round_last, block_last, last
        The next tiles of all cores of the group are complete; they are all zero; they are of the
        last pass of a round of r4, of a block, of the operation.
    behind : with `found`: the pass is behind the gate
    push, drop, swap
        Only with `found`: the tiles are kept, or forgotten. The oldest tiles that are kept (without
        `queued` those that are found) become the present ones.
    origins : stream of `origin_layout`, one a pass
    begins : stream of `origin_layout`, of the passes that are done
    begins_live : with `marked`: what `begins` gives is a pass, and not the end of a block
    passes : stream of `PASS`
    """

    def __init__(self, *, config: Config, outer: int):
        self.config = config
        self.outer = outer
        origin = stream.Signature(origin_layout(outer))
        super().__init__({
            "clear": In(1),
            "queued": In(1),
            "droppable": In(1),
            "marked": In(1),
            "gate": In(1),
            "known": In(1),
            "found": In(1),
            "zero": In(1),
            "round_last": In(1),
            "block_last": In(1),
            "behind": Out(1),
            "last": In(1),
            "push": Out(1),
            "drop": Out(1),
            "swap": Out(1),
            "origins": In(origin),
            "begins": Out(origin),
            "begins_live": Out(1),
            "passes": Out(stream.Signature(PASS)),
        })

    def elaborate(self, platform):
        m = Module()
        slot = self.config.slot
        m.submodules.kept = kept = Queue(layout=PASS, depth=2 * slot)
        begin = data.StructLayout({"origin": origin_layout(self.outer), "live": 1})
        m.submodules.places = places = Queue(layout=begin, depth=slot)
        marks = Signal()  # the end of the block goes with the origins, if this pass is left out
        given = kept.given
        ends = Signal()  # what was given last still waits, and is the last pass of its block
        open_block = Signal()  # ... is a pass, and not the last of its block
        given_behind = Signal()  # ... is behind the gate
        begun = Signal()  # a pass of the block was found
        droppable = Signal()
        taken = self.push | self.drop | (self.swap & ~self.queued)
        m.d.comb += [
            kept.clear.eq(self.clear),
            places.clear.eq(self.clear),
            kept.amend.eq(ends),
            kept.given.payload.live.eq(~self.drop | ends),
            kept.given.payload.behind.eq(Mux(ends, given_behind, self.behind)),
            droppable.eq(self.zero & self.droppable & (begun | ~self.gate)),
            kept.given.payload.block_last.eq(self.block_last),
            kept.given.payload.last.eq(self.last),
            marks.eq(self.marked & self.block_last),
            places.given.payload.origin.eq(self.origins.payload),
            places.given.payload.live.eq(~self.drop),
            self.begins_live.eq(places.taken.payload.live),
            self.swap.eq(self.passes.valid & self.passes.ready & self.passes.payload.live),
        ]
        m.d.comb += ends.eq(self.drop & self.block_last & open_block & kept.amendable)
        with m.If(given.valid & given.ready):
            m.d.sync += [open_block.eq(given.payload.live & ~given.payload.block_last),
                         given_behind.eq(given.payload.behind)]
        with m.If(taken):
            m.d.sync += [begun.eq(~self.block_last),
                         self.behind.eq(self.gate & ~self.block_last
                                        & (self.behind | self.round_last))]
        with m.If(self.clear):
            m.d.sync += [begun.eq(0), self.behind.eq(0)]
        with m.If(self.queued):
            with m.If(self.found & self.known & self.origins.valid):
                with m.If(droppable):
                    m.d.comb += [self.drop.eq(given.ready & (places.given.ready | ~marks)),
                                 given.valid.eq(self.drop & self.block_last)]
                with m.Else():
                    m.d.comb += [self.push.eq(given.ready & places.given.ready),
                                 given.valid.eq(self.push)]
            m.d.comb += [places.given.valid.eq(self.push | (self.drop & marks)),
                         self.origins.ready.eq(self.push | self.drop)]
            connect(m, kept.taken, flipped(self.passes))
            m.d.comb += [self.begins.valid.eq(places.taken.valid),
                         self.begins.payload.eq(places.taken.payload.origin),
                         places.taken.ready.eq(self.begins.ready)]
        with m.Else():
            connect(m, flipped(self.origins), flipped(self.begins))
            m.d.comb += [self.passes.valid.eq(self.found), self.passes.payload.live.eq(1),
                         self.passes.payload.behind.eq(self.behind),
                         self.passes.payload.block_last.eq(self.block_last),
                         self.passes.payload.last.eq(self.last)]
        return m
