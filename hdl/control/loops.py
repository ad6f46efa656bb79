"""The hardware loops."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import PC_BITS
from isa.instructions import BY_MNEMONIC, LOOP_DEPTH

COUNT_BITS = {f.name: f for f in BY_MNEMONIC["loop"].fields}["count"].width


class LoopStack(wiring.Component):
    """Knows the loops that the program is in, and turns it back at their ends.

    Members
    -------
    clear : no loops
    advance : an instruction is done; the state below changes at the end of this cycle
    following : where it leads without loops
    push, start, end, count : with `advance`: a loop begins (`count` is not zero)
    full : it may not
    target : where the program goes on, in the same cycle. A loop that ends there goes round again
        or, after its last round, is left; then the one around it may end at the same place.
    again : a loop goes round again
    """

    def __init__(self):
        super().__init__({
            "clear": In(1),
            "advance": In(1),
            "following": In(PC_BITS),
            "push": In(1),
            "start": In(PC_BITS),
            "end": In(PC_BITS),
            "count": In(COUNT_BITS),
            "full": Out(1),
            "target": Out(PC_BITS),
            "again": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        depth = Signal(range(LOOP_DEPTH + 1))
        starts = [Signal(PC_BITS, name=f"start_{i}", reset_less=True) for i in range(LOOP_DEPTH)]
        ends = [Signal(PC_BITS, name=f"end_{i}", reset_less=True) for i in range(LOOP_DEPTH)]
        left = [Signal(COUNT_BITS, name=f"left_{i}", reset_less=True) for i in range(LOOP_DEPTH)]
        m.d.comb += [self.full.eq(depth == LOOP_DEPTH), self.target.eq(self.following)]

        inner_left = Const(0, 1)  # the loop within was left in this cycle
        for i in reversed(range(LOOP_DEPTH)):
            reached = Signal(name=f"reached_{i}")
            again = Signal(name=f"again_{i}")
            m.d.comb += [
                reached.eq(((depth == i + 1) | inner_left) & (self.following == ends[i])
                           & ~self.push),
                again.eq(reached & (left[i] != 1)),
            ]
            with m.If(again):
                m.d.comb += [self.target.eq(starts[i]), self.again.eq(1)]
            with m.If(self.advance & reached):
                m.d.sync += [left[i].eq(left[i] - 1), depth.eq(Mux(again, i + 1, i))]
            inner_left = reached & ~again
        with m.If(self.advance & self.push):
            m.d.sync += depth.eq(depth + 1)
            for i in range(LOOP_DEPTH):
                with m.If(depth == i):
                    m.d.sync += [starts[i].eq(self.start), ends[i].eq(self.end),
                                 left[i].eq(self.count)]
        with m.If(self.clear):
            m.d.sync += depth.eq(0)
        return m
