"""The tensor unit: front end and datapath."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.control.front_end import FrontEnd
from hdl.interfaces import ReadPort, UnitCommand, WritePort
from hdl.tensor.events import TensorEvents
from isa.config import Config
from isa.registers import Unit


class TensorUnit(wiring.Component):
    """Runs tensor operations.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : UnitCommand, from control
    stream : ReadPort of the scratchpad
    stationary : array of ReadPort, one a core
    aux : ReadPort, for aux and bias
    output : WritePort
    events : TensorEvents, to the performance counters
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "command": In(UnitCommand()),
            "stream": Out(ReadPort(config)),
            "stationary": Out(ReadPort(config)).array(config.cores),
            "aux": Out(ReadPort(config)),
            "output": Out(WritePort(config)),
            "events": Out(TensorEvents()),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.front = front = FrontEnd(unit=Unit.TENSOR)
        connect(m, flipped(self.command), front.command)
        m.d.sync += front.operation.done.eq(front.operation.start)
        m.d.comb += [self.events.busy.eq(front.command.busy),
                     self.events.pc.eq(front.command.pc),
                     self.events.tag.eq(front.operation.tag)]
        return m
