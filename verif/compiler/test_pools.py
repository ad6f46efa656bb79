"""Pooling of one map, forward and backward, run on the model, against the textbook: to the bit.

Coefficients have few bits, so that all sums are exact on both sides and the one rounding agrees.
"""

import numpy as np
import pytest

from isa.formats import E4M3, E5M2
from sim import floats
from verif.compiler.bench import Bench, number
from verif.compiler.test_nests import SLOTS
from verif.reference import pooling
from winnow.compiler import averages, constant, pools
from winnow.compiler.drains import GROUP_WORDS, Beside
from winnow.compiler.forms import COEFFICIENT_WORDS, Coefficients
from winnow.compiler.operations import Buffer
from winnow.compiler.pools import stretches
from winnow.compiler.tiles import Part, Tile
from winnow.graph import Layer, Pool
from winnow.network import Shape, Window

CASES = range(60)


def random_pool(generator, most: int, largest: bool) -> Layer:
    """Any windows over any map; the map may be ragged, a window may reach over both edges."""
    while True:
        kernel = int(generator.integers(1, most + 1))
        stride = kernel if generator.random() < 0.4 else int(generator.integers(1, kernel + 2))
        pool = Pool(kernel, kernel, stride, int(generator.integers(kernel)), largest)
        shape = Shape(int(generator.integers(1, 20)), *map(int, generator.integers(1, 14, 2)))
        if not largest and generator.random() < 0.2:
            pool = Pool(shape.height, shape.width, 1, largest=False)
        out = pool.over(shape)
        if out.height > 0 and out.width > 0:
            return Layer("random", shape, out, 1, 1, 0, pool=pool, source=shape)


def window(pool: Pool, shape: Shape) -> Window | None:
    whole = (pool.rows, pool.columns) == (shape.height, shape.width) and not pool.padding
    return None if whole else Window(pool.rows, pool.stride, pool.padding)


def by_channel(values: np.ndarray, channels: int) -> np.ndarray:
    return values.transpose(1, 0, 2).reshape(3, -1)[:, :channels, np.newaxis, np.newaxis]


class MaxBench(Bench):
    """Coefficients or none, and what is pooled."""

    def __init__(self, case: int, slot: int):
        super().__init__(f"max {case}", lambda g: random_pool(g, 5, True), slot)
        shape = self.layer.input
        self.coefficients, self.k = None, None
        if case % 3:
            k = self.generator.integers(-8, 9, (shape.blocks, 3, 8)) / 4
            k[:, 0] = np.sign(k[:, 0] + 0.1)
            assert COEFFICIENT_WORDS == 3 * GROUP_WORDS
            self.coefficients = Coefficients(self.put(k.astype(np.float32)))
            self.k = by_channel(k, shape.channels)
        self.relu = bool(case % 2) and self.k is not None
        self.x, self.x_tile = self.map(E4M3, shape)

    def formed(self) -> np.ndarray:
        """What the windows are taken of."""
        y = self.x if self.k is None else self.k[0] * self.x + self.k[1]
        return np.maximum(y, 0) if self.relu else y


@SLOTS
@pytest.mark.parametrize("case", CASES)
def test_largest(case, slot):
    """The largest, the x that it came from, and back to it with the numbers of the winners; in
    place where maps and errors lie alike."""
    bench = MaxBench(case, slot)
    layer, pool = bench.layer, bench.layer.pool
    y, winner = bench.tile(E4M3, layer.output), bench.tile(E4M3, layer.output)
    numbers = pools.Numbers.new(pool, bench.whole(layer.output), layer.output, bench.layouts.maps)
    numbers.tile.buffer.address = bench.buffer(numbers.tile.buffer.words).address
    for operation in pools.largest("", bench.x_tile, pool, bench.relu, bench.coefficients, y,
                                   winner, numbers):
        bench.run(operation)
    expected, backward = pooling.largest(bench.formed(), window(pool, layer.input) or Window(
        pool.rows, pool.stride, pool.padding))
    assert np.array_equal(bench.read_map(y), encode(E4M3, expected))
    won = number(E4M3, bench.read_map(winner))
    again = won if bench.k is None else bench.k[0] * won + bench.k[1]
    assert np.array_equal(np.maximum(again, 0) if bench.relu else again, expected)

    dy, dy_tile = bench.map(E5M2, layer.output)
    first, end = np.sort(bench.generator.integers(0, layer.input.height + 1, 2))
    rows = range(int(first), int(end)) if first < end else range(layer.input.height)
    dx_tile = bench.x_tile if slot == 1 else bench.tile(E5M2, layer.input)
    before = bench.read_map(dx_tile)
    for operation in pools.error("", dy_tile, numbers, bench.x_tile, dx_tile, pool,
                                 bench.coefficients, rows):
        for buffer in operation.buffers:
            if buffer.address is None:
                buffer.address = bench.buffer(buffer.words).address
        bench.run(operation)
    dx = backward(dy)
    if bench.k is not None:
        dx = bench.k[0] * dx + bench.k[1] * bench.x + bench.k[2]
    expected = encode(E5M2, dx)
    if pool.stride != pool.rows:  # what may lack windows is left as it was
        others = [row for row in range(layer.input.height) if row not in rows]
        expected[:, :, others] = before[:, :, others]
    assert np.array_equal(bench.read_map(dx_tile), expected)


def test_words_of_sums():
    """What `error` takes beside its arguments is what it says."""
    for stride, wanted in ((3, 0), (2, GROUP_WORDS), (4, GROUP_WORDS)):
        pool, shape = Pool(3, 3, stride), Shape(16, 7, 9)
        x, dy = (Tile.new("", Part.of(each, range(2)), each)
                 for each in (shape, pool.over(shape)))
        numbers = pools.Numbers.new(pool, Part.of(dy.shape, range(2)), dy.shape)
        operations = pools.error("", dy, numbers, x, x, pool, None, range(shape.height))
        own = {b for o in operations for b in o.buffers} - {x.buffer, dy.buffer,
                                                            numbers.tile.buffer}
        assert sum(b.words for b in own) == 2 * pools.error_words(pool) * shape.words
        assert pools.error_words(pool) == wanted


def encode(fmt, values) -> np.ndarray:
    return floats.encode(fmt, (values + 0.0).astype(np.float32))[0]


def factor(pool: Pool) -> float:
    """One over the pixels of a window, as the machine has it."""
    numbers, exponent = averages.terms(pool.rows * pool.columns)
    return sum(numbers) * 2.0**exponent


@SLOTS
@pytest.mark.parametrize("case", CASES)
def test_average(case, slot):
    """With a mask and statistics in some of the cases."""
    bench = Bench(f"average {case}", lambda g: random_pool(g, 9, False), slot)
    layer, pool = bench.layer, bench.layer.pool
    pixels, where = pool.rows * pool.columns, window(pool, layer.input)
    codes = floats.encode(E4M3, averages.tiles(averages.factors(pool)))[0]
    constants = bench.put(codes)
    x, x_tile = bench.map(E4M3, layer.input)
    y = bench.tile(E4M3, layer.output)
    bench.run(averages.forward(bench.config, layer, x_tile, constants, y))
    mean, backward = pooling.mean(x, where)
    exact = np.rint(mean * pixels * 2.0**9) / 2.0**9  # sums are whole numbers of 2**-9
    assert np.array_equal(bench.read_map(y), encode(E4M3, exact * factor(pool)))

    dy, dy_tile = bench.map(E5M2, layer.output)
    norm, norm_tile = bench.map(E4M3, layer.input)
    dx, stats = bench.tile(E5M2, layer.input), bench.sums(layer.input.blocks)
    beside = Beside(mask=x_tile if case % 3 else None, norm=norm_tile if case % 2 else None,
                    stats=stats if case % 2 else None)
    for operation in averages.backward(bench.config, layer, dy_tile, constants, dx, beside):
        bench.run(operation)
    exact = np.rint(backward(dy) * pixels * 2.0**16) / 2.0**16
    expected = encode(E5M2, exact * factor(pool))
    if beside.mask:
        expected = np.where(x == 0, 0, expected)
    assert np.array_equal(bench.read_map(dx), expected)
    if beside.stats:
        check_statistics(bench, stats, expected, norm)


def check_statistics(bench: Bench, stats: Buffer, codes, norm) -> None:
    stored = number(E5M2, codes)
    assert np.array_equal(bench.read_sums(stats)[:, :bench.layer.input.channels],
                          [stored.sum(axis=(0, 2, 3)), (stored * norm).sum(axis=(0, 2, 3))])


@SLOTS
@pytest.mark.parametrize("case", range(20))
def test_through_the_drain(case, slot):
    bench = Bench(f"through {case}", lambda g: random_pool(g, 1, True), slot)
    shape = bench.layer.input
    (x, x_tile), (element, element_tile) = (bench.map(E5M2, shape) for _ in range(2))
    (mask, mask_tile), (norm, norm_tile) = (bench.map(E4M3, shape) for _ in range(2))
    identity = bench.put(floats.encode(E4M3, np.eye(8, dtype=np.float32))[0])
    y, stats = x_tile if case % 2 else bench.tile(E5M2, shape), bench.sums(shape.blocks)
    bench.run(constant.through(bench.config, "", x_tile, y, Beside(
        element_tile, mask_tile, norm_tile, stats), identity))
    expected = np.where(mask == 0, 0, encode(E5M2, x + element))
    assert np.array_equal(bench.read_map(y), expected)
    check_statistics(bench, stats, expected, norm)


def test_a_mean_is_a_sum_of_a_few_numbers():
    for pixels in range(1, 2000):
        numbers, exponent = averages.terms(pixels)
        assert np.array_equal(floats.decode(E4M3, encode(E4M3, np.array(numbers))), numbers)
        assert abs(sum(numbers) * 2.0**exponent * pixels - 1) < 2.0**-12
        assert len(numbers) == 1 or pixels & (pixels - 1)


def test_stretches_hold_every_window_once():
    generator = np.random.default_rng(1)
    for _ in range(300):
        side, size, stride = (int(n) for n in generator.integers(1, 12, 3))
        padding = int(generator.integers(size))
        outputs = max(0, (side + 2 * padding - size) // stride + 1)
        windows = [range(max(0, o * stride - padding), min(side, o * stride - padding + size))
                   for o in range(outputs)]
        found = [range(s.input + i * stride, s.input + i * stride + s.length)
                 for s in stretches(side, size, stride, padding, outputs) for i in range(s.count)]
        assert found == windows
