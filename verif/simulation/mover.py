"""What of the chip touches the bus: control, the move unit, the scratchpad and their port."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.axi import Axi4, AxiLite
from isa.config import Config
from verif.control.top import ControlTop


class Mover(wiring.Component):
    """A chip whose tensor and vector unit do nothing, with the chip's top ports."""

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({"axi": Out(Axi4(id_bits=1, words=config.axi_words)),
                          "control": In(AxiLite()), "interrupt": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.top = top = ControlTop(config=self.config)
        connect(m, flipped(self.axi), top.axi)
        connect(m, flipped(self.control), top.bus)
        m.d.comb += self.interrupt.eq(top.interrupt)
        return m
