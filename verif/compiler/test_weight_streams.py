"""Convolutions that stream their weights, run on the model, against textbook convolutions: equal to
the bit, and what is left out are the zero weights."""

from dataclasses import replace

import numpy as np
import pytest

from isa.formats import E4M3, E5M2
from isa.registers import Skip
from sim import floats
from verif.compiler.bench import Bench, number
from verif.compiler.test_nests import channels, random_layer
from verif.reference import convolution
from winnow.compiler import nests, weight_streams
from winnow.compiler.drains import Beside
from winnow.compiler.weight_streams import StreamedWeights
from winnow.graph import Layer
from winnow.layout import layer_tiles
from winnow.network import Shape

SKIPS = Skip.NONE, Skip.TILES | Skip.ELEMENTS


def even_layer(generator) -> Layer:
    """Pixels that fill tiles."""
    height, width = (int(side) for side in generator.choice([4, 8], 2))
    stride, kernel = int(generator.integers(1, 3)), int(generator.choice([3, 5]))
    return Layer("even", Shape(channels(generator), stride * height, stride * width),
                 Shape(channels(generator), height, width), kernel, stride, kernel // 2)


def drawn(case: int, draw=random_layer) -> tuple[Bench, np.ndarray]:
    """A chip and a layer without bias, most weights of which are zero; their codes."""
    bench = Bench(f"streamed {case}", draw, (2, 4, 8)[case % 3])
    bench.config = bench.config.with_(reach=1)
    bench.layer = replace(bench.layer, bias=False)
    layer = bench.layer
    return bench, bench.codes(E4M3, (layer.output.channels, layer.input.channels, layer.kernel,
                                     layer.kernel), 0.7)


def streamed(bench: Bench, codes: np.ndarray, back: bool) -> StreamedWeights:
    """Made from weights as they lie for a layer."""
    weights = bench.put(layer_tiles(bench.layer, codes, bench.layouts))
    made = StreamedWeights.new(bench.config, bench.layer, back)
    made.buffer.address = bench.buffer(made.buffer.words).address
    bench.run(made.made(weights))
    return made


def run(bench: Bench, operation) -> list:
    """With and without leaving anything out; the results must be the same."""
    outcomes, memories, before = [], [], bench.words.copy()
    for skip in SKIPS:
        bench.words[:] = before
        operation.registers["tensor.mode"]["skip"] = skip
        outcomes.append(bench.run(operation))
        memories.append(bench.words.copy())
    assert np.array_equal(*memories)
    dense, sparse = outcomes
    assert dense.macs == sparse.macs + sparse.skipped_tiles + sparse.skipped_elements
    assert sparse.macs < 0.5 * dense.macs
    return outcomes


@pytest.mark.parametrize("case", range(40))
def test_forward(case):
    bench, codes = drawn(case)
    layer = bench.layer
    x, x_tile = bench.map(E4M3, layer.input)
    y = bench.tile(E4M3, layer.output)
    operation = weight_streams.forward(bench.config, layer, x_tile,
                                       streamed(bench, codes, False), y)
    run(bench, operation)
    expected = convolution.forward(x, number(E4M3, codes), layer.stride,
                                   layer.padding).astype(np.float32) + np.float32(0)
    if layer.relu:
        expected = np.maximum(expected, np.float32(0))
    assert np.array_equal(bench.read_map(y), floats.encode(E4M3, expected)[0])


@pytest.mark.parametrize("case", range(40))
def test_backward(case):
    """All parities of pixels, with a mask in two of three cases, and an element that is added in
    every second one, whose pixels fill tiles."""
    added = case % 2
    bench, codes = drawn(case, even_layer if added else random_layer)
    layer = bench.layer
    dy, dy_tile = bench.map(E5M2, layer.output)
    x, x_tile = bench.map(E4M3, layer.input)
    dx, weights = bench.tile(E5M2, layer.input), streamed(bench, codes, True)
    element, element_tile = bench.map(E5M2, layer.input)
    beside = Beside(element_tile if added else None, x_tile if case % 3 else None)
    expected = convolution.input_gradient(dy, number(E4M3, codes), (
        layer.input.height, layer.input.width), layer.stride, layer.padding) + element * added
    expected = floats.encode(E5M2, expected.astype(np.float32) + np.float32(0))[0]
    if beside.mask:
        expected = np.where(x == 0, 0, expected)
    for row in range(min(layer.stride, layer.input.height)):
        for column in range(min(layer.stride, layer.input.width)):
            here = np.s_[:, :, row::layer.stride, column::layer.stride]
            *before, operation = weight_streams.backward(
                bench.config, layer, dy_tile, weights, dx, row, column, beside) or [None]
            if not operation:
                assert not nests.reaches(layer, row, column)
                continue
            for turn in before:
                turn.writes[0].address = bench.buffer(turn.writes[0].words).address
                bench.run(turn)
            run(bench, operation)
            assert np.array_equal(bench.read_map(dx)[here], expected[here])
