"""Weight gradients on tiles as tensor operations.

A stationary tile is 8 channels of 8 pixels (or of one pixel of 8 images, or of some pixels of some
images), the stream is turned: the same 8 of one output. So the sums run over pixels and images.
"""

from dataclasses import dataclass

from isa.config import LANES, TREES, Config
from isa.formats import FormatCode
from isa.registers import POSITIONS, ROWS, Unit
from winnow.compiler.drains import GROUP_WORDS, Sums
from winnow.compiler.nests import groups_registers, window
from winnow.compiler.operations import At, Buffer, Operation, loop, nest_registers
from winnow.compiler.tiles import Tile, grouping
from winnow.graph import Layer

E4M3, E5M2, BINARY32 = FormatCode.E4M3, FormatCode.E5M2, FormatCode.BINARY32


@dataclass(frozen=True)
class Eight:
    """Which 8 inputs are summed at once: a rectangle of pixels, or images at one pixel, or both."""

    rows: int = 1
    columns: int = 1
    images: int = 1

    def passes(self, rows: int, columns: int, images: int) -> int:
        return -(-rows // self.rows) * -(-columns // self.columns) * (images // self.images)


ENOUGH = 0.01  # of the cycles of an operation


def best_eight(rows: int, columns: int, images: int, together: int = 1) -> Eight:
    """The choice with the fewest passes, where so many images of the errors lie side by side."""
    pixels = LANES // together
    if together == 1:
        choices = [Eight(height, pixels // height) for height in (1, 2, 4, 8)]
    else:
        choices = [Eight(1, pixels, together), Eight(pixels, 1, together)]
    if images % LANES == 0:
        choices.append(Eight(images=LANES))
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
    together = dy.layout.together
    eight = best_eight(height, width, x.images, together)
    row_passes = -(-height // eight.rows)
    g = grouping(config, x.shape.blocks, x.images // eight.images, row_passes)
    s, k, pad, xs, ys = layer.stride, layer.kernel, layer.padding, x.strides, dy.strides
    passes = g.images * -(-width // eight.columns) * (row_passes if g.by_images else g.rows)
    outputs = _outputs_at_once(config, dy.shape.blocks, x.shape.blocks // g.cores * k * len(kernel),
                               passes, g.cores)
    out = sums.out(config, GROUP_WORDS)
    top = rows.start * s - pad - x.row + kernel.start  # row of x that the first tap takes first
    tile = TREES * k * len(kernel)  # rows from one channel block's gradient to the next
    tiles = tile * x.shape.blocks

    images, right, down = eight.images, eight.columns, eight.rows
    steps_down = row_passes if g.by_images else g.rows
    eights = _eights(eight, layer.stride, x, dy)
    group = {"stream": dy.past(g.images * images), "stationary": x.past(g.images * images)
             } if g.by_images else {
        "stream": (g.rows * down * ys.row, g.rows * down, 0),
        "stationary": (g.rows * down * s * xs.row, g.rows * down * s, 0)}
    loops = [
        *(loop(name, count, stationary=step)
          for name, (count, step, _) in zip(ROWS, eights, strict=False)),
        *(loop(name, count, stream=step, **out(before)) for name, (count, _, step), before in zip(
            POSITIONS, eights, (1, eights[0][0]), strict=False)),
        loop("p2", outputs, stream=ys.block, **out(tiles)),
        loop("r0", -(-width // right), stream=(right * ys.column, 0, right),
             stationary=(s * right * xs.column, 0, s * right)),
        loop("r1", steps_down, stream=(down * ys.row, down, 0),
             stationary=(s * down * xs.row, s * down, 0)),
        loop("r2", g.images, stream=dy.past(images), stationary=x.past(images)),
        loop("core", g.cores, stationary=xs.block, **out(tile)),
        loop("b0", k, stationary=(xs.column, 0, 1), **out(TREES)),
        loop("b1", len(kernel), stationary=(xs.row, 1, 0), **out(TREES * k)),
        loop("b2", x.shape.blocks // g.cores, stationary=g.cores * xs.block,
             **out(g.cores * tile)),
        loop("b3", dy.shape.blocks // outputs, stream=outputs * ys.block,
             **out(outputs * tiles)),
        loop("group", g.groups, **group),
    ]
    bounds = window(0, 0, dy.shape) | {"height": height}
    registers = nest_registers(loops) | groups_registers(g, merge=True) | sums.registers() | {
        "tensor.stream.base": {"address": At(dy.buffer, dy.at(rows.start - dy.row))},
        "tensor.stream.window": bounds,
        "tensor.stationary.base": {"address": At(x.buffer, x.at(top, -pad))},
        "tensor.stationary.window": window(top, -pad, x.shape),
        "tensor.output.base": {"address": At(sums.after or gradient)},
        "tensor.mode": {"stationary": E4M3, "stream": E5M2, "transpose": 1, "turn_stream": 1,
                        "output": BINARY32, "scale": 0 if sums.after else scale, **sums.mode},
    }
    return Operation(f"{layer.name} WU", Unit.TENSOR, registers,
                     [x.buffer, dy.buffer, *sums.reads], [sums.after or gradient])


def _eights(eight: Eight, s: int, x: Tile, dy: Tile) -> list[tuple]:
    """One or two loops over 8 inputs: count, steps of x and of dy."""
    together, xs, ys = dy.layout.together, x.strides, dy.strides
    if together == 1 and eight.images > 1:
        return [(LANES, x.past(1), dy.past(1))]
    right = eight.columns, (s * xs.column, 0, s), (ys.column, 0, 1)
    below = eight.rows, (s * xs.row, s, 0), (ys.row, 1, 0)
    if together == 1:
        return [right, below]
    beside = together, x.past(1), dy.past(1)
    others = LANES // together, x.past(together), dy.past(together)
    if eight.images > together:
        return [beside, others]
    return [beside, right if eight.columns > 1 else below]


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


def passes_of(rows: int, columns: int, images: int, together: int = 1) -> int:
    """Passes that an operation over so many outputs of so many images adds up."""
    return best_eight(rows, columns, images, together).passes(rows, columns, images)
