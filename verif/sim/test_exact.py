"""Exact sums against fractions."""

from fractions import Fraction

import numpy as np
import pytest

from isa.formats import E4M3, E5M2
from sim import exact, floats


def random_values(generator, fmt, shape):
    """Integers, in units of the format's lowest bit."""
    codes = generator.integers(0, fmt.max_code + 1, shape) | generator.integers(0, 2, shape) << 7
    return np.ldexp(floats.values(fmt)[codes].astype(np.float64), -fmt.lowest_exponent)


@pytest.mark.parametrize("formats", [(E4M3, E4M3), (E4M3, E5M2), (E5M2, E5M2)])
@pytest.mark.parametrize("depth", [1, 8, 300])
def test_matmul_and_rounding(formats, depth):
    generator = np.random.default_rng(depth)
    lowest = sum(f.lowest_exponent for f in formats)
    a = random_values(generator, formats[0], (3, 4, depth))
    b = random_values(generator, formats[1], (3, depth, 5))
    sums = exact.matmul(a, b, np.abs(a).max() * np.abs(b).max())
    rounded = exact.to_binary32(sums, lowest)
    for place in np.ndindex(sums.shape):
        n, i, j = place
        true = sum(Fraction(a[n, i, k]) * Fraction(b[n, k, j]) for k in range(depth))
        assert int(sums[place]) == true
        assert rounded[place] == nearest_binary32(true * Fraction(2) ** lowest)


def nearest_binary32(value: Fraction) -> float:
    """By bisection of neighbours, ties to even."""
    guess = np.float32(float(value))
    candidates = [np.nextafter(guess, np.float32(-np.inf)), guess,
                  np.nextafter(guess, np.float32(np.inf))]
    return float(min(candidates, key=lambda c: (abs(Fraction(float(c)) - value),
                                                int(c.view(np.uint32)) & 1)))


def test_large_sums_are_integers_and_small_ones_are_fast():
    big = np.full((1, 4), 57344.0 * 2**16)
    assert exact.matmul(big, big.T, big.max() ** 2).dtype == object
    assert exact.matmul(np.ones((1, 4)), np.ones((4, 1)), 1).dtype == np.float64


def test_double_rounding_does_not_happen():
    # Half way between two binary32 numbers, and a little more, beyond what float64 holds.
    value = np.array([(1 << 80) + (1 << 56) + 1, (1 << 80) + (1 << 56)], object)
    rounded = exact.to_binary32(value, 0)
    assert rounded[0] == np.float32(2.0**80 + 2.0**57)
    assert rounded[1] == np.float32(2.0**80)


def test_nothing_but_zeros_has_its_shape():
    a, b = np.zeros((2, 3, 8)), np.ones((2, 8, 5))
    assert exact.matmul(a, b, 2.0**60).shape == (2, 3, 5)
