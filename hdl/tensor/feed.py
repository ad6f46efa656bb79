"""The feeding side of the tensor unit: stream, tiles, passes."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.interfaces import ReadPort, registers_layout
from hdl.streams.reader import WordReader
from hdl.tensor.nest import tensor_walker
from hdl.tensor.sequencer import Sequencer, position_bits
from hdl.tensor.tile import Tile
from hdl.tensor.turn import Turn
from isa.config import LANES, TREES, WORD_BITS, Config
from isa.registers import BLOCKS, POSITIONS, REDUCTION, ROWS, TENSOR_STREAMS, Unit

PASS, ALL = 0, 1  # flags of a stream word: last of its pass, last of the operation


class Feed(wiring.Component):
    """Reads the stream and the tiles of all cores, and gives the cores a word a cycle.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse
    clear : nothing is read, and what was read is forgotten; also with `start`
    registers
    stream : ReadPort
    stationary : array of ReadPort, one a core
    valid, word, position, bank, first, final, positions_last, drained, wait_* : of `Sequencer`
    tile : codes [core][tree][lane]
    trap : an address is out of range

    Timing
    ------
    The first word enters the cores 10 cycles after `start`, if no bank makes it wait.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "registers": In(registers_layout(Unit.TENSOR)),
            "stream": Out(ReadPort(config)),
            "stationary": Out(ReadPort(config)).array(config.cores),
            "valid": Out(1),
            "word": Out(WORD_BITS),
            "position": Out(position_bits(config)),
            "bank": Out(1),
            "first": Out(1),
            "final": Out(1),
            "positions_last": Out(position_bits(config)),
            "drained": In(1),
            "tile": Out(8).array(config.cores, TREES, LANES),
            "trap": Out(1),
            "wait_stream": Out(1),
            "wait_stationary": Out(1),
            "wait_drain": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.sequencer = sequencer = Sequencer(config=self.config)
        m.d.comb += sequencer.clear.eq(self.clear)
        for name in ("valid", "word", "position", "bank", "first", "final", "positions_last",
                     "wait_stream", "wait_stationary", "wait_drain"):
            m.d.comb += getattr(self, name).eq(getattr(sequencer, name))
        m.d.comb += sequencer.drained.eq(self.drained)
        traps = [self._stream(m, sequencer)]
        traps += self._stationary(m, sequencer)
        m.d.comb += self.trap.eq(Cat(traps).any())
        return m

    def _stream(self, m, sequencer):
        loops = TENSOR_STREAMS["stream"]
        walker = tensor_walker(m, "stream_walker", self.registers, "stream", loops,
                               start=self.start, stop=self.clear, place="stream")
        m.submodules.stream_reader = reader = WordReader(config=self.config, loops=len(loops))
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
        ]
        return reader.trap

    def _stationary(self, m, sequencer):
        """A walker, reader and tile for each core; gives their traps."""
        loops = (*ROWS, *REDUCTION, *BLOCKS)
        traps, waiting = [], []
        for core, port in enumerate(self.stationary):
            works = Signal(name=f"works_{core}")
            m.d.comb += works.eq(core < self.registers.positions.cores)
            walker = tensor_walker(m, f"stationary_walker_{core}", self.registers, "stationary",
                                   loops, start=self.start & works, stop=self.clear, core=core,
                                   place="stationary")
            reader = WordReader(config=self.config, loops=len(loops))
            m.submodules[f"stationary_reader_{core}"] = reader
            m.submodules[f"tile_{core}"] = tile = Tile()
            connect(m, walker.items, reader.items)
            connect(m, reader.port, flipped(port))
            m.d.comb += [
                reader.clear.eq(self.clear),
                tile.clear.eq(self.clear),
                tile.transpose.eq(self.registers.mode.transpose),
                tile.words.valid.eq(reader.words.valid),
                tile.words.payload.eq(reader.words.payload.data),
                reader.words.ready.eq(tile.words.ready),
                tile.swap.eq(sequencer.swap & works),
                *(self.tile[core][tree][lane].eq(tile.tile[tree][lane])
                  for tree in range(TREES) for lane in range(LANES)),
            ]
            if core == 0:  # the flags of all cores are the same
                flags = reader.words.payload.last
                m.d.comb += [
                    sequencer.tile_block_last.eq(flags[loops.index(REDUCTION[-1])]),
                    sequencer.tile_last.eq(flags[-1]),
                ]
            waiting.append(works & ~tile.ready)
            traps.append(reader.trap)
        m.d.comb += sequencer.tiles_ready.eq(~Cat(waiting).any())
        return traps
