"""The vector unit with a scratchpad, and stalls between them."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import ReadPort, UnitCommand, WritePort
from hdl.memory.scratchpad import Scratchpad
from hdl.vector.unit import VectorUnit
from isa.config import Config
from isa.memmap import BINS
from isa.registers import TALLY_BITS, VECTOR_INPUTS, VECTOR_OUTPUTS

RATE_BITS = 8


class StalledVector(wiring.Component):
    """A vector unit on a scratchpad of its own, whose ports it sees stalled at random.

    Members
    -------
    command, busy, wait_read, wait_write : as of `VectorUnit`
    load, look : ports of the scratchpad for the bench, after those of the unit
    seed : what the random stalls start from, while reset
    read_rate, write_rate : in 256 cycles of a port, how many it is stalled
    saturations : of all operations since the reset
    bin, count : of the histogram
    stray : the unit has asked for something while it was not busy
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "command": In(UnitCommand()),
            "busy": Out(1),
            "wait_read": Out(1),
            "wait_write": Out(1),
            "load": In(WritePort(config)),
            "look": In(ReadPort(config)),
            "seed": In(64),
            "seeding": In(1),
            "read_rate": In(RATE_BITS),
            "write_rate": In(RATE_BITS),
            "saturations": Out(32),
            "stray": Out(1),
            "bin": In(range(BINS)),
            "count": Out(TALLY_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        count = self.config.vector_datapaths
        m.submodules.unit = unit = VectorUnit(config=self.config)
        m.submodules.scratchpad = scratchpad = Scratchpad(
            config=self.config, reads=count * len(VECTOR_INPUTS) + 1,
            writes=count * len(VECTOR_OUTPUTS) + 1)
        wiring.connect(m, unit.command, wiring.flipped(self.command))
        wiring.connect(m, scratchpad.read_ports[-1], wiring.flipped(self.look))
        wiring.connect(m, scratchpad.write_ports[-1], wiring.flipped(self.load))
        m.d.comb += [self.busy.eq(unit.busy), self.wait_read.eq(unit.wait_read),
                     self.wait_write.eq(unit.wait_write), unit.bin.eq(self.bin),
                     self.count.eq(unit.count)]
        m.d.sync += self.saturations.eq(self.saturations + unit.saturations)
        asked = Cat(getattr(unit, name)[i].request.valid
                    for i in range(count) for name in VECTOR_INPUTS + VECTOR_OUTPUTS)
        with m.If(asked.any() & ~unit.busy):
            m.d.sync += self.stray.eq(1)
        reads, writes = iter(scratchpad.read_ports), iter(scratchpad.write_ports)
        for number in range(count):
            draw = self._draw(m, number)
            for i, name in enumerate(VECTOR_INPUTS):
                port, memory = getattr(unit, name)[number], next(reads)
                stall = draw.word_select(i, RATE_BITS) < self.read_rate
                self._stalled(m, port.request, memory.request, stall)
                m.d.comb += [port.valid.eq(memory.valid), port.data.eq(memory.data),
                             port.zeros.eq(memory.zeros)]
            for i, name in enumerate(VECTOR_OUTPUTS):
                stall = draw.word_select(i + len(VECTOR_INPUTS), RATE_BITS) < self.write_rate
                self._stalled(m, getattr(unit, name)[number].request, next(writes).request, stall)
        return m

    def _draw(self, m, number: int):
        """64 random bits a cycle, by xorshift, for the ports of a datapath."""
        state, first, second, third = (Signal(64, init=1, name=f"{name}_{number}")
                                       for name in ("state", "first", "second", "third"))
        m.d.comb += [
            first.eq(state ^ (state << 13)),
            second.eq(first ^ (first >> 7)),
            third.eq(second ^ (second << 17)),
        ]
        m.d.sync += state.eq(third)
        with m.If(self.seeding):
            m.d.sync += state.eq(self.seed << number | 1)
        return state

    def _stalled(self, m, request, memory, stall):
        m.d.comb += [
            memory.valid.eq(request.valid & ~stall),
            memory.payload.eq(request.payload),
            request.ready.eq(memory.ready & ~stall),
        ]
