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
from winnow.compiler.tiles import Cut, Grouping, Tile, grouping
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

    def registers(self, start: int) -> dict:
        """Registers, for an output that begins `start` words into its tile."""
        values = {}
        for stream, tile in (("aux", self.element), ("mask", self.mask), ("norm", self.norm)):
            if tile:
                values[f"tensor.{stream}.base"] = {"address": At(tile.buffer, start)}
        if self.stats:
            values["tensor.stats.base"] = {"address": At(self.stats)}
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


def groups_registers(g: Grouping, merge: bool = False) -> dict:
    return {"tensor.groups": {"groups": g.groups, "merge": int(merge)}} if g.groups > 1 else {}


def stats_words(config: Config) -> int:
    """Words of the two sums of a channel block."""
    return 2 * config.raw_words


def forward(config: Config, layer: Layer, x: Tile, weights: Buffer, y: Tile,
            bias: Buffer | None, stats: Buffer | None) -> Operation:
    """y = x * weights, perhaps + bias and ReLU, in E4M3; statistics of y by channel in `stats`."""
    g = grouping(config, y.shape.blocks, x.images, layer.output.height)
    cut = Cut.of(config.block, g.rows, layer.output.width, g.images, exact=g.by_rows)
    s, k, pad, columns = layer.stride, layer.kernel, layer.padding, layer.input.width
    tiles = TREES * k * k * layer.input.blocks  # words of one output block's weights
    sums = stats_words(config)
    out_row = layer.output.width
    loops = [
        loop("q0", TREES, stationary=1),
        loop("p0", cut.columns, stream=(s, 0, s), output=(1, 0, 1)),
        loop("p1", cut.rows, stream=(s * columns, s, 0), output=(out_row, 1, 0)),
        loop("p2", cut.images, stream=x.image_words, output=y.image_words),
        loop("r0", k, stream=(1, 0, 1), stationary=TREES),
        loop("r1", k, stream=(columns, 1, 0), stationary=TREES * k),
        loop("r2", layer.input.blocks, stream=x.map_words, stationary=TREES * k * k),
        loop("core", g.cores, stationary=tiles, output=y.map_words, bias=GROUP_WORDS, stats=sums),
        loop("b0", cut.row_blocks, stream=(cut.rows * s * columns, cut.rows * s, 0),
             output=(cut.rows * out_row, cut.rows, 0)),
        loop("b1", cut.image_blocks, stream=cut.images * x.image_words,
             output=cut.images * y.image_words),
        loop("b2", y.shape.blocks // g.cores, stationary=g.cores * tiles,
             output=g.cores * y.map_words, bias=g.cores * GROUP_WORDS, stats=g.cores * sums),
        loop("b3", cut.column_blocks, stream=(cut.columns * s, 0, cut.columns * s),
             output=(cut.columns, 0, cut.columns)),
        group_loop(g, stream=(x, s * columns, s), output=(y, out_row, 1)),
    ]
    registers = nest_registers(loops) | groups_registers(g) | {
        "tensor.stream.base": {"address": At(x.buffer, -pad * (columns + 1))},
        "tensor.stream.window": window(-pad, -pad, layer.input),
        "tensor.stationary.base": {"address": At(weights)},
        "tensor.output.base": {"address": At(y.buffer)},
        "tensor.output.window": window(0, 0, layer.output),
        "tensor.mode": {"bias": int(bias is not None), "relu": int(layer.relu),
                        "stats": StatsMode.SQUARE if stats else StatsMode.NONE},
    }
    reads, writes = [x.buffer, weights], [y.buffer]
    if bias:
        registers["tensor.bias.base"] = {"address": At(bias)}
        reads.append(bias)
    if stats:
        registers["tensor.stats.base"] = {"address": At(stats)}
        reads.append(stats)
        writes.append(stats)
    return Operation(f"{layer.name} FP", Unit.TENSOR, registers, reads, writes)


def group_loop(g: Grouping, **streams):
    """The loop over groups; each stream is a tile, its words a row of outputs, and its rows."""
    if g.by_images:
        return loop("group", g.groups, **{
            name: g.images * tile.image_words for name, (tile, _, _) in streams.items()})
    return loop("group", g.groups, **{
        name: (g.rows * words, g.rows * rows, 0) if rows else g.rows * words
        for name, (_, words, rows) in streams.items()})


def reaches(layer: Layer, row: int, column: int) -> bool:
    """Whether any tap of `layer` reaches inputs of this parity."""
    return all(taps(layer.kernel, layer.stride, layer.padding, parity)[1]
               for parity in (row, column))


def backward(config: Config, layer: Layer, dy: Tile, weights: Buffer, dx: Tile, row: int,
             column: int, beside: Beside) -> Operation:
    """dx = dy convolved with the transposed weights, for inputs of one parity of row and column
    (modulo the stride), in E5M2."""
    s, k = layer.stride, layer.kernel
    rows, columns = (-(-(side - parity) // s) for side, parity in (
        (layer.input.height, row), (layer.input.width, column)))
    inner = layer.source.pixels if layer.is_linear else 1
    g = grouping(config, dx.shape.blocks if inner == 1 else inner, dx.images, rows)
    cut = Cut.of(config.block, g.rows, columns, g.images, exact=g.by_rows)
    (ky, taps_y, oy), (kx, taps_x, ox) = (
        taps(k, s, layer.padding, parity) for parity in (row, column))
    tile = TREES * k * k  # words from one channel block's weights to the next
    tiles = tile * layer.input.blocks
    in_row, width, sums = layer.input.width, layer.output.width, stats_words(config)

    def out(words, dy_=0, dx_=0):
        return {"output": (words, dy_, dx_), "aux": words}

    loops = [
        loop("q0", TREES, stationary=1),
        loop("p0", cut.columns, stream=(1, 0, 1), **out(s, 0, s)),
        loop("p1", cut.rows, stream=(width, 1, 0), **out(s * in_row, s)),
        loop("p2", cut.images, stream=dy.image_words, **out(dx.image_words)),
        loop("r0", max(taps_x, 1), stream=(-1, 0, -1), stationary=TREES * s),
        loop("r1", max(taps_y, 1), stream=(-width, -1, 0), stationary=TREES * k * s),
        loop("r2", layer.output.blocks, stream=dy.map_words, stationary=tiles),
        loop("b0", cut.row_blocks, stream=(cut.rows * width, cut.rows, 0),
             **out(cut.rows * s * in_row, cut.rows * s)),
        loop("b1", cut.image_blocks, stream=cut.images * dy.image_words,
             **out(cut.images * dx.image_words)),
        *(loop(name, count, stationary=step * tile, stats=block * sums,
               **out(step * dx.map_words))
          for name, count, step, block in channel_loops("b2", "b3", g.cores, dx.shape.blocks,
                                                        inner)),
        *([] if layer.is_linear else [
            loop("b3", cut.column_blocks, stream=(cut.columns, 0, cut.columns),
                 **out(cut.columns * s, 0, cut.columns * s))]),
        group_loop(g, stream=(dy, width, 1), output=(dx, s * in_row, s), aux=(dx, s * in_row, 0)),
    ]
    bounds = window(oy, ox, layer.output)
    if not (taps_x and taps_y):
        bounds["height"] = 0  # no tap reaches these pixels: their gradient is zero
    start = row * in_row + column
    registers = nest_registers(loops) | groups_registers(g) | beside.registers(start) | {
        "tensor.stream.base": {"address": At(dy.buffer, oy * width + ox)},
        "tensor.stream.window": bounds,
        "tensor.stationary.base": {"address": At(weights, TREES * (k * ky + kx))},
        "tensor.output.base": {"address": At(dx.buffer, start)},
        "tensor.output.window": window(row, column, layer.input),
        "tensor.mode": {"stationary": E4M3, "stream": E5M2, "transpose": 1, "output": E5M2,
                        **beside.mode},
    }
    return Operation(f"{layer.name} BP", Unit.TENSOR, registers,
                     [dy.buffer, weights, *beside.reads], [dx.buffer, *beside.writes])


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
