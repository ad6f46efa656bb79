"""Weight gradients on tiles as tensor operations.

A stationary tile is 8 channels of 8 pixels (or of one pixel of 8 images), the stream is turned:
the same 8 pixels of one output. So the sums run over pixels and images.
"""

from dataclasses import dataclass

from isa.config import LANES, TREES, Config
from isa.formats import FormatCode
from isa.registers import Unit
from winnow.compiler.nests import GROUP_WORDS, Sums, groups_registers, window
from winnow.compiler.operations import At, Buffer, Operation, loop, nest_registers
from winnow.compiler.tiles import Tile, grouping
from winnow.graph import Layer

E4M3, E5M2, BINARY32 = FormatCode.E4M3, FormatCode.E5M2, FormatCode.BINARY32


@dataclass(frozen=True)
class Eight:
    """Which 8 inputs are summed at once: a rectangle of pixels, or images at one pixel."""

    rows: int = 1
    columns: int = 1
    images: int = 1

    def passes(self, rows: int, columns: int, images: int) -> int:
        return -(-rows // self.rows) * -(-columns // self.columns) * (images // self.images)


ENOUGH = 0.01  # of the cycles of an operation
RECTANGLES = tuple(Eight(rows, LANES // rows) for rows in (1, 2, 4, 8))


def best_eight(rows: int, columns: int, images: int) -> Eight:
    """The choice with the fewest passes."""
    choices = RECTANGLES + ((Eight(images=LANES),) if images % LANES == 0 else ())
    return min(choices, key=lambda e: e.passes(rows, columns, images))


def weight_gradient(config: Config, layer: Layer, x: Tile, dy: Tile, rows: range,
                    gradient: Buffer | None, scale: int, sums: Sums,
                    kernel: range | None = None) -> Operation:
    """Sums over some rows of the layer's output of dy times x, times 2**scale, in binary32, or raw
    (not scaled).

    `x` and `dy` are parts of the layer's maps, and `gradient` is of the weights between their
    blocks, of all or some rows of the kernel; x holds all rows that these rows of dy need.
    """
    kernel = kernel or range(layer.kernel)
    height, width = len(rows), dy.shape.width
    eight = best_eight(height, width, x.images)
    row_passes = -(-height // eight.rows)
    g = grouping(config, x.shape.blocks, x.images // eight.images, row_passes)
    s, k, pad, columns = layer.stride, layer.kernel, layer.padding, x.shape.width
    passes = g.images * -(-width // eight.columns) * (row_passes if g.by_images else g.rows)
    outputs = _outputs_at_once(config, dy.shape.blocks, x.shape.blocks // g.cores * k * len(kernel),
                               passes, g.cores)
    out = sums.out(config, GROUP_WORDS)
    top = rows.start * s - pad - x.row + kernel.start  # row of x that the first tap takes first
    tile = TREES * k * len(kernel)  # rows from one channel block's gradient to the next
    tiles = tile * x.shape.blocks

    if eight.images > 1:
        rows8 = [loop("q0", LANES, stationary=x.image_words)]
        stream8 = [loop("p0", LANES, stream=dy.image_words, **out(1))]
    else:
        rows8 = [loop("q0", eight.columns, stationary=(s, 0, s)),
                 loop("q1", eight.rows, stationary=(s * columns, s, 0))]
        stream8 = [loop("p0", eight.columns, stream=(1, 0, 1), **out(1)),
                   loop("p1", eight.rows, stream=(width, 1, 0), **out(eight.columns))]
    down = eight.rows, g.rows if not g.by_images else row_passes
    group = {"stream": g.images * eight.images * dy.image_words,
             "stationary": g.images * eight.images * x.image_words} if g.by_images else {
        "stream": (g.rows * eight.rows * width, g.rows * eight.rows, 0),
        "stationary": (g.rows * eight.rows * s * columns, g.rows * eight.rows * s, 0)}
    loops = [
        *rows8, *stream8,
        loop("p2", outputs, stream=dy.map_words, **out(tiles)),
        loop("r0", -(-width // eight.columns), stream=(eight.columns, 0, eight.columns),
             stationary=(s * eight.columns, 0, s * eight.columns)),
        loop("r1", down[1], stream=(eight.rows * width, eight.rows, 0),
             stationary=(s * eight.rows * columns, s * eight.rows, 0)),
        loop("r2", g.images, stream=eight.images * dy.image_words,
             stationary=eight.images * x.image_words),
        loop("core", g.cores, stationary=x.map_words, **out(tile)),
        loop("b0", k, stationary=(1, 0, 1), **out(TREES)),
        loop("b1", len(kernel), stationary=(columns, 1, 0), **out(TREES * k)),
        loop("b2", x.shape.blocks // g.cores, stationary=g.cores * x.map_words,
             **out(g.cores * tile)),
        loop("b3", dy.shape.blocks // outputs, stream=outputs * dy.map_words,
             **out(outputs * tiles)),
        loop("group", g.groups, **group),
    ]
    bounds = window(0, 0, dy.shape) | {"height": height}
    registers = nest_registers(loops) | groups_registers(g, merge=True) | sums.registers() | {
        "tensor.stream.base": {"address": At(dy.buffer, (rows.start - dy.row) * width)},
        "tensor.stream.window": bounds,
        "tensor.stationary.base": {"address": At(x.buffer, top * columns - pad)},
        "tensor.stationary.window": window(top, -pad, x.shape),
        "tensor.output.base": {"address": At(sums.after or gradient)},
        "tensor.mode": {"stationary": E4M3, "stream": E5M2, "transpose": 1, "turn_stream": 1,
                        "output": BINARY32, "scale": 0 if sums.after else scale, **sums.mode},
    }
    return Operation(f"{layer.name} WU", Unit.TENSOR, registers,
                     [x.buffer, dy.buffer, *sums.reads], [sums.after or gradient])


def _outputs_at_once(config: Config, blocks: int, nests: int, passes: int, cores: int) -> int:
    """How many of the output blocks share a tile: as many as accumulators hold, but fewer where
    that takes a hundredth off, since what is drained last is drained while nothing is fed."""
    def cycles(outputs):
        # tiles of all cores may begin in the same bank
        feed = passes * max(LANES * outputs, TREES + cores - 1)
        drain = LANES * outputs * cores * config.raw_words
        return blocks // outputs * nests * max(feed, drain) + drain

    choices = [n for n in range(1, config.block // LANES + 1) if blocks % n == 0]
    least = min(map(cycles, choices))
    return max(n for n in choices if cycles(n) <= (1 + ENOUGH) * least)


def passes_of(rows: int, columns: int, images: int) -> int:
    """Passes that an operation over so many outputs of so many images adds up."""
    return best_eight(rows, columns, images).passes(rows, columns, images)
