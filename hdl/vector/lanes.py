"""The lanes of the vector unit as a pipeline of groups."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.clock import gated
from hdl.vector.delay import delayed
from hdl.vector.lane import Lane
from hdl.vector.layouts import COEFFICIENTS, FLOAT_BITS, LANE_MODE, NUMBER_BITS
from hdl.vector.number import Number
from hdl.vector.ring import Ring
from isa.config import LANES
from isa.registers import VECTOR_INPUTS


class Lanes(wiring.Component):
    """8 lanes, and which of their stages hold a group.

    Members
    -------
    clear : forgets every group
    mode : `LANE_MODE`, constant while there are groups
    keep_x : the x of the largest is asked for
    s0_valid, s0_ready, s0_x, s0_y, s0_z, s0_nest_last : stream of groups to work on
    s0_k0, s0_k1, s0_k2 : the coefficients of the group
    valid, ready, t, u, number, nest_last
        Stream of results, in the same order. With `mode.largest` there is one for each window, the
        groups up to one with `nest_last`: the largest, its x and its number in the window.
    busy : a stage holds a group

    Timing
    ------
    `Lane.LATENCY` + 1 cycles, a group a cycle. All stages before the results move or wait
    together; they wait for the results to be taken, and when there is nothing to move. So results
    that are taken word by word stop nothing while groups, or windows, come as slowly.
    """

    def __init__(self):
        super().__init__({
            "clear": In(1),
            "mode": In(LANE_MODE),
            "keep_x": In(1),
            "s0_valid": In(1),
            "s0_ready": Out(1),
            **{f"s0_{name}": In(FLOAT_BITS).array(LANES)
               for name in VECTOR_INPUTS + COEFFICIENTS},
            "s0_nest_last": In(1),
            "valid": Out(1),
            "ready": In(1),
            "t": Out(FLOAT_BITS).array(LANES),
            "u": Out(FLOAT_BITS).array(LANES),
            "number": Out(NUMBER_BITS).array(LANES),
            "nest_last": Out(1),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.ring = ring = Ring(cycles=Lane.LATENCY)
        m.submodules.count = number = Number()
        en = Signal()
        free = Signal()  # there is room for results
        leave = Signal()  # the group at the end does
        gives = Signal()  # it gives results
        held = Signal(Lane.LATENCY)  # bit i: stage i holds a group
        nest_last = delayed(m, "s0_nest_last", self.s0_nest_last, Lane.LATENCY, en)
        m.d.comb += [
            free.eq(~self.valid | self.ready),
            gives.eq(~self.mode.largest | nest_last),
            leave.eq(held[-1] & (free | ~gives)),
            self.s0_ready.eq(~held[-1] | leave),
            self.busy.eq(self.valid | held.any()),
            en.eq(self.s0_ready & (self.s0_valid | held.any())),
        ]
        with m.If(free):
            m.d.sync += self.valid.eq(held[-1] & gives)
        with m.If(leave):
            m.d.sync += self.nest_last.eq(nest_last)
        with m.If(en):
            m.d.sync += held.eq(Cat(self.s0_valid, held[:-1]))
        with m.If(self.clear):
            m.d.sync += [self.valid.eq(0), held.eq(0)]
        m.d.comb += [
            ring.en.eq(en),
            ring.keep.eq(self.keep_x),
            *(here.eq(there) for here, there in zip(ring.values, self.s0_x, strict=True)),
            number.clear.eq(self.clear),
            number.en.eq(leave & self.mode.largest),
            number.last.eq(nest_last),
        ]
        lanes = {f"lane_{i}": Lane() for i in range(LANES)}
        gated(m, "lanes", en | leave, lanes)
        for i, lane in enumerate(lanes.values()):
            m.d.comb += [
                lane.en.eq(en),
                lane.count.eq(leave & self.mode.largest),
                lane.first.eq(number.first),
                lane.number.eq(number.number),
                lane.late_x.eq(ring.out[i]),
                lane.take.eq(leave & gives),
                lane.mode.eq(self.mode),
                *(getattr(lane, name).eq(getattr(self, f"s0_{name}")[i])
                  for name in VECTOR_INPUTS + COEFFICIENTS),
                self.t[i].eq(lane.t),
                self.u[i].eq(lane.u),
                self.number[i].eq(lane.best_number),
            ]
        return m
