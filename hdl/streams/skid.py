"""A place where a stream can stand, so that it need not be known at once whether it is taken."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Skid(wiring.Component):
    """Passes payloads on, and keeps one that is not taken.

    Parameters
    ----------
    layout : shape of a payload

    Members
    -------
    clear : forgets what is kept
    given, taken : streams; `given.ready` is a register, `taken.valid` follows `given.valid`
    held : a payload is kept

    Timing
    ------
    A payload can leave in the cycle in which it comes, one a cycle. The path from `taken.ready` to
    `given.ready` is cut.
    """

    def __init__(self, *, layout):
        self.layout = layout
        super().__init__({
            "clear": In(1),
            "given": In(stream.Signature(layout)),
            "taken": Out(stream.Signature(layout)),
            "held": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        kept = Signal(self.layout, reset_less=True)
        m.d.comb += [
            self.given.ready.eq(~self.held),
            self.taken.valid.eq(self.held | self.given.valid),
            self.taken.payload.eq(Mux(self.held, kept, self.given.payload)),
        ]
        with m.If(~self.held):
            m.d.sync += kept.eq(self.given.payload)
        m.d.sync += self.held.eq(self.taken.valid & ~self.taken.ready & ~self.clear)
        return m
