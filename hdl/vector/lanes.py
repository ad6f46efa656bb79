"""The lanes of the vector unit as a pipeline of groups."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.clock import gated
from hdl.vector.delay import delayed
from hdl.vector.lane import Lane
from hdl.vector.layouts import FLOAT_BITS, LANE_MODE
from isa.config import LANES
from isa.registers import VECTOR_INPUTS


class Lanes(wiring.Component):
    """8 lanes, and which of their stages hold a group.

    Members
    -------
    clear : forgets every group
    mode : `LANE_MODE`, constant while there are groups
    s0_valid, s0_ready, s0_x, s0_y, s0_z, s0_nest_last : stream of groups to work on
    valid, ready, t, u, nest_last : stream of results, in the same order
    busy : a stage holds a group

    Timing
    ------
    `Lane.LATENCY` + 1 cycles, a group a cycle. All stages before the results move or wait
    together; they wait for the results to be taken, and when there is nothing to move. So results
    that are taken word by word stop nothing while groups come as slowly.
    """

    def __init__(self):
        super().__init__({
            "clear": In(1),
            "mode": In(LANE_MODE),
            "s0_valid": In(1),
            "s0_ready": Out(1),
            **{f"s0_{name}": In(FLOAT_BITS).array(LANES) for name in VECTOR_INPUTS},
            "s0_nest_last": In(1),
            "valid": Out(1),
            "ready": In(1),
            "t": Out(FLOAT_BITS).array(LANES),
            "u": Out(FLOAT_BITS).array(LANES),
            "nest_last": Out(1),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        en = Signal()
        free = Signal()  # there is room for results
        take = Signal()
        held = Signal(Lane.LATENCY)  # bit i: stage i holds a group
        m.d.comb += [
            free.eq(~self.valid | self.ready),
            take.eq(held[-1] & free),
            self.s0_ready.eq(~held[-1] | free),
            self.busy.eq(self.valid | held.any()),
            en.eq(self.s0_ready & (self.s0_valid | held.any())),
        ]
        nest_last = delayed(m, "s0_nest_last", self.s0_nest_last, Lane.LATENCY, en)
        with m.If(free):
            m.d.sync += self.valid.eq(held[-1])
        with m.If(take):
            m.d.sync += self.nest_last.eq(nest_last)
        with m.If(en):
            m.d.sync += held.eq(Cat(self.s0_valid, held[:-1]))
        with m.If(self.clear):
            m.d.sync += [self.valid.eq(0), held.eq(0)]
        lanes = {f"lane_{i}": Lane() for i in range(LANES)}
        gated(m, "lanes", en | take, lanes)
        for i, lane in enumerate(lanes.values()):
            m.d.comb += [
                lane.en.eq(en),
                lane.take.eq(take),
                lane.mode.eq(self.mode),
                lane.x.eq(self.s0_x[i]),
                lane.y.eq(self.s0_y[i]),
                lane.z.eq(self.s0_z[i]),
                self.t[i].eq(lane.t),
                self.u[i].eq(lane.u),
            ]
        return m
