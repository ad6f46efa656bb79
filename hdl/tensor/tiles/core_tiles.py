"""The stationary tiles of a core, from the scratchpad."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.interfaces import ReadPort, registers_layout
from hdl.streams.reader import WordReader
from hdl.tensor.groups import core_bits
from hdl.tensor.nest import tensor_walk, tensor_walker
from hdl.tensor.skips import skips
from hdl.tensor.tiles.tile import Tile
from hdl.tensor.tiles.tile_queue import TileQueue
from hdl.tensor.tiles.zero_tiles import OUTER, ZeroTiles
from isa.config import LANES, TREES, WORD_BITS, Config
from isa.registers import BLOCKS, REDUCTION, ROWS, Skip, Unit

LOOPS = (*ROWS, *REDUCTION, *BLOCKS)
WHOLE = len(LOOPS)  # a flag of words beside those of loops: the whole tile is zero


class CoreTiles(wiring.Component):
    """Reads the tiles of a core in order, ahead of the present one.

    An operation that skips something reads `slot` words at once if its tiles allow it: their words
    follow each other, and each begins at a multiple of `slot`. Tiles that were zero and come again
    are not read: they take a cycle.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse
    clear : nothing is read, and what was read is forgotten; also with `start`
    registers
    core, group : number in the group, and the group's; constant in an operation
    stationary : ReadPort, of `slot` words
    found, zero, push, drop, swap : of `Tile`, or of `TileQueue` if `slot` is above 1
    tile : codes [tree][lane] of the present tile, if `slot` is 1
    tiles, entry : of `TileQueue`, if it is above
    round_last, block_last, last
        With `found`: the tile is of the last pass of a round of r4, of a block, of the operation.
    trap : an address is out of range
    """

    def __init__(self, *, config: Config):
        self.config = config
        slot = config.slot
        tiles = {"tile": Out(8).array(TREES, LANES)} if slot == 1 else {
            "tiles": Out(WORD_BITS).array(slot, TREES), "entry": Out(range(slot))}
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "registers": In(registers_layout(Unit.TENSOR)),
            "core": In(core_bits(config)),
            "group": In(core_bits(config)),
            "stationary": Out(ReadPort(config, slot)),
            "found": Out(1),
            "zero": Out(slot),
            "push": In(1),
            "drop": In(1),
            "swap": In(1),
            **tiles,
            "round_last": Out(1),
            "block_last": Out(1),
            "last": Out(1),
            "trap": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        slot, registers = self.config.slot, self.registers
        wide = self._wide(m)
        q0 = registers.positions.q0
        stepped = {} if slot == 1 else {
            "counts": {"q0": Mux(wide, q0 >> (slot - 1).bit_length(), q0)}}
        origins = tensor_walker(m, "origins", registers, "stationary", LOOPS[len(ROWS):],
                                start=self.start, stop=self.clear, place="stationary",
                                origins=True,
                                at={"core": self.core, "group": self.group}
                                if self.config.cores > 1 else {})
        walk = tensor_walk(m, "walk", registers, "stationary", ROWS, outer=OUTER + 1,
                           clear=self.clear, **stepped)
        m.submodules.zeros = zeros = ZeroTiles()
        m.submodules.reader = reader = WordReader(config=self.config, loops=WHOLE + 1, words=slot)
        m.submodules.tile = tile = Tile() if slot == 1 else TileQueue(config=self.config)
        connect(m, origins.items, zeros.origins)
        connect(m, zeros.marked, walk.origins)
        connect(m, walk.items, reader.items)
        connect(m, reader.port, flipped(self.stationary))
        word = reader.words.payload
        m.d.comb += [
            reader.clear.eq(self.clear),
            tile.clear.eq(self.clear),
            tile.transpose.eq(registers.mode.transpose),
            tile.queued.eq(registers.mode.skip != Skip.NONE),
            tile.words.valid.eq(reader.words.valid),
            reader.words.ready.eq(tile.words.ready),
            *(getattr(tile, name).eq(getattr(self, name)) for name in ("push", "drop", "swap")),
            *(getattr(self, name).eq(getattr(tile, name)) for name in ("found", "zero")),
            self.round_last.eq(word.last[LOOPS.index(REDUCTION[-2])]),
            self.block_last.eq(word.last[LOOPS.index(REDUCTION[-1])]),
            self.last.eq(word.last[len(LOOPS) - 1]),
            walk.single.eq(zeros.marked.payload.last[-1]),
            tile.words.payload.whole.eq(word.last[WHOLE]),
            self.trap.eq(reader.trap),
        ]
        self._remember(m, zeros, reader.words, tile)
        if slot == 1:
            m.d.comb += [
                tile.words.payload.data.eq(word.data),
                tile.words.payload.zero.eq(word.zeros.all()),
                *(self.tile[tree][lane].eq(tile.tile[tree][lane])
                  for tree in range(TREES) for lane in range(LANES)),
            ]
            return m
        with m.If(wide):  # its rows are in order
            m.d.comb += walk.steps.q0.stride.eq(slot)
        m.d.comb += [
            reader.wide.eq(wide),
            tile.wide.eq(wide),
            tile.together.eq(skips(registers, Skip.ELEMENTS)),
            tile.words.payload.group_last.eq(word.last[LOOPS.index(REDUCTION[0])]),
            self.entry.eq(tile.entry),
            *(self.tiles[d][tree].eq(tile.tiles[d][tree])
              for d in range(slot) for tree in range(TREES)),
            *(to.eq(of) for field in ("data", "zeros")
              for to, of in zip(tile.words.payload[field], word[field], strict=True)),
        ]
        return m

    def _remember(self, m, zeros, words, tile):
        """What is remembered of tiles; without room for a zero tile only where it is dropped."""
        registers = self.registers
        alone = 1
        if self.config.slot == 1:
            alone = (registers.positions.cores == 1) & ~registers.mode.gate
        for i, loop in enumerate(BLOCKS):
            step, runs = registers[f"stationary_{loop}"], registers.blocks[loop] != 1
            moves = step.stride.any() | step.dy.any() | step.dx.any()
            m.d.comb += [zeros.repeats[i].eq(runs & ~moves), zeros.moves[i].eq(runs & moves)]
        m.d.comb += [
            zeros.clear.eq(self.clear),
            zeros.enable.eq(skips(registers, Skip.TILES) & alone),
            zeros.found.eq(words.valid & words.ready & words.payload.last[len(ROWS) - 1]),
            zeros.zero.eq(tile.zero if self.config.slot == 1 else tile.tile_zero),
            zeros.last.eq(words.payload.last[len(ROWS):WHOLE]),
        ]

    def _wide(self, m):
        """Whether `slot` words are read at once."""
        low = (self.config.slot - 1).bit_length()
        registers, wide = self.registers, Signal(name="wide_tiles")
        if not low:
            return Const(0, 1)
        q0 = registers.stationary_q0
        steps = [registers[f"stationary_{loop}"].stride for loop in (*LOOPS[1:], "core", "group")]
        ragged = Cat(value[:low] for value in (
            registers.stationary_base.address, registers.positions.q0, *steps))
        m.d.comb += wide.eq((registers.mode.skip != Skip.NONE) & (q0.stride == 1)
                            & (q0.dy == 0) & (q0.dx == 0) & ~ragged.any())
        return wide
