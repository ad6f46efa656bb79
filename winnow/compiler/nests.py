"""Convolutions on tiles as tensor operations: where the loop nests of the machine are written.

Maps lie as image, channel block, row, column, 8 channels: a word is 8 channels of a pixel.
Weights lie as output block, channel block, kernel row, kernel column, 8 rows of 8: a row is one
output's weights of 8 channels. Gradients lie like the weights, in binary32 (4 words a row).
"""

from dataclasses import dataclass

from isa.config import TREES, Config
from isa.formats import FormatCode
from isa.registers import AuxMode, StatsMode, Unit
from winnow.compiler.operations import At, Buffer, Operation, loop, nest_registers
from winnow.compiler.tiles import Cut, Grouping, Part, Tile, grouping
from winnow.graph import Layer

E4M3, E5M2, BINARY32 = FormatCode.E4M3, FormatCode.E5M2, FormatCode.BINARY32
GROUP_WORDS = 4  # words of 8 binary32 elements


@dataclass(frozen=True)
class Beside:
    """What the drain of a backward pass takes beside the sums; tiles like its output."""

    element: Tile | None = None  # added before rounding
    mask: Tile | None = None
    norm: Tile | None = None  # with `stats`, second factor of the second sum
    stats: Buffer | None = None

    def registers(self, start: int = 0, stats: int = 0) -> dict:
        """Registers, for an output that begins `start` words into its tile, with statistics that
        begin `stats` words into theirs."""
        values = {}
        for stream, tile in (("aux", self.element), ("mask", self.mask), ("norm", self.norm)):
            if tile:
                values[f"tensor.{stream}.base"] = {"address": At(tile.buffer, start)}
        if self.stats:
            values["tensor.stats.base"] = {"address": At(self.stats, stats)}
        return values

    @property
    def mode(self) -> dict:
        return {"aux": AuxMode.ELEMENT if self.element else AuxMode.NONE,
                "mask": int(self.mask is not None),
                "stats": StatsMode.NORM if self.stats else StatsMode.NONE}

    @property
    def reads(self) -> list[Buffer]:
        tiles = (self.element, self.mask, self.norm)
        return [t.buffer for t in tiles if t] + ([self.stats] if self.stats else [])

    @property
    def writes(self) -> list[Buffer]:
        return [self.stats] if self.stats else []


@dataclass(frozen=True)
class Sums:
    """A part of a reduction: what is added to its sums, exactly, and where they go, if they are
    not rounded yet. Raw positions lie like the output."""

    before: Buffer | None = None
    after: Buffer | None = None  # None: to the output
    passes: int = 0  # in `before`

    def registers(self, start: int = 0) -> dict:
        """Registers, for sums that begin `start` words into their buffer."""
        if not self.before:
            return {}
        return {"tensor.aux.base": {"address": At(self.before, start)},
                "tensor.depth": {"passes": self.passes}}

    @property
    def mode(self) -> dict:
        return ({"aux": AuxMode.RAW} if self.before else {}) | (
            {"output": FormatCode.RAW} if self.after else {})

    @property
    def reads(self) -> list[Buffer]:
        return [self.before] if self.before else []

    def sizes(self, config: Config, size: int = 1) -> tuple[int, int]:
        """Words of a position of output and aux, `size` of what is not raw."""
        size = config.raw_words if self.after else size
        return size, config.raw_words if self.before else size

    def groups(self, config: Config, y: Tile, words: int, rows: int) -> dict:
        """Streams of `group_loop` for an output, and what lies like it."""
        size, old = self.sizes(config)
        return {"output": (y, words, rows, size), "aux": (y, words, 0, old)}

    def out(self, config: Config, size: int = 1):
        """A function that gives the steps of output and aux for words of `size` a position."""
        size, old = self.sizes(config, size)

        def steps(words: int, dy: int = 0, dx: int = 0) -> dict:
            return {"output": (words * size, dy, dx), "aux": words * old}
        return steps


def passes(layer: Layer, part: Part) -> int:
    """Passes over a part of what a layer reads, for one output."""
    shape = part.shape(layer.reads)
    return shape.words if layer.is_linear else shape.blocks * layer.kernel**2


ALL = Sums()  # a reduction in one part


def split_sums(config: Config, name: str, words: int, passes: list[int]) -> list[Sums]:
    """The parts of a reduction with so many passes each, of an output of so many words."""
    buffer = Buffer(f"sums of {name}", words * config.raw_words)
    return [Sums(buffer if i else None, buffer if i < len(passes) - 1 else None, sum(passes[:i]))
            for i in range(len(passes))]


def groups_registers(g: Grouping, merge: bool = False) -> dict:
    return {"tensor.groups": {"groups": g.groups, "merge": int(merge)}} if g.groups > 1 else {}


def stats_words(config: Config) -> int:
    """Words of the two sums of a channel block."""
    return 2 * config.raw_words


def forward(config: Config, layer: Layer, x: Tile, weights: Buffer, y: Tile,
            bias: Buffer | None, stats: Buffer | None, sums: Sums = ALL) -> Operation:
    """y = x * weights, perhaps + bias and ReLU, in E4M3; statistics of y by channel in `stats`.

    `x` and `y` are parts of the layer's maps, and `weights` those between their blocks; x holds
    all rows that y needs. Bias and statistics are of all blocks.
    """
    g = grouping(config, y.shape.blocks, x.images, y.shape.height)
    cut = Cut.of(config.block, g.rows, y.shape.width, g.images, exact=g.by_rows)
    s, k, pad, columns = layer.stride, layer.kernel, layer.padding, x.shape.width
    tiles = TREES * k * k * x.shape.blocks  # words of one output block's weights
    statistics = stats_words(config)
    out_row = y.shape.width
    top = y.row * s - pad - x.row  # row of x that the first tap takes first
    out = sums.out(config)
    loops = [
        loop("q0", TREES, stationary=1),
        loop("p0", cut.columns, stream=(s, 0, s), **out(1, 0, 1)),
        loop("p1", cut.rows, stream=(s * columns, s, 0), **out(out_row, 1, 0)),
        loop("p2", cut.images, stream=x.image_words, **out(y.image_words)),
        loop("r0", k, stream=(1, 0, 1), stationary=TREES),
        loop("r1", k, stream=(columns, 1, 0), stationary=TREES * k),
        loop("r2", x.shape.blocks, stream=x.map_words, stationary=TREES * k * k),
        loop("core", g.cores, stationary=tiles, bias=GROUP_WORDS, stats=statistics,
             **out(y.map_words)),
        loop("b0", cut.row_blocks, stream=(cut.rows * s * columns, cut.rows * s, 0),
             **out(cut.rows * out_row, cut.rows, 0)),
        loop("b1", cut.image_blocks, stream=cut.images * x.image_words,
             **out(cut.images * y.image_words)),
        loop("b2", y.shape.blocks // g.cores, stationary=g.cores * tiles,
             bias=g.cores * GROUP_WORDS, stats=g.cores * statistics,
             **out(g.cores * y.map_words)),
        loop("b3", cut.column_blocks, stream=(cut.columns * s, 0, cut.columns * s),
             **out(cut.columns, 0, cut.columns)),
        group_loop(g, stream=(x, s * columns, s), **sums.groups(config, y, out_row, 1)),
    ]
    registers = nest_registers(loops) | groups_registers(g) | sums.registers() | {
        "tensor.stream.base": {"address": At(x.buffer, top * columns - pad)},
        "tensor.stream.window": window(top, -pad, x.shape),
        "tensor.stationary.base": {"address": At(weights)},
        "tensor.output.base": {"address": At(sums.after or y.buffer)},
        "tensor.output.window": window(0, 0, y.shape),
        "tensor.mode": {"bias": int(bias is not None), "relu": int(layer.relu and not sums.after),
                        "stats": StatsMode.SQUARE if stats else StatsMode.NONE, **sums.mode},
    }
    reads, writes = [x.buffer, weights, *sums.reads], [sums.after or y.buffer]
    if bias:
        registers["tensor.bias.base"] = {"address": At(bias, GROUP_WORDS * y.block)}
        reads.append(bias)
    if stats:
        registers["tensor.stats.base"] = {"address": At(stats, statistics * y.block)}
        reads.append(stats)
        writes.append(stats)
    return Operation(f"{layer.name} FP", Unit.TENSOR, registers, reads, writes)


def group_loop(g: Grouping, **streams):
    """The loop over groups; each stream is a tile, its words a row of outputs, its rows, and its
    words a position if not one."""
    return loop("group", g.groups, **{
        name: _group_step(g, *stream) for name, stream in streams.items()})


def _group_step(g: Grouping, tile: Tile, words: int, rows: int, size: int = 1):
    if g.by_images:
        return size * g.images * tile.image_words
    return (size * g.rows * words, g.rows * rows, 0) if rows else size * g.rows * words


def reaches(layer: Layer, row: int, column: int) -> bool:
    """Whether any tap of `layer` reaches inputs of this parity."""
    return all(taps(layer.kernel, layer.stride, layer.padding, parity)[1]
               for parity in (row, column))


def backward(config: Config, layer: Layer, dy: Tile, weights: Buffer, dx: Tile, row: int,
             column: int, beside: Beside, sums: Sums = ALL) -> Operation | None:
    """dx = dy convolved with the transposed weights, for inputs of one parity of row and column
    (modulo the stride), in E5M2; None if dx has no such row.

    `dy` and `dx` are parts of the layer's maps, and `weights` those between their blocks; dy holds
    all rows that dx needs.
    """
    s, k = layer.stride, layer.kernel
    inner = dx.shape.pixels if layer.is_linear else 1
    start = dx.block
    if layer.is_linear:
        dx = dx.flat
    down, width = (row - dx.row) % s, dy.shape.width  # the first row in dx
    rows, columns = -(-(dx.shape.height - down) // s), -(-(dx.shape.width - column) // s)
    if rows <= 0:
        return None
    g = grouping(config, dx.shape.blocks if inner == 1 else inner, dx.images, rows)
    cut = Cut.of(config.block, g.rows, columns, g.images, exact=g.by_rows)
    (ky, taps_y, oy), (kx, taps_x, ox) = (
        taps(k, s, layer.padding, parity) for parity in (row, column))
    oy += (dx.row + down - row) // s - dy.row
    tile = TREES * k * k  # words from one channel block's weights to the next
    tiles = tile * dx.shape.blocks
    in_row, statistics = dx.shape.width, stats_words(config)
    out = sums.out(config)
    loops = [
        loop("q0", TREES, stationary=1),
        loop("p0", cut.columns, stream=(1, 0, 1), **out(s, 0, s)),
        loop("p1", cut.rows, stream=(width, 1, 0), **out(s * in_row, s)),
        loop("p2", cut.images, stream=dy.image_words, **out(dx.image_words)),
        loop("r0", max(taps_x, 1), stream=(-1, 0, -1), stationary=TREES * s),
        loop("r1", max(taps_y, 1), stream=(-width, -1, 0), stationary=TREES * k * s),
        loop("r2", dy.shape.blocks, stream=dy.map_words, stationary=tiles),
        loop("b0", cut.row_blocks, stream=(cut.rows * width, cut.rows, 0),
             **out(cut.rows * s * in_row, cut.rows * s)),
        loop("b1", cut.image_blocks, stream=cut.images * dy.image_words,
             **out(cut.images * dx.image_words)),
        *(loop(name, count, stationary=step * tile, stats=block * statistics,
               **out(step * dx.map_words))
          for name, count, step, block in channel_loops("b2", "b3", g.cores, dx.shape.blocks,
                                                        inner)),
        *([] if layer.is_linear else [
            loop("b3", cut.column_blocks, stream=(cut.columns, 0, cut.columns),
                 **out(cut.columns * s, 0, cut.columns * s))]),
        group_loop(g, stream=(dy, width, 1), **sums.groups(config, dx, s * in_row, s)),
    ]
    bounds = window(oy, ox, dy.shape)
    if not (taps_x and taps_y):
        bounds["height"] = 0  # no tap reaches these pixels: their gradient is zero
    first = down * in_row + column
    registers = nest_registers(loops) | groups_registers(g) | beside.registers(
        first, statistics * start) | sums.registers(first * config.raw_words) | {
        "tensor.stream.base": {"address": At(dy.buffer, oy * width + ox)},
        "tensor.stream.window": bounds,
        "tensor.stationary.base": {"address": At(weights, TREES * (k * ky + kx))},
        "tensor.output.base": {"address": At(sums.after, first * config.raw_words)
                               if sums.after else At(dx.buffer, first)},
        "tensor.output.window": window(down, column, dx.shape),
        "tensor.mode": {"stationary": E4M3, "stream": E5M2, "transpose": 1, "output": E5M2,
                        **beside.mode, **sums.mode},
    }
    return Operation(f"{layer.name} BP", Unit.TENSOR, registers,
                     [dy.buffer, weights, *beside.reads, *sums.reads],
                     [sums.after or dx.buffer, *beside.writes])


def channel_loops(low: str, high: str, cores: int, blocks: int, pixels: int):
    """Loops over the channel blocks of an input: name, count, blocks a round, and how many blocks
    its statistics move.

    A fully connected layer takes each of `pixels` words of a channel block as a block of its own.
    """
    if pixels == 1:
        return ("core", cores, 1, 1), (low, blocks // cores, cores, cores)
    return (("core", cores, 1, 0), (low, pixels // cores, cores, 0),
            (high, blocks // pixels, pixels, 1))


def taps(kernel: int, stride: int, padding: int, parity: int) -> tuple[int, int, int]:
    """Along one axis, for inputs of this parity: the first tap that reaches them, how many there
    are, and the output that the first tap connects with the first input."""
    first = (parity + padding) % stride
    count = len(range(first, kernel, stride))
    return min(first, kernel - 1), count, (parity + padding - first) // stride


def window(y: int, x: int, shape) -> dict[str, int]:
    return {"y": y, "x": x, "height": shape.height, "width": shape.width}
