"""The move unit with its external memory port, as the bench sees them."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.axi import Axi4
from hdl.external import ExternalPort
from hdl.interfaces import ReadPort, UnitCommand, WritePort
from hdl.move.unit import MoveUnit
from isa.config import Config

EVENTS = "busy", "wait_external", "words_filled", "words_stored", "listed", "live"


class MoveTop(wiring.Component):
    """MoveUnit behind an ExternalPort."""

    def __init__(self, *, config: Config):
        self.config = config
        words = config.axi_words
        super().__init__({
            "axi": Out(Axi4(id_bits=1, words=words)),
            "command": In(UnitCommand()),
            "read_ports": Out(ReadPort(config)).array(words),
            "write_ports": Out(WritePort(config)).array(words),
            **{name: Out(MoveUnit(config=config).signature.members[name].shape)
               for name in EVENTS},
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.move = move = MoveUnit(config=self.config)
        m.submodules.external = external = ExternalPort(
            readers=1, words=self.config.axi_words)
        connect(m, flipped(self.axi), external.axi)
        connect(m, move.read_channel, external.reads[0])
        connect(m, move.write_channel, external.write)
        connect(m, flipped(self.command), move.command)
        for mine, its in zip((*self.read_ports, *self.write_ports),
                             (*move.read_ports, *move.write_ports), strict=True):
            connect(m, its, flipped(mine))
        m.d.comb += [getattr(self, name).eq(getattr(move, name)) for name in EVENTS]
        return m
