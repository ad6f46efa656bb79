"""The vector unit: elementwise work, sums and the largest on streams of the scratchpad."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.control.front_end import FrontEnd
from hdl.interfaces import ReadPort, UnitCommand, WritePort
from hdl.vector.control import VectorControl
from hdl.vector.datapath import VectorDatapath
from hdl.vector.decode import Decode
from isa.config import Config
from isa.registers import VECTOR_INPUTS, VECTOR_OUTPUTS, Unit


class VectorUnit(wiring.Component):
    """t = a * b + c, u = d * e + f on groups of 8 elements, as docs/architecture.md defines it.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : UnitCommand, from control
    x, y, z : scratchpad read ports of the inputs; coefficients are read by that of z
    o0, o1, o2 : scratchpad write ports of the outputs
    busy : a cycle of an operation
    wait_read : of these, an input was not there
    wait_write : of these, an output could not be written

    Timing
    ------
    A group takes a cycle for each output in FP8, at least one in all, and at least four where an
    input or an output is binary32. With MAX only the last group of a window counts for the
    outputs. Coefficients by channel add 2 cycles and 4 for each at each round of loop n5.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "command": In(UnitCommand()),
            **{name: Out(ReadPort(config)) for name in VECTOR_INPUTS},
            **{name: Out(WritePort(config)) for name in VECTOR_OUTPUTS},
            "busy": Out(1),
            "wait_read": Out(1),
            "wait_write": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.front_end = front_end = FrontEnd(unit=Unit.VECTOR)
        m.submodules.decode = decode = Decode()
        m.submodules.control = control = VectorControl()
        m.submodules.datapath = datapath = VectorDatapath(config=self.config)
        operation = front_end.operation
        wiring.connect(m, wiring.flipped(self.command), front_end.command)
        for name in VECTOR_INPUTS + VECTOR_OUTPUTS:
            wiring.connect(m, getattr(datapath, name), wiring.flipped(getattr(self, name)))
        m.d.comb += [
            decode.registers.eq(operation.registers),
            control.start.eq(operation.start),
            control.stop.eq(operation.stop),
            operation.done.eq(control.done),
            operation.trap.eq(control.trap),
            operation.cause.eq(control.cause),
            control.legal.eq(decode.legal),
            control.working.eq(datapath.working),
            control.address_trap.eq(datapath.trap),
            datapath.start.eq(control.begin),
            datapath.clear.eq(control.clear),
            datapath.registers.eq(operation.registers),
            datapath.mode.eq(decode.mode),
            datapath.sum.eq(decode.sum),
            datapath.used.eq(decode.used),
            self.busy.eq(control.busy),
            self.wait_read.eq(datapath.wait_read),
            self.wait_write.eq(datapath.wait_write),
        ]
        return m
