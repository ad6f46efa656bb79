"""The stationary tiles of a core, from the scratchpad."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.interfaces import ReadPort, registers_layout
from hdl.streams.reader import WordReader
from hdl.tensor.groups import core_bits
from hdl.tensor.nest import tensor_walker
from hdl.tensor.tile import Tile
from isa.config import LANES, TREES, Config
from isa.registers import BLOCKS, REDUCTION, ROWS, Unit


class CoreTiles(wiring.Component):
    """Reads the tiles of a core in order, one ahead of the present one.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse
    clear : nothing is read, and what was read is forgotten; also with `start`
    registers
    core, group : number in the group, and the group's; constant in an operation
    stationary : ReadPort
    ready, swap, tile : of `Tile`
    block_last, last : with `ready`: the next tile is of the last pass of a block, of the operation
    trap : an address is out of range
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "registers": In(registers_layout(Unit.TENSOR)),
            "core": In(core_bits(config)),
            "group": In(core_bits(config)),
            "stationary": Out(ReadPort(config)),
            "ready": Out(1),
            "swap": In(1),
            "tile": Out(8).array(TREES, LANES),
            "block_last": Out(1),
            "last": Out(1),
            "trap": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        loops = (*ROWS, *REDUCTION, *BLOCKS)
        at = {"core": self.core, "group": self.group} if self.config.cores > 1 else {}
        walker = tensor_walker(m, "walker", self.registers, "stationary", loops,
                               start=self.start, stop=self.clear, at=at, place="stationary")
        m.submodules.reader = reader = WordReader(config=self.config, loops=len(loops))
        m.submodules.tile = tile = Tile()
        connect(m, walker.items, reader.items)
        connect(m, reader.port, flipped(self.stationary))
        flags = reader.words.payload.last
        m.d.comb += [
            reader.clear.eq(self.clear),
            tile.clear.eq(self.clear),
            tile.transpose.eq(self.registers.mode.transpose),
            tile.words.valid.eq(reader.words.valid),
            tile.words.payload.eq(reader.words.payload.data),
            reader.words.ready.eq(tile.words.ready),
            tile.swap.eq(self.swap),
            self.ready.eq(tile.ready),
            self.block_last.eq(flags[loops.index(REDUCTION[-1])]),
            self.last.eq(flags[-1]),
            self.trap.eq(reader.trap),
            *(self.tile[tree][lane].eq(tile.tile[tree][lane])
              for tree in range(TREES) for lane in range(LANES)),
        ]
        return m
