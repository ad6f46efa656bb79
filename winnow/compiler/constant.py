"""Tensor operations with the tile of the identity, or with none: what only passes the drain, and
rounding of raw sums."""

from isa.config import TREES, Config
from isa.formats import FormatCode
from isa.registers import AuxMode, StatsMode, Unit
from winnow.compiler.nests import GROUP_WORDS, Beside, groups_registers, stats_words
from winnow.compiler.operations import At, Buffer, Operation, loop, nest_registers
from winnow.compiler.tiles import Grouping, Tile, divisor

E5M2, BINARY32 = FormatCode.E5M2, FormatCode.BINARY32
NOTHING = {"height": 0}  # the window of a stream that reads nothing but zeros


def through(config: Config, label: str, x: Tile, y: Tile, beside: Beside,
            identity: Buffer) -> Operation:
    """Errors x through the drain to y, which may be x: y = x + what is `beside`, masked, and its
    statistics."""
    g = over_images(config, x.images)
    together = divisor(x.map_words, config.block)

    def same(words):
        return {"stream": words, "output": words, "aux": words}

    loops = [
        loop("q0", TREES, stationary=1),
        loop("p0", together, **same(1)),
        loop("b0", x.map_words // together, **same(together)),
        loop("b1", g.images, **same(x.image_words)),
        loop("b2", x.shape.blocks, stats=stats_words(config), **same(x.map_words)),
        loop("group", g.groups, **same(g.images * x.image_words)),
    ]
    registers = nest_registers(loops) | groups_registers(g) | beside.registers(0) | {
        "tensor.stream.base": {"address": At(x.buffer)},
        "tensor.stationary.base": {"address": At(identity)},
        "tensor.output.base": {"address": At(y.buffer)},
        "tensor.mode": {"stream": E5M2, "output": E5M2, **beside.mode},
    }
    return Operation(label, Unit.TENSOR, registers, [x.buffer, identity, *beside.reads],
                     [y.buffer, *beside.writes])


def over_images(config: Config, images: int) -> Grouping:
    """Groups of one core, which share the images."""
    groups = next(g for g in (8, 4, 2, 1) if g <= config.cores and images % g == 0)
    return Grouping(1, groups, images // groups, 1, by_images=True)


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
