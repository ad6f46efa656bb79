"""A small queue in registers."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Queue(wiring.Component):
    """Keeps up to `depth` payloads; what comes first leaves first.

    Parameters
    ----------
    layout : shape of a payload, best of at most 64 bits
    depth : int

    Members
    -------
    clear : forgets everything
    given, taken : streams; `given.ready` says that there is room, whatever is taken
    amend : what is given replaces what came before it; only where `amendable`, which says that
        that is still here after this cycle

    Timing
    ------
    A payload can leave from the cycle after it came.
    """

    def __init__(self, *, layout, depth: int):
        if depth < 1:
            raise ValueError(f"depth = {depth}: must be at least 1")
        self.layout = layout
        self.depth = depth
        super().__init__({
            "clear": In(1),
            "given": In(stream.Signature(layout)),
            "taken": Out(stream.Signature(layout)),
            "amend": In(1),
            "amendable": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        places = [Signal(self.layout, name=f"place_{i}", reset_less=True)
                  for i in range(self.depth)]
        level = Signal(range(self.depth + 1))
        push, pop = Signal(), Signal()
        m.d.comb += [
            self.given.ready.eq(level != self.depth),
            self.taken.valid.eq(level != 0),
            self.taken.payload.eq(places[0]),
            push.eq(self.given.valid & self.given.ready),
            pop.eq(self.taken.valid & self.taken.ready),
            self.amendable.eq(level != pop),
        ]
        with m.If(pop):
            m.d.sync += [a.eq(b) for a, b in pairwise(places)]
        for i, place in enumerate(places):
            at = Signal(2, name=f"at_{i}")  # it would take what is given; if one leaves, too
            m.d.comb += at.eq(Cat(level == i + taken + self.amend for taken in range(2)))
            with m.If(push & Mux(pop, at[1], at[0])):
                m.d.sync += place.eq(self.given.payload)
        more = Signal()
        m.d.comb += more.eq(push & ~self.amend)
        with m.If(pop != more):
            m.d.sync += level.eq(Mux(pop, level - 1, level + 1))
        with m.If(self.clear):
            m.d.sync += level.eq(0)
        return m
