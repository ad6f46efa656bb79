"""The stream of a group of cores, and its passes."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.interfaces import ReadPort, registers_layout
from hdl.streams.reader import WordReader
from hdl.tensor.groups import core_bits
from hdl.tensor.nest import tensor_walker
from hdl.tensor.sequencer import Sequencer, position_bits
from hdl.tensor.turn import Turn
from isa.config import WORD_BITS, Config
from isa.registers import BLOCKS, POSITIONS, REDUCTION, Unit

PASS, ALL = 0, 1  # flags of a stream word: last of its pass, last of the operation


class GroupFeed(wiring.Component):
    """Reads a group's stream and gives its cores a word a cycle, as their tiles allow.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse
    clear : nothing is read, and what was read is forgotten; also with `start`
    registers
    group : number of the group; constant in an operation
    stream : ReadPort
    tiles_ready, tile_block_last, tile_last, swap, valid, word, position, bank, first, final,
    positions_last, drained, wait_* : of `Sequencer`
    trap : an address is out of range
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "registers": In(registers_layout(Unit.TENSOR)),
            "group": In(core_bits(config)),
            "stream": Out(ReadPort(config)),
            "tiles_ready": In(1),
            "tile_block_last": In(1),
            "tile_last": In(1),
            "swap": Out(1),
            "valid": Out(1),
            "word": Out(WORD_BITS),
            "position": Out(position_bits(config)),
            "bank": Out(1),
            "first": Out(1),
            "final": Out(1),
            "positions_last": Out(position_bits(config)),
            "drained": In(1),
            "trap": Out(1),
            "wait_stream": Out(1),
            "wait_stationary": Out(1),
            "wait_drain": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.sequencer = sequencer = Sequencer(config=self.config)
        m.d.comb += sequencer.clear.eq(self.clear)
        for name in ("tiles_ready", "tile_block_last", "tile_last", "drained"):
            m.d.comb += getattr(sequencer, name).eq(getattr(self, name))
        for name in ("swap", "valid", "word", "position", "bank", "first", "final",
                     "positions_last", "wait_stream", "wait_stationary", "wait_drain"):
            m.d.comb += getattr(self, name).eq(getattr(sequencer, name))

        loops = (*POSITIONS, *REDUCTION, *BLOCKS)
        walker = tensor_walker(m, "walker", self.registers, "stream", loops, start=self.start,
                               stop=self.clear, place="stream",
                               at={"group": self.group} if self.config.cores > 1 else {})
        m.submodules.reader = reader = WordReader(config=self.config, loops=len(loops))
        m.submodules.turn = turn = Turn(element_bits=8, last_bits=2)
        connect(m, walker.items, reader.items)
        connect(m, reader.port, flipped(self.stream))
        flags = reader.words.payload.last
        m.d.comb += [
            reader.clear.eq(self.clear),
            turn.clear.eq(self.clear),
            turn.enable.eq(self.registers.mode.turn_stream),
            turn.words.valid.eq(reader.words.valid),
            turn.words.payload.elements.eq(reader.words.payload.data),
            turn.words.payload.last[PASS].eq(flags[loops.index(POSITIONS[-1])]),
            turn.words.payload.last[ALL].eq(flags[-1]),
            reader.words.ready.eq(turn.words.ready),
            sequencer.words.valid.eq(turn.turned.valid),
            sequencer.words.payload.data.eq(turn.turned.payload.elements),
            sequencer.words.payload.pass_last.eq(turn.turned.payload.last[PASS]),
            turn.turned.ready.eq(sequencer.words.ready),
            self.trap.eq(reader.trap),
        ]
        return m
