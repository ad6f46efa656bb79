"""Each layer's loop nests, run on the model, against textbook convolutions: equal to the bit.

The sums are exact on both sides (few enough terms for float64), so the one rounding must agree.
"""

import numpy as np
import pytest

from isa.config import Config
from isa.formats import E4M3, E5M2, FormatCode
from isa.memmap import Trap
from isa.registers import Unit
from sim import floats, tensor
from sim.registers import defaults
from verif import seeds
from verif.reference import convolution
from winnow.compiler import layers
from winnow.compiler.operations import Buffer
from winnow.compiler.text import resolve
from winnow.layout import channel_blocks, weight_tiles
from winnow.network import Layer, Shape

BATCH = 8
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
                         relu=bool(generator.integers(2)), source=source)


class Bench:
    """A job with buffers one after the other, and random contents."""

    def __init__(self, case: int):
        self.generator = seeds.generator(f"layer {case}")
        config = Config(cores=int(self.generator.choice([1, 2])), scratchpad_kib=1024,
                        block=int(self.generator.choice([8, 16, 32])))
        self.layer = random_layer(self.generator)
        self.job = layers.Job(config, self.layer, BATCH)
        self.words = self.generator.integers(0, 1 << 63, config.words, dtype=np.uint64)
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
        """A random map: float64 (image, channel, row, column), and its buffer."""
        codes = self.codes(fmt, (BATCH, shape.height, shape.width, shape.channels))
        value = floats.values(fmt)[codes].astype(np.float64).transpose(0, 3, 1, 2)
        return value, self.put(channel_blocks(codes))

    def weights(self):
        layer = self.layer
        codes = self.codes(E4M3, (layer.output.channels, layer.input.channels,
                                  layer.kernel, layer.kernel))
        return floats.values(E4M3)[codes].astype(np.float64), self.put(weight_tiles(codes))

    def run(self, operation) -> None:
        registers = defaults(Unit.TENSOR)
        for name, fields in resolve(operation).items():
            registers[name] = registers[name] | fields
        assert tensor.execute(self.job.config, registers, self.words).trap is Trap.NONE

    def read(self, buffer: Buffer, dtype) -> np.ndarray:
        return self.words[buffer.address:buffer.address + buffer.words].view(dtype)

    def read_map(self, buffer: Buffer, shape: Shape, dtype) -> np.ndarray:
        """A stored map as (image, channel, row, column)."""
        blocks = self.read(buffer, dtype).reshape(BATCH, shape.blocks, shape.height, shape.width, 8)
        whole = blocks.transpose(0, 1, 4, 2, 3).reshape(BATCH, -1, shape.height, shape.width)
        return whole[:, :shape.channels]


@pytest.mark.parametrize("case", CASES)
def test_forward(case):
    bench = Bench(case)
    layer = bench.layer
    x, x_buffer = bench.map(E4M3, layer.input)
    weights, w_buffer = bench.weights()
    bias = np.zeros(layer.output.blocks * 8, np.float32)
    bias[:layer.output.channels] = bench.generator.standard_normal(layer.output.channels)
    b_buffer = bench.put(bias)
    output = FormatCode.BINARY32 if case % 4 == 0 else FormatCode.E4M3
    size = layers.GROUP_WORDS if output is FormatCode.BINARY32 else 1
    y = bench.buffer(BATCH * layer.output.words * size)
    bench.run(layers.forward(bench.job, x_buffer, w_buffer, b_buffer, y, output))
    expected = convolution.forward(x, weights, layer.stride, layer.padding).astype(np.float32)
    expected = expected + bias[:layer.output.channels, np.newaxis, np.newaxis]
    if layer.relu:
        expected = np.maximum(expected, np.float32(0))
    if output is FormatCode.E4M3:
        expected = floats.encode(E4M3, expected)[0]
    assert np.array_equal(bench.read_map(y, layer.output, expected.dtype), expected)


@pytest.mark.parametrize("case", CASES)
def test_backward(case):
    bench = Bench(case)
    layer = bench.layer
    dy, dy_buffer = bench.map(E5M2, layer.output)
    weights, w_buffer = bench.weights()
    x, x_buffer = bench.map(E4M3, layer.input)
    dx = bench.buffer(BATCH * layer.input.words)
    masked = case % 3 > 0
    for operation in layers.backward(bench.job, dy_buffer, w_buffer, dx,
                                     x_buffer if masked else None):
        bench.run(operation)
    expected = convolution.input_gradient(dy, weights, (layer.input.height, layer.input.width),
                                          layer.stride, layer.padding)
    expected = floats.encode(E5M2, expected.astype(np.float32) + np.float32(0))[0]
    if masked:
        expected = np.where(x == 0, 0, expected)
    assert np.array_equal(bench.read_map(dx, layer.input, np.uint8), expected)


@pytest.mark.parametrize("case", CASES)
def test_weight_gradient(case):
    bench = Bench(case)
    layer = bench.layer
    x, x_buffer = bench.map(E4M3, layer.input)
    dy, dy_buffer = bench.map(E5M2, layer.output)
    gradient = bench.buffer(layer.tiles * 32)
    bench.run(layers.weight_gradient(bench.job, x_buffer, dy_buffer, gradient, scale=-5))
    expected = convolution.weight_gradient(x, dy, layer.kernel, layer.stride, layer.padding)
    expected = weight_tiles((expected / 32).astype(np.float32) + np.float32(0))
    assert np.array_equal(bench.read(gradient, np.float32), expected.ravel())
