"""Tensor operations with the tile of the identity, or with none: what only passes the drain, and
rounding of raw sums."""

from dataclasses import replace

from isa.config import TREES, Config
from isa.formats import FormatCode
from isa.registers import POSITIONS, AuxMode, StatsMode, Unit
from winnow.compiler.drains import GROUP_WORDS, Beside, stats_words
from winnow.compiler.nests import groups_registers
from winnow.compiler.operations import At, Buffer, Operation, loop, nest_registers
from winnow.compiler.tiles import Grouping, Tile, divisor

E4M3, E5M2, BINARY32, RAW = FormatCode.E4M3, FormatCode.E5M2, FormatCode.BINARY32, FormatCode.RAW
NOTHING = {"height": 0}  # the window of a stream that reads nothing but zeros


def through(config: Config, label: str, x: Tile, y: Tile, beside: Beside,
            identity: Buffer) -> Operation:
    """Errors x through the drain to y, which may be x: y = x + what is `beside`, masked, and its
    statistics. x may hold more rows."""
    return _through(config, label, x, y, beside.lies(y), identity, E5M2,
                    beside.registers(stats=stats_words(config) * y.block), beside.mode,
                    beside.reads, beside.writes)


def squares(config: Config, label: str, y: Tile, identity: Buffer, stats: Buffer) -> Operation:
    """Statistics of outputs that are there already: sums of y and y * y by channel."""
    registers = {"tensor.stats.base": {"address": At(stats, stats_words(config) * y.block)}}
    return _through(config, label, y, y, y, identity, E4M3, registers,
                    {"stats": StatsMode.SQUARE}, [stats], [stats])


def raw(config: Config, label: str, y: Tile, identity: Buffer, sums: Buffer) -> Operation:
    """Errors as raw sums."""
    return _through(config, label, y, replace(y, buffer=sums), y, identity, E5M2, {},
                    {"output": RAW}, [], [], config.raw_words)


def _through(config: Config, label: str, x: Tile, y: Tile, beneath: Tile, identity: Buffer,
             fmt: FormatCode, registers: dict, mode: dict, reads: list[Buffer],
             writes: list[Buffer], size: int = 1) -> Operation:
    """y = x times the identity, `size` words a position; aux moves through `beneath`."""
    side = y.layout.together
    g = over_images(config, y.images // side)
    pixels = divisor(y.shape.pixels, config.block // side)

    def along(count: int, stride: str) -> dict:
        stream, output, aux = (count * getattr(t.strides, stride) for t in (x, y, beneath))
        return {"stream": stream, "output": size * output, "aux": aux}

    def images(count: int) -> dict:
        return {"stream": x.past(count), "output": size * y.past(count), "aux": beneath.past(count)}

    positions = [(side, images(1))] * (side > 1) + [(pixels, along(1, "column"))]
    loops = [
        loop("q0", TREES, stationary=1),
        *(loop(name, count, **steps)
          for name, (count, steps) in zip(POSITIONS, positions, strict=False)),
        loop("b0", y.shape.pixels // pixels, **along(pixels, "column")),
        loop("b1", g.images, **images(side)),
        loop("b2", y.shape.blocks, stats=stats_words(config), **along(1, "block")),
        loop("group", g.groups, **images(side * g.images)),
    ]
    return Operation(label, Unit.TENSOR, nest_registers(loops) | groups_registers(g) | registers | {
        "tensor.stream.base": {"address": At(x.buffer, x.at(y.row - x.row))},
        "tensor.stationary.base": {"address": At(identity)},
        "tensor.output.base": {"address": At(y.buffer)},
        "tensor.mode": {"stream": fmt, "output": fmt, **mode},
    }, [x.buffer, identity, *reads], [y.buffer, *writes])


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
