"""Nests on parts of maps: bands of rows, chunks of blocks, pieces of the reduction. Together they
are the textbook's convolution to the bit, as one nest over whole maps is (test_nests.py)."""

import numpy as np
import pytest

from isa.formats import E4M3, E5M2
from sim import floats
from verif.compiler.bench import Bench, number
from verif.compiler.test_nests import SLOTS, random_layer
from verif.reference import convolution
from winnow.compiler import drains, gradients, nests
from winnow.compiler.drains import Beside, Sums
from winnow.compiler.tiles import Part, equal
from winnow.layout import layer_tiles, weight_tiles

CASES = range(40)


class Parts(Bench):
    """A job that is cut at random."""

    def cut(self, whole: range) -> list[range]:
        """A range in some parts, in order."""
        count = int(self.generator.integers(1, len(whole) + 1))
        return [part for i in range(count) if (part := equal(len(whole), count, i))]

    def weights_between(self, codes, outputs: range, inputs: range):
        part = codes[8 * outputs.start:8 * outputs.stop, 8 * inputs.start:8 * inputs.stop]
        return self.put(layer_tiles(self.layer, part, self.layouts))


@SLOTS
@pytest.mark.parametrize("case", CASES)
def test_forward(case, slot):
    bench = Parts(f"parts {case}", random_layer, slot)
    layer, images = bench.layer, range(bench.images)
    x = bench.codes(E4M3, (bench.images, layer.input.channels, layer.input.height,
                           layer.input.width))
    codes = bench.weight_codes()
    weights = number(E4M3, codes)
    bias = np.zeros(layer.output.blocks * 8, np.float32)
    bias[:layer.output.channels] = bench.generator.standard_normal(layer.output.channels)
    b_buffer, stats = bench.put(bias), bench.sums(layer.output.blocks)
    expected = convolution.forward(number(E4M3, x), weights, layer.stride, layer.padding)
    expected = expected.astype(np.float32) + bias[:layer.output.channels, np.newaxis, np.newaxis]
    if layer.relu:
        expected = np.maximum(expected, np.float32(0))
    expected = floats.encode(E4M3, expected)[0]
    pieces = bench.cut(range(layer.input.blocks))
    for rows in bench.cut(range(layer.output.height)):
        for blocks in bench.cut(range(layer.output.blocks)):
            part = Part(images, rows, blocks)
            y = bench.tile(E4M3, layer.output, part)
            sums = drains.split_sums(bench.config, "", y.buffer.words, [1] * len(pieces))
            if len(pieces) > 1:
                sums[0].after.address = bench.buffer(sums[0].after.words).address
            for here, piece in zip(sums, pieces, strict=True):
                tile = bench.put_map(E4M3, x, layer.input,
                                     Part(images, layer.rows_read(rows), piece))
                bench.run(nests.forward(
                    bench.config, layer, tile, bench.weights_between(codes, blocks, piece), y,
                    None if here.after else b_buffer, stats if len(pieces) == 1 else None, here))
            assert np.array_equal(bench.read_map(y), expected[
                :, 8 * blocks.start:8 * blocks.stop, rows.start:rows.stop])
    if len(pieces) == 1:
        stored, sums = number(E4M3, expected), bench.read_sums(stats)[:, :layer.output.channels]
        assert np.array_equal(sums, [stored.sum(axis=(0, 2, 3)), (stored**2).sum(axis=(0, 2, 3))])


@SLOTS
@pytest.mark.parametrize("case", CASES)
def test_backward(case, slot):
    """Bands and chunks take what is beside the sums; pieces are summed and take nothing."""
    bench = Parts(f"parts {case}", random_layer, slot)
    layer, images = bench.layer, range(bench.images)
    dy = bench.codes(E5M2, (bench.images, layer.output.channels, layer.output.height,
                            layer.output.width))
    codes = bench.weight_codes()
    weights = number(E4M3, codes)
    shape = bench.images, layer.input.channels, layer.input.height, layer.input.width
    x, norm = bench.codes(E4M3, shape), bench.codes(E4M3, shape)
    stats = bench.sums(layer.input.blocks)
    pieces = bench.cut(range(layer.output.blocks))
    whole = len(pieces) == 1
    expected = convolution.input_gradient(number(E5M2, dy), weights, shape[2:], layer.stride,
                                          layer.padding)
    expected = floats.encode(E5M2, expected.astype(np.float32) + np.float32(0))[0]
    if whole:
        expected = np.where(number(E4M3, x) == 0, 0, expected)
    for rows in bench.cut(range(layer.input.height)):
        for blocks in bench.cut(range(layer.input.blocks)):
            part = Part(images, rows, blocks)
            dx = bench.tile(E5M2, layer.input, part)
            beside = Beside(mask=bench.put_map(E4M3, x, layer.input, part),
                            norm=bench.put_map(E4M3, norm, layer.input, part),
                            stats=stats) if whole else Beside()
            sums = drains.split_sums(bench.config, "", dx.buffer.words, [1] * len(pieces))
            if not whole:
                sums[0].after.address = bench.buffer(sums[0].after.words).address
            for here, piece in zip(sums, pieces, strict=True):
                tile = bench.put_map(E5M2, dy, layer.output,
                                     Part(images, layer.rows_reached(rows), piece))
                between = bench.weights_between(codes, piece, blocks)
                for row in range(layer.stride):
                    for column in range(min(layer.stride, layer.input.width)):
                        operation = nests.backward(bench.config, layer, tile, between, dx, row,
                                                   column, beside, here)
                        if operation:
                            bench.run(operation)
            assert np.array_equal(bench.read_map(dx), expected[
                :, 8 * blocks.start:8 * blocks.stop, rows.start:rows.stop])
    if whole:
        stored, sums = number(E5M2, expected), bench.read_sums(stats)[:, :layer.input.channels]
        assert np.array_equal(sums, [stored.sum(axis=(0, 2, 3)),
                                     (stored * number(E4M3, norm)).sum(axis=(0, 2, 3))])


@SLOTS
@pytest.mark.parametrize("case", CASES)
def test_weight_gradient(case, slot):
    """Some blocks of outputs and inputs and some rows of the kernel at a time; sums over bands. The
    errors may be there for more rows than those that are summed."""
    bench = Parts(f"parts {case}", random_layer, slot)
    layer, images = bench.layer, range(bench.images)
    x = bench.codes(E4M3, (bench.images, layer.input.channels, layer.input.height,
                           layer.input.width))
    dy = bench.codes(E5M2, (bench.images, layer.output.channels, layer.output.height,
                            layer.output.width))
    expected = convolution.weight_gradient(number(E4M3, x), number(E5M2, dy), layer.kernel,
                                           layer.stride, layer.padding)
    expected = weight_tiles((expected / 32).astype(np.float32) + np.float32(0))
    bands = bench.cut(range(layer.output.height))
    for outputs in bench.cut(range(layer.output.blocks)):
        for inputs in bench.cut(range(layer.input.blocks)):
            for kernel in bench.cut(range(layer.kernel)):
                size = len(outputs) * len(inputs) * len(kernel) * layer.kernel * 8
                gradient = bench.buffer(4 * size)
                raw = bench.buffer(size * bench.config.raw_words)
                passes = 0
                for i, rows in enumerate(bands):
                    more = range(max(0, rows.start - 1), min(rows.stop + 1, layer.output.height))
                    tile = bench.put_map(E4M3, x, layer.input,
                                         Part(images, layer.rows_read(rows), inputs))
                    error = bench.put_map(E5M2, dy, layer.output, Part(images, more, outputs))
                    bench.run(gradients.weight_gradient(
                        bench.config, layer, tile, error, rows, gradient, -5, Sums(
                            raw if i else None, raw if i < len(bands) - 1 else None, passes),
                        kernel))
                    passes += gradients.passes_of(len(rows), layer.output.width, bench.images,
                                                  slot)
                found = bench.read(gradient, np.float32)
                assert np.array_equal(found, expected[
                    outputs.start:outputs.stop, inputs.start:inputs.stop,
                    kernel.start:kernel.stop].ravel())
