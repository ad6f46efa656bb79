"""Exact sums of products, and their one rounding.

Sums are arrays of integers in units of 2**exponent: float64 where that is exact (every magnitude
under 2**53), Python integers in an object array otherwise. Both take +, and compare alike.
"""

import numpy as np

FLOAT64_BITS = 53


def matmul(a: np.ndarray, b: np.ndarray, lowest: int) -> np.ndarray:
    """Sums of products over the last axis of `a` and the last but one of `b`, exactly.

    Parameters
    ----------
    a, b : float64 arrays, finite, shapes (..., m, k) and (..., k, n)
    lowest : every product is a multiple of 2**lowest

    Returns
    -------
    (..., m, n) sums in units of 2**lowest
    """
    depth = a.shape[-1]
    top_a, top_b = (np.max(np.abs(x), initial=0) for x in (a, b))
    if depth * top_a * top_b < 2.0 ** (FLOAT64_BITS + lowest):
        return np.ldexp(np.matmul(a, b), -lowest)
    total = 0
    for part_a in _parts(a):
        for part_b in _parts(b):
            # 4 significant bits in each factor, a range of 2**8 in each part.
            product = np.matmul(part_a, part_b)
            total = total + _integers(product, lowest)
    return total


def _parts(x: np.ndarray):
    """`x` split by magnitude into parts that each span less than 2**9."""
    exponent = np.frexp(x)[1]
    for part in np.unique(exponent[x != 0] // 8):
        yield np.where(exponent // 8 == part, x, 0)


def _integers(value: np.ndarray, lowest: int) -> np.ndarray:
    """float64 values, multiples of 2**lowest, as Python integers in units of it."""
    fraction, exponent = np.frexp(value)
    whole = np.ldexp(fraction, FLOAT64_BITS).astype(np.int64).astype(object)
    shift = exponent - FLOAT64_BITS - lowest
    up, down = np.maximum(shift, 0).astype(object), np.maximum(-shift, 0).astype(object)
    return (whole << up) >> down


def as_integers(sums: np.ndarray) -> np.ndarray:
    """The same sums as Python integers."""
    return sums if sums.dtype == object else sums.astype(np.int64).astype(object)


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The exact sum of two arrays of sums."""
    if a.dtype != object and b.dtype != object:
        total = a + b
        if np.max(np.abs(total), initial=0) < 2.0**FLOAT64_BITS:
            return total
    return as_integers(a) + as_integers(b)


def to_binary32(sums: np.ndarray, exponent: int) -> np.ndarray:
    """`sums` times 2**exponent, rounded once to float32, nearest even; zero is +0."""
    if sums.dtype == object:
        sums = np.vectorize(_round_to_odd, otypes=[np.float64])(sums)
    return np.ldexp(sums, exponent).astype(np.float32) + np.float32(0)


def _round_to_odd(value: int) -> float:
    """`value` cut to 50 bits, the lowest set if anything was lost: rounds like `value` itself."""
    shift = max(0, abs(value).bit_length() - 50)
    top = abs(value) >> shift
    lost = abs(value) != top << shift
    return float(((top | lost) << shift) * (1 if value >= 0 else -1))
