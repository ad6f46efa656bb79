"""Control with a move unit, a scratchpad and the external memory port; the other two units are
ports of the bench."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.axi import Axi4, AxiLite
from hdl.control.unit import ControlUnit
from hdl.external import ExternalPort
from hdl.interfaces import UnitCommand
from hdl.memory.scratchpad import Scratchpad
from hdl.move.unit import MoveUnit
from hdl.tensor.events import TensorEvents
from isa.config import Config
from isa.memmap import BINS
from isa.registers import TALLY_BITS


class ControlTop(wiring.Component):
    """ControlUnit and MoveUnit as the chip joins them."""

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "axi": Out(Axi4(id_bits=1, words=config.axi_words)),
            "bus": In(AxiLite()),
            "interrupt": Out(1),
            "tensor": Out(UnitCommand()),
            "vector": Out(UnitCommand()),
            "events": In(TensorEvents()),
            "bin": Out(range(BINS)),
            "bin_count": In(TALLY_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        words = self.config.axi_words
        m.submodules.control = control = ControlUnit(config=self.config)
        m.submodules.move = move = MoveUnit(config=self.config)
        m.submodules.external = external = ExternalPort(readers=2, words=words)
        m.submodules.scratchpad = scratchpad = Scratchpad(config=self.config, reads=words,
                                                          writes=words)
        connect(m, flipped(self.axi), external.axi)
        connect(m, flipped(self.bus), control.bus)
        connect(m, control.external, external.reads[0])
        connect(m, move.read_channel, external.reads[1])
        connect(m, move.write_channel, external.write)
        connect(m, control.move, move.command)
        connect(m, control.tensor, flipped(self.tensor))
        connect(m, control.vector, flipped(self.vector))
        connect(m, control.events, flipped(self.events))
        for outer, inner in zip((*scratchpad.read_ports, *scratchpad.write_ports),
                                (*move.read_ports, *move.write_ports), strict=True):
            connect(m, outer, inner)
        m.d.comb += [
            self.interrupt.eq(control.interrupt),
            control.listed.eq(move.listed),
            control.live.eq(move.live),
            self.bin.eq(control.bin),
            control.bin_count.eq(self.bin_count),
            control.pulses.words_filled.eq(move.words_filled),
            control.pulses.words_stored.eq(move.words_stored),
            control.pulses.words_read.eq(scratchpad.words_read),
            control.pulses.words_written.eq(scratchpad.words_written),
            control.pulses.move_busy.eq(move.busy),
            control.pulses.move_wait_external.eq(move.wait_external),
        ]
        return m
