"""Each layer and phase as tensor operations: where the loop nests of the machine are written.

Feature maps lie as image, channel block, row, column, 8 channels: a word is 8 channels of a pixel.
Weights lie as output block, channel block, kernel row, kernel column, 8 rows of 8: a row is one
output's weights of 8 channels. Gradients lie like the weights, in binary32 (4 words a row).
"""

from dataclasses import dataclass

from isa.config import LANES, TREES, Config
from isa.formats import FormatCode
from isa.registers import Unit
from winnow.compiler.operations import At, Buffer, Operation, loop, nest_registers
from winnow.network import Layer

E4M3, E5M2, BINARY32 = FormatCode.E4M3, FormatCode.E5M2, FormatCode.BINARY32
GROUP_WORDS = 4  # words of 8 binary32 elements


@dataclass(frozen=True)
class Job:
    """A layer on a batch, on a chip."""

    config: Config
    layer: Layer
    batch: int


def divisor(number: int, most: int) -> int:
    """The largest divisor of `number` that is at most `most`."""
    return next(d for d in range(min(number, max(most, 1)), 0, -1) if number % d == 0)


@dataclass(frozen=True)
class Blocks:
    """How an output map of (rows, columns) and the batch are cut into blocks of positions."""

    columns: int
    rows: int
    images: int
    column_blocks: int
    row_blocks: int
    image_blocks: int

    @classmethod
    def of(cls, block: int, rows: int, columns: int, batch: int) -> "Blocks":
        width = min(columns, block)
        height = min(rows, block // width)
        whole = width == columns and height == rows
        images = divisor(batch, block // (width * height)) if whole else 1
        return cls(width, height, images, -(-columns // width), -(-rows // height),
                   batch // images)


def forward(job: Job, x: Buffer, weights: Buffer, bias: Buffer, y: Buffer,
            output: FormatCode = E4M3) -> Operation:
    """y = relu(x * weights + bias), in FP8, or in binary32 (4 words for 8 channels)."""
    layer, batch = job.layer, job.batch
    size = GROUP_WORDS if output is BINARY32 else 1
    cut = Blocks.of(job.config.block, layer.output.height, layer.output.width, batch)
    s, k, pad, columns = layer.stride, layer.kernel, layer.padding, layer.input.width
    cores = divisor(layer.output.blocks, job.config.cores)
    tiles = TREES * k * k * layer.input.blocks  # words of one output block's weights
    out_row, out_map, out_image = (size * n for n in (
        layer.output.width, layer.output.pixels, layer.output.words))
    loops = [
        loop("q0", TREES, stationary=1),
        loop("p0", cut.columns, stream=(s, 0, s), output=(size, 0, 1)),
        loop("p1", cut.rows, stream=(s * columns, s, 0), output=(out_row, 1, 0)),
        loop("p2", cut.images, stream=layer.input.words, output=out_image),
        loop("r0", k, stream=(1, 0, 1), stationary=TREES),
        loop("r1", k, stream=(columns, 1, 0), stationary=TREES * k),
        loop("r2", layer.input.blocks, stream=layer.input.pixels, stationary=TREES * k * k),
        loop("core", cores, stationary=tiles, output=out_map, bias=GROUP_WORDS),
        loop("b0", cut.row_blocks, stream=(cut.rows * s * columns, cut.rows * s, 0),
             output=(cut.rows * out_row, cut.rows, 0)),
        loop("b1", cut.image_blocks, stream=cut.images * layer.input.words,
             output=cut.images * out_image),
        loop("b2", layer.output.blocks // cores, stationary=cores * tiles,
             output=cores * out_map, bias=cores * GROUP_WORDS),
        loop("b3", cut.column_blocks, stream=(cut.columns * s, 0, cut.columns * s),
             output=(cut.columns * size, 0, cut.columns)),
    ]
    registers = nest_registers(loops) | {
        "tensor.stream.base": {"address": At(x, -pad * (columns + 1))},
        "tensor.stream.window": _window(-pad, -pad, layer.input),
        "tensor.stationary.base": {"address": At(weights)},
        "tensor.output.base": {"address": At(y)},
        "tensor.output.window": _window(0, 0, layer.output),
        "tensor.bias.base": {"address": At(bias)},
        "tensor.mode": {"stationary": E4M3, "stream": E4M3, "output": output,
                        "bias": 1, "relu": int(layer.relu)},
    }
    return Operation(f"{layer.name} FP", Unit.TENSOR, registers, [x, weights, bias], [y])


def backward(job: Job, dy: Buffer, weights: Buffer, dx: Buffer,
             x: Buffer | None) -> list[Operation]:
    """dx = dy convolved with the transposed weights; zero where x is zero, if x is given.

    Through a stride of 2 these are four convolutions, one for each parity of row and column of dx.
    """
    parities = range(job.layer.stride)
    return [_backward(job, dy, weights, dx, x, row, column)
            for row in parities for column in parities
            if row < job.layer.input.height and column < job.layer.input.width]


def _backward(job: Job, dy, weights, dx, x, row: int, column: int) -> Operation:
    layer, batch = job.layer, job.batch
    s, k = layer.stride, layer.kernel
    rows, columns = (-(-(side - parity) // s) for side, parity in (
        (layer.input.height, row), (layer.input.width, column)))
    cut = Blocks.of(job.config.block, rows, columns, batch)
    (ky, taps_y, oy), (kx, taps_x, ox) = (_taps(layer, parity) for parity in (row, column))
    cores = divisor(layer.input.blocks, job.config.cores)
    tile = TREES * k * k  # words from one channel block's weights to the next
    tiles = tile * layer.input.blocks
    in_row, in_map, in_image = (layer.input.width, layer.input.pixels, layer.input.words)
    width = layer.output.width
    out = {"output": (s, 0, s), "aux": s}
    out_row = {"output": (s * in_row, s, 0), "aux": s * in_row}
    loops = [
        loop("q0", TREES, stationary=1),
        loop("p0", cut.columns, stream=(1, 0, 1), **out),
        loop("p1", cut.rows, stream=(width, 1, 0), **out_row),
        loop("p2", cut.images, stream=layer.output.words, output=in_image, aux=in_image),
        loop("r0", max(taps_x, 1), stream=(-1, 0, -1), stationary=TREES * s),
        loop("r1", max(taps_y, 1), stream=(-width, -1, 0), stationary=TREES * k * s),
        loop("r2", layer.output.blocks, stream=layer.output.pixels, stationary=tiles),
        loop("core", cores, stationary=tile, output=in_map, aux=in_map),
        loop("b0", cut.row_blocks, stream=(cut.rows * width, cut.rows, 0),
             output=(cut.rows * s * in_row, cut.rows * s, 0), aux=cut.rows * s * in_row),
        loop("b1", cut.image_blocks, stream=cut.images * layer.output.words,
             output=cut.images * in_image, aux=cut.images * in_image),
        loop("b2", layer.input.blocks // cores, stationary=cores * tile,
             output=cores * in_map, aux=cores * in_map),
        loop("b3", cut.column_blocks, stream=(cut.columns, 0, cut.columns),
             output=(cut.columns * s, 0, cut.columns * s), aux=cut.columns * s),
    ]
    window = _window(oy, ox, layer.output)
    if not (taps_x and taps_y):
        window["height"] = 0  # no tap reaches these pixels: their gradient is zero
    start = row * in_row + column
    registers = nest_registers(loops) | {
        "tensor.stream.base": {"address": At(dy, oy * width + ox)},
        "tensor.stream.window": window,
        "tensor.stationary.base": {"address": At(weights, TREES * (k * ky + kx))},
        "tensor.output.base": {"address": At(dx, start)},
        "tensor.output.window": _window(row, column, layer.input),
        "tensor.mode": {"stationary": E4M3, "stream": E5M2, "transpose": 1, "output": E5M2,
                        "mask": int(x is not None)},
    }
    if x:
        registers["tensor.mask.base"] = {"address": At(x, start)}
    return Operation(f"{layer.name} BP", Unit.TENSOR, registers,
                     [dy, weights] + ([x] if x else []), [dx])


def _taps(layer: Layer, parity: int) -> tuple[int, int, int]:
    """Along one axis, for inputs of this parity: the first tap that reaches them, how many there
    are, and the output that the first tap connects with the first input."""
    first = (parity + layer.padding) % layer.stride
    count = len(range(first, layer.kernel, layer.stride))
    return min(first, layer.kernel - 1), count, (parity + layer.padding - first) // layer.stride


def weight_gradient(job: Job, x: Buffer, dy: Buffer, gradient: Buffer, scale: int) -> Operation:
    """gradient = the sum over images and pixels of dy times x, times 2**scale, in binary32.

    A tile is 8 channels of 8 images at one pixel; the stream is turned: 8 images of one output.
    """
    layer, images = job.layer, LANES
    s, k, pad, columns = layer.stride, layer.kernel, layer.padding, layer.input.width
    cores = divisor(layer.input.blocks, job.config.cores)
    outputs = divisor(layer.output.blocks, job.config.block // LANES)
    row = GROUP_WORDS
    tile = TREES * row * k * k  # from one channel block's gradient to the next
    tiles = tile * layer.input.blocks
    x_map, x_image = layer.input.pixels, layer.input.words
    y_map, y_image = layer.output.pixels, layer.output.words
    loops = [
        loop("q0", images, stationary=x_image),
        loop("p0", images, stream=y_image, output=row),
        loop("p1", outputs, stream=y_map, output=tiles),
        loop("r0", layer.output.width, stream=1, stationary=(s, 0, s)),
        loop("r1", layer.output.height, stream=layer.output.width,
             stationary=(s * columns, s, 0)),
        loop("r2", job.batch // images, stream=images * y_image, stationary=images * x_image),
        loop("core", cores, stationary=x_map, output=tile),
        loop("b0", k, stationary=(1, 0, 1), output=TREES * row),
        loop("b1", k, stationary=(columns, 1, 0), output=TREES * row * k),
        loop("b2", layer.input.blocks // cores, stationary=cores * x_map, output=cores * tile),
        loop("b3", layer.output.blocks // outputs, stream=outputs * y_map,
             output=outputs * tiles),
    ]
    registers = nest_registers(loops) | {
        "tensor.stream.base": {"address": At(dy)},
        "tensor.stationary.base": {"address": At(x, -pad * (columns + 1))},
        "tensor.stationary.window": _window(-pad, -pad, layer.input),
        "tensor.output.base": {"address": At(gradient)},
        "tensor.mode": {"stationary": E4M3, "stream": E5M2, "transpose": 1, "turn_stream": 1,
                        "output": BINARY32, "scale": scale},
    }
    return Operation(f"{layer.name} WU", Unit.TENSOR, registers, [x, dy], [gradient])


def _window(y: int, x: int, shape) -> dict[str, int]:
    return {"y": y, "x": x, "height": shape.height, "width": shape.width}


