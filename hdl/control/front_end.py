"""The front end of a unit: its registers, the operation that is pending, its tokens."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import RUN_LAYOUT, Operation, UnitCommand, registers_layout
from isa.registers import Unit, of_unit


def default_values(unit: Unit) -> dict:
    """The defaults of all registers of a unit, as an initial value of `registers_layout`."""
    return {r.attribute: {f.name: f.default for f in r.fields} for r in of_unit(unit)}


class FrontEnd(wiring.Component):
    """Keeps the next and the active registers of `unit` and starts its operations.

    Members
    -------
    command : UnitCommand, from control
    operation : Operation, to the datapath

    Timing
    ------
    `operation.start` comes one cycle after `command.grant`, never in the first cycle of
    `command.stop`, which drops the operation that is pending. An operation that is done leaves the
    unit free to start the next one in the following cycle. One that is left out, and not counted,
    is busy for one cycle.
    """

    def __init__(self, *, unit: Unit):
        self.unit = unit
        super().__init__({"command": In(UnitCommand()), "operation": Out(Operation(unit))})

    def elaborate(self, platform):
        m = Module()
        layout = registers_layout(self.unit)
        following = Signal(layout, init=default_values(self.unit))
        active = Signal(layout, init=default_values(self.unit))
        pending = Signal()
        waiting = Signal(RUN_LAYOUT)
        running = Signal()
        present = Signal(RUN_LAYOUT)
        start, leave = Signal(), Signal()
        uncounted, done = Signal(), Signal()
        command, operation = self.command, self.operation

        m.d.comb += [
            command.set.ready.eq(~pending),
            command.run.ready.eq(~pending),
            command.pending.eq(pending),
            command.busy.eq(running),
            command.wants.eq(pending & ~running & ~command.stop),
            command.want.eq(waiting.wait),
            uncounted.eq(present.leave & (~present.count if self.unit is Unit.TENSOR else 1)),
            done.eq(running & (operation.done | uncounted)),
            command.give.eq(Mux(done & ~command.stop, present.post, 0)),
            command.trap.eq(operation.trap),
            command.cause.eq(operation.cause),
            command.pc.eq(present.pc),
            operation.start.eq(start),
            operation.registers.eq(active),
            operation.tag.eq(present.tag),
            operation.leave.eq(leave & ~uncounted),
            operation.left_out.eq(running & present.leave),
            operation.stop.eq(command.stop),
        ]

        with m.If(command.set.valid & command.set.ready):
            self._write(m, following, command.set.payload)
        with m.If(command.run.valid & command.run.ready):
            m.d.sync += [pending.eq(1), waiting.eq(command.run.payload)]

        m.d.sync += [start.eq(0), leave.eq(0)]
        with m.If(done):
            m.d.sync += running.eq(0)
        with m.If(command.wants & command.grant):
            m.d.sync += [active.eq(following), present.eq(waiting), pending.eq(0),
                         running.eq(1), start.eq(~waiting.leave), leave.eq(waiting.leave)]
        with m.If(command.stop):  # what has not started is forgotten
            m.d.sync += pending.eq(0)
        return m

    def _write(self, m, registers, write):
        with m.If(write.clear):
            m.d.sync += registers.eq(registers.shape().const(default_values(self.unit)))
        with m.Else(), m.Switch(write.index):
            for register in of_unit(self.unit):
                with m.Case(register.index):
                    m.d.sync += registers[register.attribute].as_value().eq(write.value)
