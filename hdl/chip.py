"""The chip: control, the three units, the scratchpad, and the ports to the outside."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.axi import Axi4, AxiLite
from hdl.clock import gated, lingering
from hdl.control.unit import ControlUnit
from hdl.external import ExternalPort
from hdl.memory.scratchpad import Scratchpad
from hdl.move.unit import MoveUnit
from hdl.tensor.unit import TensorUnit
from hdl.vector.unit import VectorUnit
from isa.config import Config
from isa.registers import VECTOR_INPUTS, VECTOR_OUTPUTS

ID_BITS = 1  # fetch and move


def _active(command):
    """Whether a unit has anything to do or to hear."""
    return (command.set.valid | command.run.valid | command.pending | command.busy
            | command.stop)


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
            "axi": Out(Axi4(id_bits=ID_BITS, words=config.axi_words)),
            "control": In(AxiLite()),
            "interrupt": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.control = control = ControlUnit(config=config)
        tensor = TensorUnit(config=config)
        vector = VectorUnit(config=config)
        move = MoveUnit(config=config)
        for name, unit in (("tensor", tensor), ("vector", vector), ("move", move)):
            # A little longer than it is busy, since answers may still be on their way.
            gated(m, name, lingering(m, _active(unit.command)), {name: unit})
        m.submodules.external = external = ExternalPort(readers=2, words=config.axi_words)

        def vector_ports(names):
            return [getattr(vector, name)[i] for i in range(config.vector_datapaths)
                    for name in names]

        # The first of a list wins a bank: what the trees wait for comes first, and a beat of a
        # move, which waits for its slowest word, before a word of the vector unit.
        feeders = [*tensor.stream, *tensor.stationary]
        readers = [tensor.aux, *move.read_ports, *vector_ports(VECTOR_INPUTS)]
        if config.slot == 1:
            feeders, readers = [], feeders + readers
        writers = [tensor.output, *move.write_ports, *vector_ports(VECTOR_OUTPUTS)]
        m.submodules.scratchpad = scratchpad = Scratchpad(
            config=config, reads=len(readers), writes=len(writers), wide=len(feeders))

        connect(m, flipped(self.axi), external.axi)
        connect(m, flipped(self.control), control.bus)
        connect(m, control.external, external.reads[0])
        connect(m, move.read_channel, external.reads[1])
        connect(m, move.write_channel, external.write)
        connect(m, control.tensor, tensor.command)
        connect(m, control.vector, vector.command)
        connect(m, control.move, move.command)
        connect(m, control.events, tensor.events)
        for i, reader in enumerate(feeders):
            connect(m, scratchpad.wide_ports[i], reader)
        for port, reader in zip(scratchpad.read_ports, readers, strict=True):
            connect(m, port, reader)
        for port, writer in zip(scratchpad.write_ports, writers, strict=True):
            connect(m, port, writer)

        pulses = control.pulses
        m.d.comb += [
            self.interrupt.eq(control.interrupt),
            control.listed.eq(move.listed),
            control.live.eq(move.live),
            vector.bin.eq(control.bin),
            control.bin_count.eq(vector.count),
            pulses.words_filled.eq(move.words_filled),
            pulses.words_stored.eq(move.words_stored),
            pulses.words_read.eq(scratchpad.words_read),
            pulses.words_written.eq(scratchpad.words_written),
            pulses.conflicts.eq(scratchpad.conflicts),
            pulses.saturations_e5m2.eq(vector.saturations),
            pulses.vector_busy.eq(vector.busy),
            pulses.vector_wait_read.eq(vector.wait_read),
            pulses.vector_wait_write.eq(vector.wait_write),
            pulses.move_busy.eq(move.busy),
            pulses.move_wait_external.eq(move.wait_external),
        ]
        return m
