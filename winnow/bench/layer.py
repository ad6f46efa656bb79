"""The three phases of one layer as single operations, with operands as sparse as is asked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from isa.config import LANES, TREES, WORD_BYTES, Config
from isa.registers import Skip
from winnow.compiler import drains, nests, turned, weight_streams
from winnow.compiler.drains import GROUP_WORDS, Beside
from winnow.compiler.layouts import Layouts
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.tiles import Part, Tile
from winnow.compiler.turned import LiveWeights, TurnedTile
from winnow.compiler.weight_streams import StreamedWeights
from winnow.errors import UserError
from winnow.graph import Layer
from winnow.network import Shape

KERNEL, PADDING = 3, 1
# Codes of middling numbers, in E4M3 and in E5M2.
LEAST, MOST = 0x28, 0x40
SIGN = 0x80


@dataclass(frozen=True)
class Phase:
    """A phase of a layer.

    Parameters
    ----------
    name : FP, BP or WU
    cores, groups : of a group, and how many
    make : gives the operation, which leaves out what it may
    result : what it writes
    dense : operands without zeros
    sparse : operands of which a mechanism makes elements (or with `tiles` whole tiles) zero
    """

    name: str
    config: Config
    cores: int
    groups: int
    make: Callable[[], Operation]
    result: Buffer
    dense: list[Buffer]
    sparse: dict[str, Buffer] = field(default_factory=dict)

    @property
    def mechanisms(self) -> list[str]:
        """All that are sparse alone, and tiles with each other one."""
        return [*self.sparse, *(f"tiles and {name}" for name in self.sparse
                                if "tiles" in self.sparse and name != "tiles")]

    def operation(self, skip: Skip) -> Operation:
        """Leaves out what it may of `skip`."""
        operation = self.make()
        mode = operation.registers["tensor.mode"]
        operation.registers["tensor.mode"] = mode | {"skip": mode["skip"] & skip}
        return operation

    def operands(self, generator: np.random.Generator, densities: dict[str, float]) -> np.ndarray:
        """The scratchpad, with that density of each sparse operand: (words,), uint64."""
        codes = np.zeros(self.config.words * WORD_BYTES, np.uint8)
        for buffer in (*self.dense, *self.sparse.values()):
            codes[_bytes(buffer)] = generator.integers(LEAST, MOST, WORD_BYTES * buffer.words) \
                | SIGN * generator.integers(0, 2, WORD_BYTES * buffer.words)
        for name, density in densities.items():
            size = TREES * LANES if name == "tiles" else 1
            values = codes[_bytes(self.sparse[name])].reshape(-1, size)
            # exactly so many, at random places
            dead = generator.permutation(len(values))[round(density * len(values)):]
            values[dead] = 0
        return codes.view(np.uint64)


def _bytes(buffer: Buffer) -> slice:
    return slice(WORD_BYTES * buffer.address, WORD_BYTES * (buffer.address + buffer.words))


def phases(config: Config, channels: int, size: int, images: int) -> Iterator[Phase]:
    """FP, BP and WU of a 3x3 convolution, with the cores in one group and in groups of one.

    `UserError` where the machine cannot take such a layer, or leave anything out of it.
    """
    if config.slot == 1:
        raise UserError(f"configuration {config.name}: slot = 1, zero elements and outputs need "
                        f"at least 2")
    if channels < 1 or channels % (LANES * config.slot):
        raise UserError(f"channels = {channels}: must be a multiple of {LANES * config.slot}")
    if size < 1 or size % config.slot:
        raise UserError(f"size = {size}: must be a multiple of {config.slot}")
    if images < 1 or images % LANES:
        raise UserError(f"images = {images}: must be a multiple of {LANES}")
    shape = Shape(channels, size, size)
    layer = Layer("conv", shape, shape, KERNEL, 1, PADDING)
    for alone in (False, True)[:1 + (config.cores > 1)]:
        yield from convolutions(config, layer, images, alone)
    yield from streams(config, layer, images)
    yield from updates(config, layer, images)


class _Places:
    """Buffers one after the other, which begin in banks of their own."""

    SKEW = 5  # slots

    def __init__(self, config: Config):
        self.config, self.next = config, 0

    def put(self, buffer: Buffer) -> Buffer:
        buffer.address = self.next
        slot = self.config.slot
        self.next += -(-buffer.words // slot) * slot + self.SKEW * slot
        if self.next > self.config.words:
            raise UserError(f"the operands need {WORD_BYTES * self.next} bytes of scratchpad or "
                            f"more, configuration {self.config.name} has "
                            f"{WORD_BYTES * self.config.words}")
        return buffer

    def tile(self, name: str, part: Part, shape: Shape, layout) -> Tile:
        tile = Tile.new(name, part, shape, layout)
        self.put(tile.buffer)
        return tile


def convolutions(config: Config, layer: Layer, images: int, alone: bool) -> Iterator[Phase]:
    """FP, and BP of every `stride`-th pixel; with `alone` each core is a group.

    `images` are a multiple of `Config.slot`. `UserError` where they do not fit."""
    layouts = Layouts.of(config)
    below, above = (Part.of(shape, range(images)) for shape in (layer.input, layer.output))
    cores = 1 if alone else None
    grouped = {"cores": 1 if alone else config.cores, "groups": config.cores if alone else 1}
    for name in ("FP", "BP"):
        places = _Places(config)
        weights = places.put(Buffer("weights", layer.tiles * TREES))
        maps = places.tile("maps", below, layer.input, layouts.maps)
        if name == "FP":
            out = places.tile("results", above, layer.output, layouts.maps)

            def make(x=maps, w=weights, y=out):
                return nests.forward(config, layer, x, w, y, None, None, cores=cores)
            yield Phase(name, config, **grouped, make=make, result=out.buffer, dense=[],
                        sparse={"tiles": weights, "elements": maps.buffer})
        else:
            errors = places.tile("errors", above, layer.output, layouts.errors)
            out = places.tile("results", below, layer.input, layouts.errors)

            def make(dy=errors, w=weights, dx=out, mask=maps):
                return nests.backward(config, layer, dy, w, dx, 0, 0, Beside(mask=mask),
                                      cores=cores)
            yield Phase(name, config, **grouped, make=make, result=out.buffer,
                        dense=[errors.buffer], sparse={"tiles": weights, "outputs": maps.buffer})


def streams(config: Config, layer: Layer, images: int) -> Iterator[Phase]:
    """FP, and BP of every `stride`-th pixel, whose stream is the weights: all cores have it.

    `images` are a multiple of `Config.slot`. `UserError` where they do not fit."""
    layouts = Layouts.of(config)
    below, above = (Part.of(shape, range(images)) for shape in (layer.input, layer.output))
    for name in ("FP", "BP"):
        places, back = _Places(config), name == "BP"
        weights = StreamedWeights.new(config, layer, back)
        places.put(weights.buffer)
        still = places.tile("pixels", above if back else below,
                            layer.output if back else layer.input, layouts.errors)
        out = places.tile("results", below if back else above,
                          layer.input if back else layer.output,
                          layouts.errors if back else layouts.maps)

        def make(x=still, w=weights, y=out):
            if w.back:
                return weight_streams.backward(config, layer, x, w, y, 0, 0, Beside())[-1]
            return weight_streams.forward(config, layer, x, w, y)
        if back and not nests.reaches(layer, 0, 0):
            return
        cores = make().registers["tensor.positions"]["cores"]
        yield Phase(name, config, cores, 1, make, out.buffer, [still.buffer],
                    {"weights": weights.buffer})


def updates(config: Config, layer: Layer, images: int) -> Iterator[Phase]:
    """The weight gradient with zero activations, and that of pruned weights: of the columns of the
    kernel that take the first pixel, where the stride is more than 1.

    `images` are a multiple of 8. `UserError` where they do not fit."""
    layouts, rows = Layouts.of(config), layer.tiles * TREES
    below, above = (Part.of(shape, range(images)) for shape in (layer.input, layer.output))
    for mechanism in ("elements", "outputs"):
        places = _Places(config)
        x = TurnedTile.new(config, "turned maps", below, layer.input, layer.stride,
                           inside=mechanism == "outputs")
        places.put(x.buffer)
        dy = places.tile("errors", above, layer.output, layouts.errors)
        gradient = places.put(Buffer("gradient", rows * GROUP_WORDS))
        live = None
        if mechanism == "outputs":
            live = LiveWeights(places.put(Buffer("live weights", rows)))

        def make(x=x, dy=dy, gradient=gradient, live=live):
            return turned.weight_gradient(config, layer, x, dy, range(layer.output.height),
                                          gradient, 0, drains.ALL, live=live)[0]
        sparse = live.buffer if live else x.buffer
        dense = [dy.buffer] + ([x.buffer] if live else [])
        yield Phase("WU", config, config.cores, 1, make, gradient, dense, {mechanism: sparse})
