"""Weight gradients on tiles as tensor operations.

A stationary tile is 8 channels of 8 pixels (or of one pixel of 8 images), the stream is turned:
the same 8 pixels of one output. So the sums run over pixels and images.
"""

from dataclasses import dataclass

from isa.config import LANES, TREES, Config
from isa.formats import FormatCode
from isa.registers import AuxMode, Unit
from winnow.compiler.nests import GROUP_WORDS, groups_registers, window
from winnow.compiler.operations import At, Buffer, Operation, loop, nest_registers
from winnow.compiler.tiles import Tile, grouping
from winnow.graph import Layer

E4M3, E5M2, BINARY32, RAW = FormatCode.E4M3, FormatCode.E5M2, FormatCode.BINARY32, FormatCode.RAW


@dataclass(frozen=True)
class Eight:
    """Which 8 inputs are summed at once: a rectangle of pixels, or images at one pixel."""

    rows: int = 1
    columns: int = 1
    images: int = 1

    def passes(self, shape, images: int) -> int:
        return (-(-shape.height // self.rows) * -(-shape.width // self.columns)
                * (images // self.images))


ENOUGH = 0.01  # of the cycles of an operation
RECTANGLES = tuple(Eight(rows, LANES // rows) for rows in (1, 2, 4, 8))


def best_eight(layer: Layer, images: int) -> Eight:
    """The choice with the fewest passes."""
    choices = RECTANGLES + ((Eight(images=LANES),) if images % LANES == 0 else ())
    return min(choices, key=lambda e: e.passes(layer.output, images))


@dataclass(frozen=True)
class Part:
    """Where a gradient's sums go: from the tile's own, `before` them, to what they are `after`."""

    before: Buffer | None  # raw, added
    after: Buffer
    raw: bool
    passes: int  # in `before`


def weight_gradient(config: Config, layer: Layer, x: Tile, dy: Tile, part: Part,
                    scale: int) -> Operation:
    """Sums over the tile of dy times x, times 2**scale, in binary32, or raw (not scaled).

    `dy` holds some of the layer's output blocks, and `part` the gradient of those.
    """
    eight = best_eight(layer, x.images)
    height, width = layer.output.height, layer.output.width
    row_passes = -(-height // eight.rows)
    g = grouping(config, layer.input.blocks, x.images // eight.images, row_passes)
    s, k, pad, columns = layer.stride, layer.kernel, layer.padding, layer.input.width
    passes = g.images * -(-width // eight.columns) * (row_passes if g.by_images else g.rows)
    outputs = _outputs_at_once(config, dy.shape.blocks, layer.input.blocks // g.cores * k * k,
                               passes, g.cores)
    row = config.raw_words if part.raw else GROUP_WORDS
    old = config.raw_words
    tile = TREES * k * k  # rows from one channel block's gradient to the next
    tiles = tile * layer.input.blocks

    def out(rows):
        return {"output": rows * row, "aux": rows * old}

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
        loop("b1", k, stationary=(columns, 1, 0), **out(TREES * k)),
        loop("b2", layer.input.blocks // g.cores, stationary=g.cores * x.map_words,
             **out(g.cores * tile)),
        loop("b3", dy.shape.blocks // outputs, stream=outputs * dy.map_words,
             **out(outputs * tiles)),
        loop("group", g.groups, **group),
    ]
    registers = nest_registers(loops) | groups_registers(g, merge=True) | {
        "tensor.stream.base": {"address": At(dy.buffer)},
        "tensor.stream.window": window(0, 0, layer.output),
        "tensor.stationary.base": {"address": At(x.buffer, -pad * (columns + 1))},
        "tensor.stationary.window": window(-pad, -pad, layer.input),
        "tensor.output.base": {"address": At(part.after)},
        "tensor.mode": {"stationary": E4M3, "stream": E5M2, "transpose": 1, "turn_stream": 1,
                        "output": RAW if part.raw else BINARY32,
                        "scale": 0 if part.raw else scale,
                        "aux": AuxMode.RAW if part.before else AuxMode.NONE},
        "tensor.depth": {"passes": part.passes},
    }
    reads = [x.buffer, dy.buffer]
    if part.before:
        registers["tensor.aux.base"] = {"address": At(part.before)}
        reads.append(part.before)
    return Operation(f"{layer.name} WU", Unit.TENSOR, registers, reads, [part.after])


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


def passes_of(layer: Layer, images: int) -> int:
    """Passes that a tile of so many images adds up."""
    return best_eight(layer, images).passes(layer.output, images)
