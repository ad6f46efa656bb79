"""Weight gradients from turned maps, run on the model, against textbook convolutions: equal to the
bit, with and without skipping."""

from dataclasses import replace

import numpy as np
import pytest

from isa.formats import E4M3, E5M2
from isa.registers import Skip
from sim import floats
from verif.compiler.bench import Bench, number
from verif.compiler.test_nests import random_layer
from verif.reference import convolution
from winnow.compiler import turned
from winnow.compiler.drains import GROUP_WORDS, Sums
from winnow.compiler.forms import Coefficients
from winnow.compiler.layouts import Layouts
from winnow.compiler.operations import Buffer
from winnow.compiler.tiles import Part
from winnow.compiler.turned import LiveWeights, TurnedTile
from winnow.layout import weight_tiles
from winnow.network import Shape


def bench_of(name: str, slot: int) -> Bench:
    bench = Bench(name, random_layer, slot)
    bench.config = bench.config.with_(reach=2)
    bench.images = int(bench.generator.choice([8, 16]))
    return bench


def drawn(bench: Bench, fmt, shape: Shape) -> np.ndarray:
    return bench.codes(fmt, (bench.images, shape.height, shape.width, shape.channels), 0.5)


def room(bench: Bench, part: Part, shape: Shape, stride: int, inside: bool) -> TurnedTile:
    tile = TurnedTile.new(bench.config, "", part, shape, stride, inside)
    return replace(tile, buffer=bench.buffer(tile.buffer.words))


def flipped_tiles(weights: np.ndarray) -> np.ndarray:
    """Weights as words of 8 outputs of a channel."""
    return weight_tiles(weights).swapaxes(-1, -2)


def summed(array: np.ndarray) -> np.ndarray:
    """Codes (image, row, column, channel) as float64 (image, channel, row, column)."""
    return array.transpose(0, 3, 1, 2)


@pytest.mark.parametrize("case", range(24))
def test_weight_gradient(case):
    """In one piece, or the sums of some rows raw and added to those of the others; with a random
    mask of weights in every third case, and some rows of the kernel in every fourth."""
    bench = bench_of(f"turned {case}", (2, 4, 8)[case % 8 % 3])
    layer = bench.layer
    raw_words, pruned = bench.config.raw_words, case % 3 == 0
    x, dy = drawn(bench, E4M3, layer.input), drawn(bench, E5M2, layer.output)
    expected = convolution.weight_gradient(
        summed(number(E4M3, x)), summed(number(E5M2, dy)), layer.kernel, layer.stride,
        layer.padding)
    kernel = range(layer.kernel // 2 if case % 4 == 3 else 0, layer.kernel)
    expected = (expected[:, :, kernel.start:] / 32).astype(np.float32) + np.float32(0)
    words, height = layer.tiles * 8 // layer.kernel * len(kernel), layer.output.height
    bands = [range(height)] if case % 2 or height == 1 else [
        range(0, height // 2), range(height // 2, height)]
    pitch = raw_words + 1 if len(bands) > 1 else 1
    gradient = bench.buffer(words * GROUP_WORDS)
    raw = Buffer("", words * (raw_words + 1), bench.buffer(words * (raw_words + 1)).address)
    live = None
    if pruned:
        kept = bench.codes(E4M3, expected.shape, 0.8)
        expected = np.where(number(E4M3, kept) != 0, expected, np.float32(0))
        mask = np.ascontiguousarray(flipped_tiles(kept)).view(np.uint64).ravel()
        place = raw if len(bands) > 1 else bench.buffer(words)
        live = LiveWeights(place, raw_words if len(bands) > 1 else 0, pitch)
        bench.words[place.address + live.first:][:pitch * words:pitch] = mask
    skips = (Skip.NONE, Skip.TILES | (Skip.OUTPUTS if pruned else Skip.ELEMENTS))
    found, counted = {}, {}
    for skip in skips:
        sums = Sums()
        counted[skip] = []
        for band in bands:
            rows = layer.rows_read(band)
            part = Part.of(layer.input, range(bench.images), rows)
            xs = bench.put_map(E4M3, summed(x), layer.input, part)
            errors = bench.put_map(E5M2, summed(dy), layer.output,
                                   Part.of(layer.output, range(bench.images), band))
            stream = room(bench, part, layer.input, layer.stride, pruned)
            for operation in turned.turn("turn", xs, stream):
                bench.run(operation)
            last = band is bands[-1]
            here = replace(sums, after=None if last else raw)
            for operation in turned.weight_gradient(bench.config, layer, stream, errors, band,
                                                    gradient, -5, here, kernel, live):
                mode = operation.registers["tensor.mode"]
                assert mode["skip"] == skips[-1]
                mode["skip"] = skip
                counted[skip].append(bench.run(operation))
            sums = Sums(raw, None, sums.passes + turned.passes_of(stream, len(band)))
        found[skip] = bench.read(gradient, np.float32).copy()
    for skip in skips:
        assert np.array_equal(found[skip], flipped_tiles(expected).ravel()), skip
    for dense, skipping in zip(*counted.values(), strict=True):
        assert dense.macs == skipping.macs + skipping.skipped_tiles + (
            skipping.skipped_elements + skipping.skipped_outputs)
    dense, skipping = (sum(each.macs for each in counted[skip]) for skip in skips)
    assert skipping < 0.7 * dense


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("slot", [1, 4])
def test_turned_map_is_formed(slot, stride):
    """relu(a x + b) with coefficients by channel, for two groups of images."""
    bench = bench_of("formed and turned", 4)
    bench.layouts = Layouts.of(bench.config.with_(slot=slot, reach=0))  # either way to lay out maps
    bench.images, shape = 16, Shape(21, 5, 7)
    x = drawn(bench, E4M3, shape)
    factors = bench.generator.standard_normal((3, 3, 8)).astype(np.float32)
    part = Part.of(shape, range(16), range(1, 4))
    tile = bench.put_map(E4M3, summed(x), shape, part)
    for inside in (False, True):
        stream = room(bench, part, shape, stride, inside)
        for operation in turned.turn("turn", tile, stream,
                                     Coefficients(bench.put(factors.reshape(-1))), relu=True):
            bench.run(operation)
        value = np.zeros((16, 3, 7, 24), np.float32)
        value[..., :21] = number(E4M3, x)[:, 1:4]
        a, b = (factors[:, i].reshape(24) for i in (0, 1))
        wanted = floats.encode(E4M3, np.maximum(value * a + b, np.float32(0)))[0]
        wanted = wanted.reshape(2, 8, 3, 7, 3, 8)  # eight, image, row, column, block, channel
        eight, row, column, block, channel = np.ogrid[:2, :3, :7, :3, :8]
        words = (eight * stream.eight_words + row * stream.row_words + block * stream.map_words
                 + column % stride * stream.phase_words + column // stride * stream.column_words
                 + channel * stream.channel_words)
        found = bench.read(stream.buffer, np.uint8).reshape(-1, 8)[words]
        found = found.transpose(0, 5, 1, 2, 3, 4)
        assert np.array_equal(found, wanted)
