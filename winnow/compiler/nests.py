"""Convolutions on tiles as tensor operations: where the loop nests of the machine are written.

Maps lie as their tiles say (layouts.py); a word is 8 channels of a pixel.
Weights lie as output block, channel block, kernel row, kernel column, 8 rows of 8: a row is one
output's weights of 8 channels, or a channel's of 8 outputs (`Layouts.turns`). Gradients lie like
the weights, in binary32 (4 words a row).
"""

from collections.abc import Callable
from dataclasses import dataclass

from isa.config import TREES, Config
from isa.formats import FormatCode
from isa.registers import POSITIONS, REDUCTION, Skip, StatsMode, Unit
from winnow.compiler.drains import ALL, GROUP_WORDS, Beside, Gate, Sums, stats_words
from winnow.compiler.layouts import Layouts
from winnow.compiler.operations import At, Buffer, Loop, Operation, loop, nest_registers
from winnow.compiler.tiles import Cut, Grouping, Part, Tile, grouping
from winnow.graph import Layer
from winnow.network import Shape

E4M3, E5M2, BINARY32 = FormatCode.E4M3, FormatCode.E5M2, FormatCode.BINARY32
PIXEL = Shape(0)  # rows and columns of what a fully connected layer reads and writes
PASSES = 2  # for each core, from which on dead outputs are left out: masks take the stream's port


def passes(layer: Layer, part: Part) -> int:
    """Passes over a part of what a layer reads, for one output."""
    shape = part.shape(layer.reads)
    return shape.words if layer.is_linear else shape.blocks * layer.kernel**2


def groups_registers(g: Grouping, merge: bool = False) -> dict:
    return {"tensor.groups": {"groups": g.groups, "merge": int(merge)}} if g.groups > 1 else {}


def forward(config: Config, layer: Layer, x: Tile, weights: Buffer, y: Tile,
            bias: Buffer | None, stats: Buffer | None, sums: Sums = ALL,
            cores: int | None = None, gate: Gate | None = None) -> Operation:
    """y = x * weights, perhaps + bias and ReLU, in E4M3; statistics of y by channel in `stats`.

    `x` and `y` are parts of the layer's maps, and `weights` those between their blocks; x holds
    all rows that y needs. Bias and statistics are of all blocks. `cores` is how many a group has at
    most.
    """
    g = grouping(config, y.shape.blocks, x.images, y.shape.height, 1 if gate else cores)
    s, k, pad, xs, ys = layer.stride, layer.kernel, layer.padding, x.strides, y.strides
    cut = Cut.of(config.block, g.rows, y.shape.width, g.images, exact=g.by_rows,
                 widest=_widest(config, ys.column))
    tile = TREES * k * k  # words from one channel block's weights to the next
    tiles = tile * x.shape.blocks  # of one output block's
    statistics = stats_words(config)
    top = y.row * s - pad - x.row  # row of x that the first tap takes first
    out = sums.out(config)
    reduction = [(k, (xs.column, 0, 1), TREES), (k, (xs.row, 1, 0), TREES * k)]
    slot = slot_of(config, x)
    if slot > 1:
        reduction.insert(0, (slot, xs.block, tile))
    reduction.append((x.shape.blocks // slot, slot * xs.block, slot * tile))
    loops = [
        loop("q0", TREES, stationary=1),
        loop("p0", cut.columns, stream=(s * xs.column, 0, s), **out(ys.column, 0, 1)),
        loop("p1", cut.rows, stream=(s * xs.row, s, 0), **out(ys.row, 1, 0)),
        loop("p2", cut.images, stream=x.past(1), **out(y.past(1))),
        *(loop(name, count, stream=stream, stationary=stationary)
          for name, (count, stream, stationary) in zip(REDUCTION, reduction, strict=False)),
        loop("core", g.cores, stationary=tiles, bias=GROUP_WORDS, stats=statistics,
             **out(ys.block)),
        loop("b0", cut.row_blocks, stream=(cut.rows * s * xs.row, cut.rows * s, 0),
             **out(cut.rows * ys.row, cut.rows, 0)),
        loop("b1", cut.image_blocks, stream=x.past(cut.images), **out(y.past(cut.images))),
        loop("b2", y.shape.blocks // g.cores, stationary=g.cores * tiles,
             bias=g.cores * GROUP_WORDS, stats=g.cores * statistics,
             **out(g.cores * ys.block)),
        loop("b3", cut.column_blocks, stream=(cut.columns * s * xs.column, 0, cut.columns * s),
             **out(cut.columns * ys.column, 0, cut.columns)),
        group_loop(g, stream=(x.past(g.images), s * xs.row, s),
                   **{name: (size * y.past(g.images), size * ys.row, rows) for name, size, rows in
                      zip(("output", "aux"), sums.sizes(config), (1, 0), strict=True)}),
    ]
    if gate:
        loops.append(loop("r4", 2, stationary=gate.half))
    registers = nest_registers(loops) | groups_registers(g) | sums.registers() | {
        "tensor.stream.base": {"address": At(x.buffer, x.at(top, -pad))},
        "tensor.stream.window": window(top, -pad, x.shape),
        "tensor.stationary.base": {"address": At(weights)},
        "tensor.output.base": {"address": At(sums.after or y.buffer)},
        "tensor.output.window": window(0, 0, y.shape),
        "tensor.mode": {"bias": int(bias is not None), "relu": int(layer.relu and not sums.after),
                        "stats": StatsMode.SQUARE if stats else StatsMode.NONE, **sums.mode,
                        **({"transpose": 1} if Layouts.of(config).turns(layer) else {}),
                        **skipping(config, Skip.ELEMENTS if slot > 1 else Skip.NONE)},
    }
    reads, writes = [x.buffer, weights, *sums.reads], [sums.after or y.buffer]
    if bias:
        registers["tensor.bias.base"] = {"address": At(bias, GROUP_WORDS * y.block)}
        reads.append(bias)
    if stats:
        registers["tensor.stats.base"] = {"address": At(stats, statistics * y.block)}
        reads.append(stats)
        writes.append(stats)
    if gate:
        registers["tensor.mode"]["gate"] = 1
        registers |= gate.registers(y)
        reads.append(gate.thresholds)
        writes.append(gate.gates.buffer)
    return Operation(f"{layer.name} FP", Unit.TENSOR, registers, reads, writes)


def _widest(config: Config, step: int) -> int | None:
    """Columns of a block whose outputs lie so many words apart, if not as many as there are.

    A drain that writes at half the pace of a move takes a bank from it again and again: the move
    falls behind to that pace. Where a block goes back to the next row the move gets past.
    """
    return config.banks // (2 * step) if 2 * step == config.axi_words else None


def slot_of(config: Config, x: Tile) -> int:
    """Channel blocks of a map that FP takes together: words side by side, the first at a multiple
    of `Config.slot`; 1 if there is no such slot."""
    together, steps = min(config.slot, x.shape.blocks), [x.past(1)]
    if x.shape.pixels > 1:
        steps.append(x.strides.column)
    whole = x.strides.block == 1 and x.shape.blocks % together == 0 and not any(
        step % config.slot for step in steps)
    return together if whole else 1


def skipping(config: Config, more: Skip) -> dict:
    """The mode of an operation that may leave out zero tiles, and more."""
    return {"skip": Skip.TILES | more} if config.slot > 1 else {}


def group_loop(g: Grouping, **streams):
    """The loop over groups; each stream has words to the images of the next group, words of a row
    of outputs, and its rows."""
    return loop("group", g.groups, **{
        name: _group_step(g, *stream) for name, stream in streams.items()})


def _group_step(g: Grouping, images: int, words: int, rows: int):
    if g.by_images:
        return images
    return (g.rows * words, g.rows * rows, 0) if rows else g.rows * words


@dataclass(frozen=True)
class Steps:
    """How stream, output and what is beside the output move through the pixels of a backward pass:
    dy, every `stride`-th pixel of dx, and `beneath` likewise."""

    dy: Tile
    dx: Tile
    beneath: Tile
    stride: int
    out: Callable[..., dict]  # `Sums.out`

    def images(self, count: int) -> dict:
        return {"stream": self.dy.past(count)} | self.out(
            self.dx.past(count), aux=self.beneath.past(count))

    def down(self, count: int) -> dict:
        far, (xs, zs) = count * self.stride, (self.dx.strides, self.beneath.strides)
        return {"stream": (count * self.dy.strides.row, count, 0)} | self.out(
            far * xs.row, far, aux=far * zs.row)

    def right(self, count: int) -> dict:
        far, (xs, zs) = count * self.stride, (self.dx.strides, self.beneath.strides)
        return {"stream": (count * self.dy.strides.column, 0, count)} | self.out(
            far * xs.column, 0, far, aux=far * zs.column)

    def positions(self, cut: Cut) -> list[Loop]:
        """The loops over positions of a block; images that lie side by side are innermost, and a
        cut is one of groups of them."""
        side = self.dx.layout.together
        loops = [(cut.columns, self.right(cut.right[0])), (cut.rows, self.down(cut.down[0])),
                 (cut.images, self.images(side))]
        if side > 1:
            loops = [(side, self.images(1)), *(each for each in loops if each[0] > 1)]
        return [loop(name, count, **steps)
                for name, (count, steps) in zip(POSITIONS, loops, strict=False)]

    def group(self, g: Grouping) -> Loop:
        """The loop over groups of cores."""
        side = self.dx.layout.together
        return loop("group", g.groups, **(
            self.images(side * g.images) if g.by_images else self.down(g.rows)))


def backward_cut(config: Config, dx: Tile, rows: int, columns: int, g: Grouping) -> Cut:
    """Blocks of a backward pass over so many rows and columns; its images are groups of those that
    lie side by side."""
    side = dx.layout.together
    make = Cut.of if side == 1 else Cut.spread
    return make(config.block // side, rows, columns, g.images, exact=g.by_rows)


def reaches(layer: Layer, row: int, column: int) -> bool:
    """Whether any tap of `layer` reaches inputs of this parity."""
    return all(taps(layer.kernel, layer.stride, layer.padding, parity)[1]
               for parity in (row, column))


def backward(config: Config, layer: Layer, dy: Tile, weights: Buffer, dx: Tile, row: int,
             column: int, beside: Beside, sums: Sums = ALL,
             cores: int | None = None) -> Operation | None:
    """dx = dy convolved with the transposed weights, for inputs of one parity of row and column
    (modulo the stride), in E5M2; None if dx has no such row.

    `dy` and `dx` are parts of the layer's maps, and `weights` those between their blocks; dy holds
    all rows that dx needs. `cores` is how many a group has at most. Where the channels of dy are
    last its zeros are left out, else dead outputs.
    """
    s, k, linear = layer.stride, layer.kernel, layer.is_linear
    pixels = dx.shape.pixels if linear else 1
    shape, begin = (PIXEL, 0) if linear else (dx.shape, dx.row)
    down = (row - begin) % s  # the first row in dx
    rows, columns = -(-(shape.height - down) // s), -(-(shape.width - column) // s)
    if rows <= 0:
        return None
    together = dx.layout.together
    g = grouping(config, dx.shape.blocks if pixels == 1 else pixels, dx.images // together, rows,
                 cores)
    cut = backward_cut(config, dx, g.rows, columns, g)
    (ky, taps_y, oy), (kx, taps_x, ox) = (
        taps(k, s, layer.padding, parity) for parity in (row, column))
    oy += (begin + down - row) // s - dy.row
    tile = TREES * k * k  # words from one channel block's weights to the next
    tiles = tile * dx.shape.blocks * pixels
    ws = Layouts.of(config).maps.strides(dx.shape)  # of what a fully connected layer reads
    ys, xs, statistics = dy.strides, dx.strides, stats_words(config)
    beneath = beside.lies(dx)  # what aux moves through
    zs, steps = beneath.strides, Steps(dy, dx, beneath, s, sums.out(config))
    slot = slot_of(config, dy) if dy.layout.channels_last else 1
    reduction = [(max(taps_x, 1), (-ys.column, 0, -1), TREES * s),
                 (max(taps_y, 1), (-ys.row, -1, 0), TREES * k * s),
                 (dy.shape.blocks // slot, slot * ys.block, slot * tiles)]
    if slot > 1:
        reduction.insert(0, (slot, ys.block, tiles))
    loops = [
        loop("q0", TREES, stationary=1),
        *steps.positions(cut),
        *(loop(name, count, stream=stream, stationary=stationary)
          for name, (count, stream, stationary) in zip(REDUCTION, reduction, strict=False)),
        loop("b0", cut.row_blocks, **steps.down(cut.down[1])),
        loop("b1", cut.image_blocks, **steps.images(together * cut.images)),
        *(loop(name, count,
               stationary=tile * (pixel * ws.column + block * ws.block if linear else block),
               stats=block * statistics,
               **steps.out(pixel * xs.column + block * xs.block,
                           aux=pixel * zs.column + block * zs.block))
          for name, count, pixel, block in channel_loops("b2", "b3", g.cores, dx.shape.blocks,
                                                         pixels)),
        *([] if linear else [loop("b3", cut.column_blocks, **steps.right(cut.right[1]))]),
        steps.group(g),
    ]
    bounds = window(oy, ox, dy.shape)
    if not (taps_x and taps_y):
        bounds["height"] = 0  # no tap reaches these pixels: their gradient is zero
    first = dx.at(down, column)
    passes = taps_x * taps_y * dy.shape.blocks
    dead = beside.mask and dy.layout.together == config.slot and passes >= PASSES * g.cores
    skip = Skip.ELEMENTS if slot > 1 else Skip.OUTPUTS if dead else Skip.NONE
    registers = nest_registers(loops) | groups_registers(g) | beside.registers(
        down, column, statistics * dx.block) | sums.registers(first * config.raw_words) | {
        "tensor.stream.base": {"address": At(dy.buffer, dy.at(oy, ox))},
        "tensor.stream.window": bounds,
        "tensor.stationary.base": {"address": At(weights, TREES * (k * ky + kx))},
        "tensor.output.base": {"address": At(sums.after, first * sums.sizes(config)[0])
                               if sums.after else At(dx.buffer, first)},
        "tensor.output.window": window(down, column, shape),
        "tensor.mode": {"stationary": E4M3, "stream": E5M2,
                        "transpose": int(not Layouts.of(config).turns(layer)), "output": E5M2,
                        **beside.mode, **sums.mode,
                        **skipping(config, skip)},
    }
    return Operation(f"{layer.name} BP", Unit.TENSOR, registers,
                     [dy.buffer, weights, *beside.reads, *sums.reads],
                     [sums.after or dx.buffer, *beside.writes])


def channel_loops(low: str, high: str, cores: int, blocks: int, pixels: int):
    """Loops over the channel blocks of an input: name, count, and the pixels and blocks of a round.

    A fully connected layer takes each of `pixels` words of a channel block as a block of its own.
    """
    if pixels == 1:
        return ("core", cores, 0, 1), (low, blocks // cores, 0, cores)
    return ("core", cores, 1, 0), (low, pixels // cores, cores, 0), (high, blocks, 0, 1)


def taps(kernel: int, stride: int, padding: int, parity: int) -> tuple[int, int, int]:
    """Along one axis, for inputs of this parity: the first tap that reaches them, how many there
    are, and the output that the first tap connects with the first input."""
    first = (parity + padding) % stride
    count = len(range(first, kernel, stride))
    return min(first, kernel - 1), count, (parity + padding - first) // stride


def window(y: int, x: int, shape) -> dict[str, int]:
    return {"y": y, "x": x, "height": shape.height, "width": shape.width}
