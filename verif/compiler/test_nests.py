"""Each layer's loop nests, run on the model, against textbook convolutions: equal to the bit.

The sums are exact on both sides (few enough terms for float64), so the one rounding must agree.
"""

from math import prod

import numpy as np
import pytest

from isa.formats import E4M3, E5M2
from isa.registers import Skip
from sim import floats
from verif.compiler.bench import Bench, number
from verif.reference import convolution
from winnow.compiler import gradients, nests
from winnow.compiler.drains import Beside, Sums
from winnow.graph import Layer
from winnow.layout import weight_tiles
from winnow.network import Shape

CASES = range(40)
SLOTS = pytest.mark.parametrize("slot", [1, 4])


def channels(generator) -> int:
    """Of some blocks, in a part of the cases four."""
    return int(generator.integers(*(1, 20) if generator.random() < 0.7 else (25, 33)))


def random_layer(generator) -> Layer:
    """Any kernel, stride, padding and shape; the output side may be ragged."""
    while True:
        kernel, stride = int(generator.choice([1, 3, 5, 7])), int(generator.integers(1, 3))
        padding = int(generator.integers(kernel))
        height, width = (int(side) for side in generator.integers(1, 12, 2))
        rows, columns = ((side + 2 * padding - kernel) // stride + 1 for side in (height, width))
        if rows > 0 and columns > 0:
            source = Shape(channels(generator), height, width)
            output = Shape(channels(generator), rows, columns)
            return Layer("random", source, output, kernel, stride, padding,
                         relu=bool(generator.integers(2)), bias=True, source=source)


@SLOTS
@pytest.mark.parametrize("case", CASES)
def test_forward(case, slot):
    """Zero elements are left out where channel blocks fill slots."""
    bench = Bench(f"layer {case}", random_layer, slot)
    layer = bench.layer
    x, x_tile = bench.map(E4M3, layer.input)
    weights, w_buffer = bench.weights()
    bias = np.zeros(layer.output.blocks * 8, np.float32)
    bias[:layer.output.channels] = bench.generator.standard_normal(layer.output.channels)
    b_buffer = bench.put(bias)
    y, stats = bench.tile(E4M3, layer.output), bench.sums(layer.output.blocks)
    operation = nests.forward(bench.config, layer, x_tile, w_buffer, y, b_buffer, stats)
    elements = Skip.ELEMENTS if layer.input.blocks % slot == 0 else Skip.NONE
    assert skipped(operation) == (Skip.TILES | elements if slot > 1 else Skip.NONE)
    bench.run(operation)
    expected = convolution.forward(x, weights, layer.stride, layer.padding).astype(np.float32)
    expected = expected + bias[:layer.output.channels, np.newaxis, np.newaxis]
    if layer.relu:
        expected = np.maximum(expected, np.float32(0))
    expected = floats.encode(E4M3, expected)[0]
    assert np.array_equal(bench.read_map(y), expected)
    stored, sums = number(E4M3, expected), bench.read_sums(stats)[:, :layer.output.channels]
    assert np.array_equal(sums, [stored.sum(axis=(0, 2, 3)), (stored**2).sum(axis=(0, 2, 3))])


def skipped(operation) -> Skip:
    return operation.registers["tensor.mode"].get("skip", Skip.NONE)


@SLOTS
@pytest.mark.parametrize("case", CASES)
def test_backward(case, slot):
    """With a mask, an element that is added, and statistics: each in some of the cases. What is
    masked is left out."""
    bench = Bench(f"layer {case}", random_layer, slot)
    layer = bench.layer
    dy, dy_tile = bench.map(E5M2, layer.output)
    weights, w_buffer = bench.weights()
    x, x_tile = bench.map(E4M3, layer.input)
    element, element_tile = bench.map(E5M2, layer.input)
    norm, norm_tile = bench.map(E4M3, layer.input)
    dx, stats = bench.tile(E5M2, layer.input), bench.sums(layer.input.blocks)
    added = case % 2
    beside = Beside(element=element_tile if added else None,
                    mask=x_tile if case % 3 else None,
                    norm=norm_tile if case % 5 else None, stats=stats if case % 5 else None)
    parities = range(layer.stride)
    for row in parities:
        for column in parities:
            if row < layer.input.height and column < layer.input.width:
                operation = nests.backward(bench.config, layer, dy_tile, w_buffer, dx, row, column,
                                           beside)
                passes = prod(operation.registers["tensor.reduction"].values())
                cores = operation.registers["tensor.positions"]["cores"]
                many = passes >= 2 * cores and nests.reaches(layer, row, column)
                outputs = Skip.OUTPUTS if beside.mask and many else Skip.NONE
                assert skipped(operation) == (Skip.TILES | outputs if slot > 1 else Skip.NONE)
                bench.run(operation)
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


@SLOTS
@pytest.mark.parametrize("case", CASES)
def test_weight_gradient(case, slot):
    """In one piece, or the sums of the first tile raw and added to those of the second."""
    bench = Bench(f"layer {case}", random_layer, slot)
    layer = bench.layer
    gradient, sums = bench.buffer(layer.tiles * 32), None
    expected, passes = 0, 0
    for tile in range(1 + case % 2):
        x, x_tile = bench.map(E4M3, layer.input)
        dy, dy_tile = bench.map(E5M2, layer.output)
        last = tile == case % 2
        after = gradient if last else bench.buffer(layer.tiles * 8 * bench.config.raw_words)
        bench.run(gradients.weight_gradient(
            bench.config, layer, x_tile, dy_tile, range(layer.output.height), after, -5,
            Sums(sums, None if last else after, passes)))
        sums, passes = after, passes + gradients.passes_of(
            layer.output.height, layer.output.width, bench.images, slot)
        expected = expected + convolution.weight_gradient(x, dy, layer.kernel, layer.stride,
                                                          layer.padding)
    expected = weight_tiles((expected / 32).astype(np.float32) + np.float32(0))
    assert np.array_equal(bench.read(gradient, np.float32), expected.ravel())
