"""The loops over groups, without their addresses."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.vector.layouts import COUNTS
from isa.registers import COUNT_BITS, REDUCED, VECTOR_LOOPS


class GroupCounter(wiring.Component):
    """Counts the groups of an operation as they go into the lanes.

    Members
    -------
    start : pulse; `counts` (not zero) hold from here on
    clear : there are none left
    counts
    valid, ready : a stream of groups
    nest_last : the group is the last one of loops n0 and n1
    next : pulse; it was taken, and another round of the outermost loop begins
    """

    def __init__(self):
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "counts": In(COUNTS),
            "valid": Out(1),
            "ready": In(1),
            "nest_last": Out(1),
            "next": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        rounds = [Signal(COUNT_BITS, name=f"round_{loop}") for loop in VECTOR_LOOPS]
        ends = Signal(len(VECTOR_LOOPS))
        active = Signal()
        m.d.comb += [
            self.valid.eq(active),
            self.nest_last.eq(ends[:len(REDUCED)].all()),
            self.next.eq(active & self.ready & ends[:-1].all() & ~ends[-1]),
            *(ends[i].eq(rounds[i] == self.counts[loop]) for i, loop in enumerate(VECTOR_LOOPS)),
        ]
        with m.If(self.start):
            m.d.sync += [active.eq(1), *(counter.eq(1) for counter in rounds)]
        with m.Elif(self.clear):
            m.d.sync += active.eq(0)
        with m.Elif(active & self.ready):
            m.d.sync += active.eq(~ends.all())
            for i, counter in enumerate(rounds):
                with m.If(ends[:i].all() if i else 1):
                    m.d.sync += counter.eq(Mux(ends[i], 1, counter + 1))
        return m
