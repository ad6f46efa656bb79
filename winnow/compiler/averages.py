"""Average pooling as tensor operations with constant tiles.

A tile is a multiple of the identity: each channel of a block goes to itself. 1 / pixels is a power
of two (the scale of the drain) times a sum of up to `TERMS` numbers in E4M3, a tile each, so sums
are exact and rounded once. Off by less than 2**-12 of itself where pixels are no power of two.
"""

from functools import cache
from math import frexp

import numpy as np

from isa.config import LANES, TREES, Config
from isa.formats import E4M3, FormatCode
from isa.registers import POSITIONS, Unit
from winnow.compiler.constant import over_images
from winnow.compiler.drains import ALL, Beside, stats_words
from winnow.compiler.nests import Steps, backward_cut, group_loop, groups_registers, taps, window
from winnow.compiler.operations import At, Buffer, Operation, loop, nest_registers
from winnow.compiler.tiles import Cut, Grouping, Tile, divisor, grouping
from winnow.graph import Layer, Pool

E5M2 = FormatCode.E5M2
TERMS = 3
FIRST_BITS = 7  # the first term is from 2**7 to 2**8, so that the last is in range


@cache
def terms(pixels: int) -> tuple[tuple[float, ...], int]:
    """Numbers in E4M3, and the exponent of the power of two that makes their sum 1 / pixels."""
    exponent = (pixels - 1).bit_length()  # 1 / pixels is from 2**-exponent on, under twice that
    if pixels == 1 << exponent:
        return (1.0,), -exponent
    rest, found = 2.0 ** (FIRST_BITS + exponent) / pixels, []
    while rest and len(found) < TERMS:
        unit = max(2.0 ** (frexp(rest)[1] - 1 - E4M3.fraction_bits), 2.0 ** E4M3.lowest_exponent)
        found.append(round(rest / unit) * unit)
        rest -= found[-1]
    return tuple(found), -exponent - FIRST_BITS


def factors(pool: Pool) -> tuple[float, ...]:
    """The constant tiles of a pool, as the multiples of the identity that they are."""
    return terms(pool.rows * pool.columns)[0]


def tiles(factors: tuple[float, ...]) -> np.ndarray:
    """What a buffer of constant tiles holds, (factor, row, lane)."""
    return np.multiply.outer(np.float32(factors), np.eye(LANES, dtype=np.float32))


def forward(config: Config, layer: Layer, x: Tile, constant: Buffer, y: Tile) -> Operation:
    """y = the mean of x over each window, in E4M3; parts of the layer's maps, x with all rows that
    y needs."""
    pool, out = layer.pool, y.shape
    top = y.row * pool.stride - pool.padding - x.row  # row of x under the first window
    numbers, scale = terms(pool.rows * pool.columns)
    g = grouping(config, 1, x.images, out.height)
    cut = Cut.of(config.block, g.rows, out.width, g.images, exact=g.by_rows)
    s, pad, xs, ys = pool.stride, pool.padding, x.strides, y.strides
    loops = [
        loop("q0", TREES, stationary=1),
        loop("p0", cut.columns, stream=(s * xs.column, 0, s), output=(ys.column, 0, 1)),
        loop("p1", cut.rows, stream=(s * xs.row, s, 0), output=(ys.row, 1, 0)),
        loop("p2", cut.images, stream=x.past(1), output=y.past(1)),
        loop("r0", pool.columns, stream=(xs.column, 0, 1)),
        loop("r1", pool.rows, stream=(xs.row, 1, 0)),
        loop("r2", len(numbers), stationary=TREES),
        loop("b0", cut.row_blocks, stream=(cut.rows * s * xs.row, cut.rows * s, 0),
             output=(cut.rows * ys.row, cut.rows, 0)),
        loop("b1", cut.image_blocks, stream=x.past(cut.images), output=y.past(cut.images)),
        loop("b2", x.shape.blocks, stream=xs.block, output=ys.block),
        loop("b3", cut.column_blocks, stream=(cut.columns * s * xs.column, 0, cut.columns * s),
             output=(cut.columns * ys.column, 0, cut.columns)),
        group_loop(g, stream=(x.past(g.images), s * xs.row, s),
                   output=(y.past(g.images), ys.row, 1)),
    ]
    registers = nest_registers(loops) | groups_registers(g) | {
        "tensor.stream.base": {"address": At(x.buffer, x.at(top, -pad))},
        "tensor.stream.window": window(top, -pad, x.shape),
        "tensor.stationary.base": {"address": At(constant)},
        "tensor.output.base": {"address": At(y.buffer)},
        "tensor.output.window": window(0, 0, out),
        "tensor.mode": {"scale": scale},
    }
    return Operation(f"{layer.name} FP", Unit.TENSOR, registers, [x.buffer, constant], [y.buffer])


def backward(config: Config, layer: Layer, dy: Tile, constant: Buffer, dx: Tile,
             beside: Beside) -> list[Operation]:
    """dx at each pixel = the sum of dy over the windows that hold it, over pixels; in E5M2.

    `beside` has no element: the drain would scale it too.
    """
    pool, shape = layer.pool, layer.input
    if (pool.rows, pool.columns, pool.padding) == (shape.height, shape.width, 0):
        return [_whole(config, layer, dy, constant, dx, beside)]
    return [_parity(config, layer, dy, constant, dx, row, column, beside)
            for row in range(pool.stride) if (row - dx.row) % pool.stride < dx.shape.height
            for column in range(min(pool.stride, shape.width))]


def _whole(config: Config, layer: Layer, dy: Tile, constant: Buffer, dx: Tile,
           beside: Beside) -> Operation:
    """For one window that is the map."""
    numbers, scale = terms(layer.input.pixels)
    side, beneath = dx.layout.together, beside.lies(dx)
    g = over_images(config, dx.images // side)
    pixels = divisor(dx.shape.pixels, config.block // side)

    def along(count: int, stride: str) -> dict:
        output, aux = (count * getattr(tile.strides, stride) for tile in (dx, beneath))
        return {"output": output, "aux": aux}

    def images(count: int) -> dict:
        return {"stream": dy.past(count), "output": dx.past(count), "aux": beneath.past(count)}

    positions = [(side, images(1))] * (side > 1) + [(pixels, along(1, "column"))]
    loops = [
        loop("q0", TREES, stationary=1),
        *(loop(name, count, **steps)
          for name, (count, steps) in zip(POSITIONS, positions, strict=False)),
        loop("r0", len(numbers), stationary=TREES),
        loop("b0", dx.shape.pixels // pixels, **along(pixels, "column")),
        loop("b1", g.images, **images(side)),
        loop("b2", dx.shape.blocks, stream=dy.strides.block, stats=stats_words(config),
             **along(1, "block")),
        loop("group", g.groups, **images(side * g.images)),
    ]
    return _operation(config, layer, dy, constant, dx, beside, loops, scale, g, 0, 0, {
        "tensor.stream.base": {"address": At(dy.buffer)},
        "tensor.output.base": {"address": At(dx.buffer)},
    })


def _parity(config: Config, layer: Layer, dy: Tile, constant: Buffer, dx: Tile, row: int,
            column: int, beside: Beside) -> Operation:
    """For pixels of one row and column modulo the stride."""
    pool, s = layer.pool, layer.pool.stride
    numbers, scale = terms(pool.rows * pool.columns)
    down = (row - dx.row) % s  # the first row in dx
    rows, columns = -(-(dx.shape.height - down) // s), -(-(dx.shape.width - column) // s)
    side, beneath = dx.layout.together, beside.lies(dx)
    g = grouping(config, 1, dx.images // side, rows)
    cut = backward_cut(config, dx, g.rows, columns, g)
    (_, taps_y, oy), (_, taps_x, ox) = (
        taps(size, s, pool.padding, parity)
        for size, parity in ((pool.rows, row), (pool.columns, column)))
    oy += (dx.row + down - row) // s - dy.row
    steps = Steps(dy, dx, beneath, s, ALL.out(config))
    ys = dy.strides
    loops = [
        loop("q0", TREES, stationary=1),
        *steps.positions(cut),
        loop("r0", max(taps_x, 1), stream=(-ys.column, 0, -1)),
        loop("r1", max(taps_y, 1), stream=(-ys.row, -1, 0)),
        loop("r2", len(numbers), stationary=TREES),
        loop("b0", cut.row_blocks, **steps.down(cut.down[1])),
        loop("b1", cut.image_blocks, **steps.images(side * cut.images)),
        loop("b2", dx.shape.blocks, stream=ys.block, stats=stats_words(config),
             **steps.out(dx.strides.block, aux=beneath.strides.block)),
        loop("b3", cut.column_blocks, **steps.right(cut.right[1])),
        steps.group(g),
    ]
    bounds = window(oy, ox, dy.shape)
    if not (taps_x and taps_y):
        bounds["height"] = 0  # these pixels are in no window
    return _operation(config, layer, dy, constant, dx, beside, loops, scale, g, down, column, {
        "tensor.stream.base": {"address": At(dy.buffer, dy.at(oy, ox))},
        "tensor.stream.window": bounds,
        "tensor.output.base": {"address": At(dx.buffer, dx.at(down, column))},
        "tensor.output.window": window(down, column, dx.shape),
    })


def _operation(config: Config, layer: Layer, dy: Tile, constant: Buffer, dx: Tile,
               beside: Beside, loops, scale: int, g: Grouping, row: int, column: int,
               streams: dict) -> Operation:
    registers = nest_registers(loops) | groups_registers(g) | beside.registers(
        row, column, stats_words(config) * dx.block) | streams | {
        "tensor.stationary.base": {"address": At(constant)},
        "tensor.mode": {"stream": E5M2, "output": E5M2, "scale": scale, **beside.mode},
    }
    return Operation(f"{layer.name} BP", Unit.TENSOR, registers,
                     [dy.buffer, constant, *beside.reads], [dx.buffer, *beside.writes])
