"""The last layer: its scores lie turned, so that softmax runs along words.

Scores and their errors lie as group of 8 images, class, 8 images: a word (or 4, in binary32) is
one class of 8 images. Classes are filled up to whole channel blocks.
"""

from isa.config import LANES, TREES, Config
from isa.formats import FormatCode
from isa.registers import POSITIONS, Skip, Unit
from winnow.compiler.drains import ALL, GROUP_WORDS, Beside, Sums, stats_words
from winnow.compiler.layouts import Layouts
from winnow.compiler.nests import channel_loops, skipping
from winnow.compiler.operations import At, Buffer, Operation, loop, nest_registers
from winnow.compiler.tiles import Tile, divisor
from winnow.graph import Layer

E4M3, E5M2, BINARY32 = FormatCode.E4M3, FormatCode.E5M2, FormatCode.BINARY32


def classes(layer: Layer) -> int:
    """Words of a group of 8 images: classes filled up."""
    return layer.output.blocks * LANES


def forward(config: Config, layer: Layer, x: Tile, weights: Buffer, scores: Buffer,
            sums: Sums = ALL) -> Operation:
    """scores = weights * x in binary32; images are stationary, weights stream.

    `x` is a part of the map and flat, `weights` are those of all classes for this part.
    """
    eights = x.images // LANES
    cores = divisor(eights, config.cores)
    words, inner = x.past(1), classes(layer)
    together = divisor(layer.output.blocks, config.block // LANES)
    blocks = TREES * x.shape.blocks  # words of one output block's weights
    out = sums.out(config, GROUP_WORDS)
    loops = [
        loop("q0", LANES, stationary=words),
        loop("p0", LANES, stream=1, **out(1)),
        loop("p1", together, stream=blocks, **out(LANES)),
        loop("r0", x.shape.blocks, stream=TREES, stationary=1),
        loop("core", cores, stationary=LANES * words, **out(inner)),
        loop("b0", layer.output.blocks // together, stream=together * blocks,
             **out(together * LANES)),
        loop("b1", eights // cores, stationary=cores * LANES * words,
             **out(cores * inner)),
    ]
    registers = nest_registers(loops) | sums.registers() | {
        "tensor.stream.base": {"address": At(weights)},
        "tensor.stationary.base": {"address": At(x.buffer)},
        "tensor.output.base": {"address": At(sums.after or scores)},
        "tensor.mode": {"output": BINARY32, **sums.mode, **skipping(config, Skip.NONE)},
    }
    return Operation(f"{layer.name} FP", Unit.TENSOR, registers, [x.buffer, weights, *sums.reads],
                     [sums.after or scores])


def backward(config: Config, layer: Layer, error: Buffer, weights: Buffer, dx: Tile,
             beside: Beside) -> Operation:
    """dx = error * transposed weights, in E5M2; error is turned back on the way.

    `dx` is a part of the map, `weights` are those of all classes for this part.
    """
    pixels, blocks, side, beneath = (
        dx.shape.pixels, dx.shape.blocks, dx.layout.together, beside.lies(dx))
    eights = dx.images // LANES
    together = divisor(eights, config.block // LANES)
    cores = divisor(blocks if pixels == 1 else pixels, config.cores)
    inner, sums = classes(layer), stats_words(config)
    ws, xs, zs = Layouts.of(config).maps.strides(dx.shape), dx.strides, beneath.strides

    def images(count: int) -> dict:
        return {"output": dx.past(count), "aux": beneath.past(count)}

    eight = [(LANES, 1)] if side == 1 else [(side, 1), (LANES // side, side)]
    positions = [(count, {"stream": step, **images(step)}) for count, step in eight]
    positions.append((together, {"stream": inner, **images(LANES)}))
    loops = [
        loop("q0", TREES, stationary=1),
        *(loop(name, count, **steps)
          for name, (count, steps) in zip(POSITIONS, positions, strict=False)),
        loop("r0", layer.output.blocks, stream=LANES, stationary=TREES * dx.shape.words),
        loop("b0", eights // together, stream=together * inner, **images(together * LANES)),
        *(loop(name, count, stationary=TREES * (pixel * ws.column + block * ws.block),
               stats=block * sums, output=pixel * xs.column + block * xs.block,
               aux=pixel * zs.column + block * zs.block)
          for name, count, pixel, block in channel_loops("b1", "b2", cores, blocks, pixels)),
    ]
    registers = nest_registers(loops) | beside.registers(stats=sums * dx.block) | {
        "tensor.stream.base": {"address": At(error)},
        "tensor.stationary.base": {"address": At(weights)},
        "tensor.output.base": {"address": At(dx.buffer)},
        "tensor.mode": {"stream": E5M2, "transpose": 1, "turn_stream": 1, "output": E5M2,
                        **beside.mode, **skipping(config, Skip.NONE)},
    }
    return Operation(f"{layer.name} BP", Unit.TENSOR, registers,
                     [error, weights, *beside.reads], [dx.buffer, *beside.writes])


def weight_gradient(config: Config, layer: Layer, x: Tile, error: Buffer, gradient: Buffer,
                    scale: int, blocks: range) -> Operation:
    """Sums over all images of error times x, times 2**scale, in binary32, for some blocks of
    classes and the part of the map that is in `x`, flat."""
    cores = divisor(x.shape.blocks, config.cores)
    words, inner = x.past(1), classes(layer)
    together = divisor(len(blocks), config.block // LANES)
    row = GROUP_WORDS
    tiles = TREES * row * x.shape.blocks
    loops = [
        loop("q0", LANES, stationary=words),
        loop("p0", LANES, stream=1, output=row),
        loop("p1", together, stream=LANES, output=tiles),
        loop("r0", x.images // LANES, stream=inner, stationary=LANES * words),
        loop("core", cores, stationary=1, output=TREES * row),
        loop("b0", x.shape.blocks // cores, stationary=cores, output=cores * TREES * row),
        loop("b1", len(blocks) // together, stream=together * LANES,
             output=together * tiles),
    ]
    registers = nest_registers(loops) | {
        "tensor.stream.base": {"address": At(error, blocks.start * LANES)},
        "tensor.stationary.base": {"address": At(x.buffer)},
        "tensor.output.base": {"address": At(gradient)},
        "tensor.mode": {"stationary": E4M3, "stream": E5M2, "transpose": 1, "output": BINARY32,
                        "scale": scale},
    }
    return Operation(f"{layer.name} WU", Unit.TENSOR, registers, [x.buffer, error], [gradient])
