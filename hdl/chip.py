"""The chip: control, the three units, the scratchpad, and the ports to the outside."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.axi import Axi4, AxiLite
from isa.config import Config

ID_BITS = 1


class Chip(wiring.Component):
    """The top of the generated Verilog.

    Parameters
    ----------
    config : Config

    Members
    -------
    axi : AXI4 manager, external memory; top ports `axi__*`
    control : AXI4-Lite subordinate, the registers of isa/memmap.py; top ports `control__*`
    interrupt : high while the program is done and the interrupt enabled
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "axi": Out(Axi4(id_bits=ID_BITS)),
            "control": In(AxiLite()),
            "interrupt": Out(1),
        })

    def elaborate(self, platform):
        return Module()
