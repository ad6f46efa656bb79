"""The move unit: strided copies between external memory and the scratchpad."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.axi import ReadChannel, WriteChannel
from hdl.control.front_end import FrontEnd
from hdl.interfaces import CAUSE_BITS, ReadPort, UnitCommand, WritePort
from hdl.move.bursts import BurstGenerator
from hdl.move.fill import Fill
from hdl.move.live import LiveWalk
from hdl.move.store import Store
from isa.config import Config
from isa.memmap import Trap
from isa.registers import COUNT_BITS, Unit


class MoveUnit(wiring.Component):
    """Moves of docs/architecture.md.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : UnitCommand, from control
    read_channel, write_channel : external memory
    read_ports, write_ports : scratchpad; arrays, one port for each word of a beat
    busy : a cycle of an operation that is not left out
    wait_external : of these, external memory gave or took nothing
    words_filled, words_stored : words that arrived in the scratchpad, or in external memory
    listed, live : pulse; a move over live elements is done, and how many there are

    Timing
    ------
    A beat of `axi_words` words a cycle in either direction, from run to run without a gap. A move
    begins when the one before it has all of its answers. One over live elements waits for each
    round until its element is found (`LiveWalk`), and ends when all are counted. A trap comes with
    the end of the operation, when no burst is under way any more: the bus is never left hanging.
    After `stop`, bursts that were asked for are finished and no other is asked for.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "command": In(UnitCommand()),
            "read_channel": Out(ReadChannel(words=config.axi_words)),
            "write_channel": Out(WriteChannel(words=config.axi_words)),
            "read_ports": Out(ReadPort(config)).array(config.axi_words),
            "write_ports": Out(WritePort(config)).array(config.axi_words),
            "busy": Out(1),
            "wait_external": Out(1),
            "words_filled": Out(range(config.axi_words + 1)),
            "words_stored": Out(range(config.axi_words + 1)),
            "listed": Out(1),
            "live": Out(COUNT_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.front_end = front_end = FrontEnd(unit=Unit.MOVE)
        m.submodules.generator = generator = BurstGenerator(config=config)
        m.submodules.fill = fill = Fill(config=config)
        m.submodules.store = store = Store(config=config)
        m.submodules.live = live = LiveWalk(config=config)
        wiring.connect(m, wiring.flipped(self.command), front_end.command)
        wiring.connect(m, fill.external, wiring.flipped(self.read_channel))
        wiring.connect(m, store.external, wiring.flipped(self.write_channel))
        for lane in range(config.axi_words):
            wiring.connect(m, fill.ports[lane], wiring.flipped(self.write_ports[lane]))
            if lane:
                wiring.connect(m, store.ports[lane], wiring.flipped(self.read_ports[lane]))
        self._share(m, live.port, store.ports[0], self.read_ports[0])
        wiring.connect(m, live.rounds, generator.rounds)

        operation = front_end.operation
        registers = operation.registers
        storing = registers.mode.store
        working = Signal()
        cause = Signal(CAUSE_BITS)  # the first trouble of the operation
        shape = Signal()
        m.d.comb += [
            shape.eq((registers.counts.words == 0) | (registers.counts.n1 == 0)
                     | (registers.counts.n2 == 0)
                     | (registers.live.enable & (registers.live.count == 0))),
            generator.start.eq(operation.start & ~shape),
            generator.stop.eq(operation.stop | (cause != Trap.NONE)),
            generator.registers.eq(registers),
            live.start.eq(generator.start & registers.live.enable),
            live.stop.eq(generator.stop),
            live.registers.eq(registers),
            live.enough.eq(~generator.active),
            self.listed.eq(operation.done & registers.live.enable & (cause == Trap.NONE)),
            self.live.eq(live.live),
            fill.bursts.valid.eq(generator.bursts.valid & ~storing),
            fill.bursts.payload.eq(generator.bursts.payload),
            store.bursts.valid.eq(generator.bursts.valid & storing),
            store.bursts.payload.eq(generator.bursts.payload),
        ]
        with m.If(storing):
            m.d.comb += generator.bursts.ready.eq(store.bursts.ready)
        with m.Else():
            m.d.comb += generator.bursts.ready.eq(fill.bursts.ready)

        m.d.comb += [
            operation.done.eq(working & ~generator.active & ~live.active & fill.idle & store.idle),
            operation.trap.eq(operation.done & (cause != Trap.NONE)),
            operation.cause.eq(cause),
        ]
        with m.If(cause == Trap.NONE):
            with m.If(generator.trap | live.trap):
                m.d.sync += cause.eq(Trap.ADDRESS)
            with m.If(fill.error | store.error):
                m.d.sync += cause.eq(Trap.BUS)
        with m.If(operation.done):
            m.d.sync += working.eq(0)
        with m.If(operation.start):
            m.d.sync += [working.eq(1), cause.eq(Trap.NONE)]
            with m.If(shape):
                m.d.sync += cause.eq(Trap.SHAPE)

        m.d.comb += [
            self.busy.eq(self.command.busy & ~operation.left_out),
            self.words_filled.eq(fill.words),
            self.words_stored.eq(store.words),
            self.wait_external.eq(self.busy & (store.words == 0) & ~self.read_channel.valid),
        ]
        return m

    def _share(self, m, first, second, port):
        """A read port of two readers, of which the first wins."""
        asked = Signal()  # by the first, in the last cycle
        m.d.sync += asked.eq(first.request.valid & port.request.ready)
        m.d.comb += [
            port.request.valid.eq(first.request.valid | second.request.valid),
            port.request.payload.eq(Mux(first.request.valid, first.request.payload,
                                        second.request.payload)),
            first.request.ready.eq(port.request.ready),
            second.request.ready.eq(port.request.ready & ~first.request.valid),
            first.valid.eq(port.valid & asked),
            second.valid.eq(port.valid & ~asked),
            *(reader.data.eq(port.data) for reader in (first, second)),
            *(reader.zeros.eq(port.zeros) for reader in (first, second)),
        ]
