"""Each layer's loop nests, run on the model, against textbook convolutions: equal to the bit.

The sums are exact on both sides (few enough terms for float64), so the one rounding must agree.
"""

import numpy as np
import pytest

from isa.config import Config
from isa.formats import E4M3, E5M2
from isa.memmap import Trap
from isa.registers import Unit
from sim import floats, raw, tensor
from sim.registers import defaults
from verif import seeds
from verif.reference import convolution
from winnow.compiler import gradients, nests
from winnow.compiler.gradients import Part
from winnow.compiler.nests import Beside
from winnow.compiler.operations import Buffer
from winnow.compiler.text import resolve
from winnow.compiler.tiles import Tile
from winnow.graph import Layer
from winnow.layout import channel_blocks, weight_tiles
from winnow.network import Shape

CASES = range(40)


def random_layer(generator) -> Layer:
    """Any kernel, stride, padding and shape; the output side may be ragged."""
    while True:
        kernel, stride = int(generator.choice([1, 3, 5, 7])), int(generator.integers(1, 3))
        padding = int(generator.integers(kernel))
        height, width = (int(side) for side in generator.integers(1, 12, 2))
        rows, columns = ((side + 2 * padding - kernel) // stride + 1 for side in (height, width))
        if rows > 0 and columns > 0:
            source = Shape(int(generator.integers(1, 20)), height, width)
            output = Shape(int(generator.integers(1, 20)), rows, columns)
            return Layer("random", source, output, kernel, stride, padding,
                         relu=bool(generator.integers(2)), bias=True, source=source)


class Bench:
    """A job with buffers one after the other, and random contents."""

    def __init__(self, case: int):
        self.generator = seeds.generator(f"layer {case}")
        self.config = Config(cores=int(self.generator.choice([1, 2, 4])), scratchpad_kib=2048,
                             block=int(self.generator.choice([8, 16, 32])), banks=32)
        self.layer = random_layer(self.generator)
        self.images = int(self.generator.choice([1, 2, 4, 8]))
        self.words = self.generator.integers(0, 1 << 63, self.config.words, dtype=np.uint64)
        self.next = 0

    def buffer(self, words: int) -> Buffer:
        self.next += words
        return Buffer("", words, self.next - words)

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
        """A random map: float64 (image, channel, row, column), and its tile."""
        codes = self.codes(fmt, (self.images, shape.height, shape.width, shape.channels))
        value = floats.values(fmt)[codes].astype(np.float64).transpose(0, 3, 1, 2)
        return value, Tile(self.put(channel_blocks(codes)), self.images, shape)

    def tile(self, shape: Shape) -> Tile:
        return Tile(self.buffer(self.images * shape.words), self.images, shape)

    def sums(self, blocks: int) -> Buffer:
        """Statistics that begin at zero."""
        buffer = self.buffer(blocks * nests.stats_words(self.config))
        self.words[buffer.address:buffer.address + buffer.words] = 0
        return buffer

    def read_sums(self, buffer: Buffer) -> np.ndarray:
        """Both sums of each channel, (2, channels), as float64."""
        words = self.words[buffer.address:buffer.address + buffer.words]
        values, poison = raw.decode_raw(self.config, words.reshape(-1, 2, self.config.raw_words))
        assert not poison.any()
        unit = 2.0**self.config.lowest_exponent
        return values.astype(np.float64).transpose(1, 0, 2).reshape(2, -1) * unit

    def weights(self):
        layer = self.layer
        codes = self.codes(E4M3, (layer.output.channels, layer.input.channels,
                                  layer.kernel, layer.kernel))
        return number(E4M3, codes), self.put(weight_tiles(codes))

    def run(self, operation) -> None:
        registers = defaults(Unit.TENSOR)
        for name, fields in resolve(operation).items():
            registers[name] = registers[name] | fields
        assert tensor.execute(self.config, registers, self.words).trap is Trap.NONE

    def read(self, buffer: Buffer, dtype) -> np.ndarray:
        return self.words[buffer.address:buffer.address + buffer.words].view(dtype)

    def read_map(self, tile: Tile) -> np.ndarray:
        """Codes of a tile as (image, channel, row, column)."""
        shape = tile.shape
        blocks = self.read(tile.buffer, np.uint8).reshape(
            self.images, shape.blocks, shape.height, shape.width, 8)
        whole = blocks.transpose(0, 1, 4, 2, 3).reshape(self.images, -1, shape.height, shape.width)
        return whole[:, :shape.channels]


def number(fmt, codes) -> np.ndarray:
    return floats.values(fmt)[codes].astype(np.float64)


@pytest.mark.parametrize("case", CASES)
def test_forward(case):
    bench = Bench(case)
    layer = bench.layer
    x, x_tile = bench.map(E4M3, layer.input)
    weights, w_buffer = bench.weights()
    bias = np.zeros(layer.output.blocks * 8, np.float32)
    bias[:layer.output.channels] = bench.generator.standard_normal(layer.output.channels)
    b_buffer = bench.put(bias)
    y, stats = bench.tile(layer.output), bench.sums(layer.output.blocks)
    bench.run(nests.forward(bench.config, layer, x_tile, w_buffer, y, b_buffer, stats))
    expected = convolution.forward(x, weights, layer.stride, layer.padding).astype(np.float32)
    expected = expected + bias[:layer.output.channels, np.newaxis, np.newaxis]
    if layer.relu:
        expected = np.maximum(expected, np.float32(0))
    expected = floats.encode(E4M3, expected)[0]
    assert np.array_equal(bench.read_map(y), expected)
    stored, sums = number(E4M3, expected), bench.read_sums(stats)[:, :layer.output.channels]
    assert np.array_equal(sums, [stored.sum(axis=(0, 2, 3)), (stored**2).sum(axis=(0, 2, 3))])


@pytest.mark.parametrize("case", CASES)
def test_backward(case):
    """With a mask, an element that is added, and statistics: each in some of the cases."""
    bench = Bench(case)
    layer = bench.layer
    dy, dy_tile = bench.map(E5M2, layer.output)
    weights, w_buffer = bench.weights()
    x, x_tile = bench.map(E4M3, layer.input)
    element, element_tile = bench.map(E5M2, layer.input)
    norm, norm_tile = bench.map(E4M3, layer.input)
    dx, stats = bench.tile(layer.input), bench.sums(layer.input.blocks)
    added = case % 2
    beside = Beside(element=element_tile if added else None,
                    mask=x_tile if case % 3 else None,
                    norm=norm_tile if case % 5 else None, stats=stats if case % 5 else None)
    parities = range(layer.stride)
    for row in parities:
        for column in parities:
            if row < layer.input.height and column < layer.input.width:
                bench.run(nests.backward(bench.config, layer, dy_tile, w_buffer, dx, row, column,
                                         beside))
    expected = convolution.input_gradient(dy, weights, (layer.input.height, layer.input.width),
                                          layer.stride, layer.padding) + element * added
    expected = floats.encode(E5M2, expected.astype(np.float32) + np.float32(0))[0]
    if beside.mask:
        expected = np.where(x == 0, 0, expected)
    assert np.array_equal(bench.read_map(dx), expected)
    if beside.stats:
        stored, sums = number(E5M2, expected), bench.read_sums(stats)[:, :layer.input.channels]
        assert np.array_equal(sums, [stored.sum(axis=(0, 2, 3)),
                                     (stored * norm).sum(axis=(0, 2, 3))])


@pytest.mark.parametrize("case", CASES)
def test_weight_gradient(case):
    """In one piece, or the sums of the first tile raw and added to those of the second."""
    bench = Bench(case)
    layer = bench.layer
    gradient, sums = bench.buffer(layer.tiles * 32), None
    expected, passes = 0, 0
    for tile in range(1 + case % 2):
        x, x_tile = bench.map(E4M3, layer.input)
        dy, dy_tile = bench.map(E5M2, layer.output)
        last = tile == case % 2
        after = gradient if last else bench.buffer(layer.tiles * 8 * bench.config.raw_words)
        bench.run(gradients.weight_gradient(bench.config, layer, x_tile, dy_tile,
                                            Part(sums, after, not last, passes), scale=-5))
        sums, passes = after, passes + gradients.passes_of(layer, bench.images)
        expected = expected + convolution.weight_gradient(x, dy, layer.kernel, layer.stride,
                                                          layer.padding)
    expected = weight_tiles((expected / 32).astype(np.float32) + np.float32(0))
    assert np.array_equal(bench.read(gradient, np.float32), expected.ravel())
