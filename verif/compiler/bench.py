"""Operations of one layer, run on the model, with random operands that are known outside too."""

from collections.abc import Callable

import numpy as np

from isa.config import Config
from isa.formats import E4M3, E5M2
from isa.memmap import Trap
from isa.registers import Unit
from sim import floats, raw, tensor, vector
from sim.outcome import Outcome
from sim.registers import defaults
from verif import seeds
from winnow.compiler import drains
from winnow.compiler.layouts import Layout, Layouts
from winnow.compiler.operations import Buffer
from winnow.compiler.text import resolve
from winnow.compiler.tiles import Part, Tile
from winnow.graph import Layer
from winnow.layout import channel_blocks, laid_out, layer_tiles
from winnow.network import Shape


class Bench:
    """A random chip, some images of a random layer, and a scratchpad of buffers one after the
    other, filled at random.

    Parameters
    ----------
    name : of the random numbers
    random_layer : draws the layer
    slot : of the chip; where it is more than one, maps and errors lie differently
    """

    def __init__(self, name: str, random_layer: Callable[[np.random.Generator], Layer],
                 slot: int = 1):
        self.generator = seeds.generator(name)
        self.config = Config(cores=int(self.generator.choice([1, 2, 4])), scratchpad_kib=2048,
                             block=int(self.generator.choice([8, 16, 32])), banks=32, slot=slot)
        self.layouts = Layouts.of(self.config)
        self.layer = random_layer(self.generator)
        self.images = int(self.generator.choice([n for n in (1, 2, 4, 8) if n % slot == 0]))
        self.words = self.generator.integers(0, 1 << 63, self.config.words, dtype=np.uint64)
        self.next = 0

    def buffer(self, words: int) -> Buffer:
        first = self.next + -self.next % self.config.slot
        self.next = first + words
        return Buffer("", words, first)

    def codes(self, fmt, shape, zeros: float = 0.3) -> np.ndarray:
        """Codes of moderate numbers, so that sums stay within float64."""
        value = self.generator.standard_normal(shape).astype(np.float32)
        return floats.encode(fmt, np.where(self.generator.random(shape) < zeros, 0, value))[0]

    def put(self, array: np.ndarray) -> Buffer:
        """Store an array in its own order; its buffer."""
        words = np.ascontiguousarray(array).reshape(-1).view(np.uint64)
        buffer = self.buffer(words.size)
        self.words[buffer.address:buffer.address + words.size] = words
        return buffer

    def map(self, fmt, shape: Shape):
        """A random map, or errors in E5M2: float64 (image, channel, row, column), and its tile."""
        codes = self.codes(fmt, (self.images, shape.height, shape.width, shape.channels))
        value = floats.values(fmt)[codes].astype(np.float64).transpose(0, 3, 1, 2)
        layout = self.layout(fmt)
        return value, Tile(self.put(laid_out(channel_blocks(codes), layout)), self.images, shape,
                           layout=layout)

    def layout(self, fmt) -> Layout:
        """Of maps, or of errors in E5M2."""
        return self.layouts.errors if fmt is E5M2 else self.layouts.maps

    def whole(self, shape: Shape) -> Part:
        return Part.of(shape, range(self.images))

    def put_map(self, fmt, codes: np.ndarray, shape: Shape, part: Part) -> Tile:
        """Store a part of a map, given as codes (image, channel, row, column)."""
        rows, blocks = part.rows, part.blocks
        inside = codes[:, 8 * blocks.start:8 * blocks.stop, rows.start:rows.stop]
        layout = self.layout(fmt)
        buffer = self.put(laid_out(channel_blocks(inside.transpose(0, 2, 3, 1)), layout))
        return Tile(buffer, self.images, part.shape(shape), rows.start, blocks.start, layout)

    def tile(self, fmt, shape: Shape, part: Part | None = None) -> Tile:
        """Room for a map or a part of it."""
        tile = Tile.new("", part or self.whole(shape), shape, self.layout(fmt))
        tile.buffer.address = self.buffer(tile.buffer.words).address
        return tile

    def sums(self, blocks: int) -> Buffer:
        """Statistics that begin at zero."""
        buffer = self.buffer(blocks * drains.stats_words(self.config))
        self.words[buffer.address:buffer.address + buffer.words] = 0
        return buffer

    def read_sums(self, buffer: Buffer) -> np.ndarray:
        """Both sums of each channel, (2, channels), as float64."""
        words = self.words[buffer.address:buffer.address + buffer.words]
        values, poison = raw.decode_raw(self.config, words.reshape(-1, 2, self.config.raw_words))
        assert not poison.any()
        unit = 2.0**self.config.lowest_exponent
        return values.astype(np.float64).transpose(1, 0, 2).reshape(2, -1) * unit

    def weight_codes(self) -> np.ndarray:
        layer = self.layer
        return self.codes(E4M3, (layer.output.channels, layer.input.channels,
                                 layer.kernel, layer.kernel))

    def weights(self):
        codes = self.weight_codes()
        return number(E4M3, codes), self.put(
            layer_tiles(self.layer, codes, self.layouts))

    def run(self, operation) -> Outcome:
        """The operation's outcome; it may not trap."""
        registers = defaults(operation.unit)
        for name, fields in resolve(operation).items():
            registers[name] = registers[name] | fields
        unit = {Unit.TENSOR: tensor, Unit.VECTOR: vector}[operation.unit]
        outcome = unit.execute(self.config, registers, self.words)
        assert outcome.trap is Trap.NONE
        return outcome

    def read(self, buffer: Buffer, dtype) -> np.ndarray:
        return self.words[buffer.address:buffer.address + buffer.words].view(dtype)

    def read_map(self, tile: Tile) -> np.ndarray:
        """Codes of a tile as (image, channel, row, column)."""
        shape, side = tile.shape, tile.layout.together
        blocks, size = self.read(tile.buffer, np.uint8), (shape.height, shape.width)
        if tile.layout.channels_last:
            blocks = blocks.reshape(self.images, *size, -1, 8).transpose(0, 3, 1, 2, 4)
        else:
            blocks = blocks.reshape(-1, shape.blocks, *size, side, 8).transpose(0, 4, 1, 2, 3, 5)
        blocks = blocks.reshape(self.images, shape.blocks, *size, 8)
        whole = blocks.transpose(0, 1, 4, 2, 3).reshape(self.images, -1, shape.height, shape.width)
        return whole[:, :shape.channels]


def number(fmt, codes) -> np.ndarray:
    return floats.values(fmt)[codes].astype(np.float64)
