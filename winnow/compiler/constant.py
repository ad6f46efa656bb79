"""Tensor operations with the tile of the identity, or with none: averages, rounding of raw sums,
and statistics of a map that is there already."""

from isa.config import TREES, Config
from isa.formats import FormatCode
from isa.registers import AuxMode, StatsMode, Unit
from winnow.compiler.nests import GROUP_WORDS, Beside, groups_registers, stats_words
from winnow.compiler.operations import At, Buffer, Operation, loop, nest_registers
from winnow.compiler.tiles import Grouping, Tile, divisor
from winnow.graph import Layer

E5M2, BINARY32 = FormatCode.E5M2, FormatCode.BINARY32
NOTHING = {"height": 0}  # the window of a stream that reads nothing but zeros


def average(config: Config, layer: Layer, x: Tile, identity: Buffer, y: Tile) -> Operation:
    """y = the mean of x over its pixels (a power of two), in E4M3."""
    g = _over_images(config, x.images)
    together = divisor(g.images, config.block)
    loops = [
        loop("q0", TREES, stationary=1),
        loop("p0", together, stream=x.image_words, output=y.image_words),
        loop("r0", layer.input.pixels, stream=1),
        loop("b0", g.images // together, stream=together * x.image_words,
             output=together * y.image_words),
        loop("b1", layer.input.blocks, stream=x.map_words, output=1),
        loop("group", g.groups, stream=g.images * x.image_words,
             output=g.images * y.image_words),
    ]
    registers = nest_registers(loops) | groups_registers(g) | {
        "tensor.stream.base": {"address": At(x.buffer)},
        "tensor.stationary.base": {"address": At(identity)},
        "tensor.output.base": {"address": At(y.buffer)},
        "tensor.mode": {"scale": _mean(layer)},
    }
    return Operation(f"{layer.name} FP", Unit.TENSOR, registers, [x.buffer, identity],
                     [y.buffer])


def average_backward(config: Config, layer: Layer, dy: Tile, identity: Buffer, dx: Tile,
                     beside: Beside) -> Operation:
    """dx at every pixel = dy / pixels, in E5M2."""
    g = _over_images(config, dx.images)
    together = divisor(layer.input.pixels, config.block)

    def out(step):
        return {"output": step, "aux": step}

    loops = [
        loop("q0", TREES, stationary=1),
        loop("p0", together, **out(1)),
        loop("b0", layer.input.pixels // together, **out(together)),
        loop("b1", g.images, stream=dy.image_words, **out(dx.image_words)),
        loop("b2", layer.input.blocks, stream=1, stats=stats_words(config),
             **out(dx.map_words)),
        loop("group", g.groups, stream=g.images * dy.image_words, **out(g.images * dx.image_words)),
    ]
    registers = nest_registers(loops) | groups_registers(g) | beside.registers(0) | {
        "tensor.stream.base": {"address": At(dy.buffer)},
        "tensor.stationary.base": {"address": At(identity)},
        "tensor.output.base": {"address": At(dx.buffer)},
        "tensor.mode": {"stream": E5M2, "output": E5M2, "scale": _mean(layer), **beside.mode},
    }
    return Operation(f"{layer.name} BP", Unit.TENSOR, registers,
                     [dy.buffer, identity, *beside.reads], [dx.buffer, *beside.writes])


def _over_images(config: Config, images: int) -> Grouping:
    groups = next(g for g in (8, 4, 2, 1) if g <= config.cores and images % g == 0)
    return Grouping(1, groups, images // groups, 1, by_images=True)


def _mean(layer: Layer) -> int:
    """The exponent of 1 / pixels."""
    return -(layer.input.pixels.bit_length() - 1)


def statistics(config: Config, label: str, dy: Tile, norm: Tile, stats: Buffer,
               identity: Buffer) -> Operation:
    """Sums of dy and of dy * norm by channel; dy is written onto itself."""
    together = divisor(dy.map_words, config.block)
    beside = Beside(norm=norm, stats=stats)

    def same(words):
        return {"stream": words, "output": words, "aux": words}

    loops = [
        loop("q0", TREES, stationary=1),
        loop("p0", together, **same(1)),
        loop("b0", dy.map_words // together, **same(together)),
        loop("b1", dy.images, **same(dy.image_words)),
        loop("b2", dy.shape.blocks, stats=stats_words(config), **same(dy.map_words)),
    ]
    registers = nest_registers(loops) | beside.registers(0) | {
        "tensor.stream.base": {"address": At(dy.buffer)},
        "tensor.stationary.base": {"address": At(identity)},
        "tensor.output.base": {"address": At(dy.buffer)},
        "tensor.mode": {"stream": E5M2, "output": E5M2, **beside.mode},
    }
    return Operation(label, Unit.TENSOR, registers, [dy.buffer, identity, *beside.reads],
                     [dy.buffer, stats])


def rounded(config: Config, label: str, stats: Buffer, sums: Buffer, blocks: int) -> Operation:
    """The two statistics of each channel block in binary32, side by side (8 words)."""
    loops = [
        loop("p0", 2, output=GROUP_WORDS, aux=config.raw_words),
        loop("b0", blocks, output=2 * GROUP_WORDS, aux=stats_words(config)),
    ]
    registers = nest_registers(loops) | {
        "tensor.stream.window": NOTHING,
        "tensor.stationary.window": NOTHING,
        "tensor.aux.base": {"address": At(stats)},
        "tensor.output.base": {"address": At(sums)},
        "tensor.mode": {"output": BINARY32, "aux": AuxMode.RAW, "stats": StatsMode.NONE},
    }
    return Operation(label, Unit.TENSOR, registers, [stats], [sums])
