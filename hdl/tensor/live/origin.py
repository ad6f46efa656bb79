"""Where the stream of a core begins, one step after the other."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.streams.walker import PLACE_BITS, step_layout
from hdl.tensor.groups import core_bits
from isa.config import Config
from isa.registers import ADDRESS_BITS


class Origin(wiring.Component):
    """Adds the steps of a core's number and of its group's to a base: a product at a time in
    place of multipliers, where the start may wait.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse; begins anew
    stop : gives it up
    core, group : steps to take; constant in an operation
    core_step, group_step : `step_layout`
    base, y, x : where to begin
    done : pulse; `address`, `row` and `column` are those of the core from here on

    Timing
    ------
    `done` comes 1 + core + group cycles after `start`.
    """

    def __init__(self, *, config: Config):
        self.config = config
        step = In(step_layout(True))
        super().__init__({
            "start": In(1),
            "stop": In(1),
            "core": In(core_bits(config)),
            "group": In(core_bits(config)),
            "core_step": step,
            "group_step": step,
            "base": In(ADDRESS_BITS),
            "y": In(signed(PLACE_BITS)),
            "x": In(signed(PLACE_BITS)),
            "done": Out(1),
            "address": Out(ADDRESS_BITS),
            "row": Out(signed(PLACE_BITS)),
            "column": Out(signed(PLACE_BITS)),
        })

    def elaborate(self, platform):
        m = Module()
        cores, groups = Signal.like(self.core), Signal.like(self.group)  # steps to come
        busy, of_core = Signal(), Signal()
        step = Signal(step_layout(True))
        m.d.comb += [
            of_core.eq(cores != 0),
            step.eq(Mux(of_core, self.core_step, self.group_step)),
            self.done.eq(busy & ~of_core & (groups == 0) & ~self.stop),
        ]
        with m.If(of_core):
            m.d.sync += cores.eq(cores - 1)
        with m.Elif(groups != 0):
            m.d.sync += groups.eq(groups - 1)
        with m.If(of_core | (groups != 0)):
            m.d.sync += [self.address.eq(self.address + step.stride),
                         self.row.eq(self.row + step.dy), self.column.eq(self.column + step.dx)]
        with m.If(self.done | self.stop):
            m.d.sync += busy.eq(0)
        with m.If(self.start):
            m.d.sync += [busy.eq(1), cores.eq(self.core), groups.eq(self.group),
                         self.address.eq(self.base), self.row.eq(self.y), self.column.eq(self.x)]
        return m
