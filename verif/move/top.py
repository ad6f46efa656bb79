"""The move unit with its external memory port, as the bench sees them."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.axi import Axi4
from hdl.external import ExternalPort
from hdl.interfaces import ReadPort, UnitCommand, WritePort
from hdl.move.unit import MoveUnit
from isa.config import Config

EVENTS = "busy", "wait_external", "word_filled", "word_stored"


class MoveTop(wiring.Component):
    """MoveUnit behind an ExternalPort."""

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "axi": Out(Axi4(id_bits=1)),
            "command": In(UnitCommand()),
            "read_port": Out(ReadPort(config)),
            "write_port": Out(WritePort(config)),
            **{name: Out(1) for name in EVENTS},
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.move = move = MoveUnit(config=self.config)
        m.submodules.external = external = ExternalPort(readers=1)
        connect(m, flipped(self.axi), external.axi)
        connect(m, move.read_channel, external.reads[0])
        connect(m, move.write_channel, external.write)
        connect(m, flipped(self.command), move.command)
        connect(m, move.read_port, flipped(self.read_port))
        connect(m, move.write_port, flipped(self.write_port))
        m.d.comb += [getattr(self, name).eq(getattr(move, name)) for name in EVENTS]
        return m
