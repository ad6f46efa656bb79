"""The hardware loops."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
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
    following, beyond, over : where it leads without loops: to `beyond` with `over`, which may come
        late in the cycle and not with `push`
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
            "beyond": In(PC_BITS),
            "over": In(1),
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
        # Both ways are looked at, and `over` chooses.
        straight = self._turned(m, "straight", self.following, starts, ends, left, depth,
                                ~self.push)
        jumped = self._turned(m, "jumped", self.beyond, starts, ends, left, depth, 1)
        reached, again = (Signal(LOOP_DEPTH, name=name) for name in ("reached", "again_at"))
        m.d.comb += [
            self.full.eq(depth == LOOP_DEPTH),
            Cat(reached, again, self.target).eq(Mux(self.over, Cat(*jumped), Cat(*straight))),
            self.again.eq(again.any()),
        ]
        for i in reversed(range(LOOP_DEPTH)):
            with m.If(self.advance & reached[i]):
                m.d.sync += [left[i].eq(left[i] - 1), depth.eq(Mux(again[i], i + 1, i))]
        with m.If(self.advance & self.push):
            m.d.sync += depth.eq(depth + 1)
            for i in range(LOOP_DEPTH):
                with m.If(depth == i):
                    m.d.sync += [starts[i].eq(self.start), ends[i].eq(self.end),
                                 left[i].eq(self.count)]
        with m.If(self.clear):
            m.d.sync += depth.eq(0)
        return m

    def _turned(self, m, name, following, starts, ends, left, depth, looked_at):
        """Of an instruction that leads to `following`: the loops that end there, those of them
        that go round again, bit by loop, and where the program goes on."""
        reached, again = (Signal(LOOP_DEPTH, name=f"{name}_{what}") for what in ("ends", "again"))
        target = Signal(PC_BITS, name=f"{name}_target")
        m.d.comb += target.eq(following)
        inner_left = Const(0, 1)  # the loop within was left in this cycle
        for i in reversed(range(LOOP_DEPTH)):
            ends_here = Signal(name=f"{name}_ends_{i}")
            last = Signal(name=f"{name}_last_{i}")  # and in its last round
            innermost = (depth == i + 1) | inner_left
            m.d.comb += [
                ends_here.eq((following == ends[i]) & looked_at),
                last.eq(ends_here & (left[i] == 1)),
                reached[i].eq(innermost & ends_here),
                again[i].eq(innermost & ends_here & ~last),
            ]
            with m.If(again[i]):
                m.d.comb += target.eq(starts[i])
            inner_left = innermost & last
        return reached, again, target
