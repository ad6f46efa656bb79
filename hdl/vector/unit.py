"""The vector unit: elementwise work and sums on streams of the scratchpad."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.control.front_end import FrontEnd
from hdl.interfaces import ReadPort, UnitCommand, WritePort
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
    x, y, z : scratchpad read ports of the inputs
    o0, o1, o2 : scratchpad write ports of the outputs
    busy : a cycle of an operation
    wait_read : of these, an input was not there
    wait_write : of these, an output could not be written

    Timing
    ------
    A group takes one cycle where all its streams are FP8, and four where one is binary32.
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
        wiring.connect(m, wiring.flipped(self.command), front_end.command)
        return m
