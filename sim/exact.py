"""Exact sums of products, and their one rounding.

Sums are arrays of integers in units of 2**exponent: float64 where that is exact (every magnitude
under 2**53), Python integers in an object array otherwise. Both take +, and compare alike.
"""

import numpy as np

FLOAT64_BITS = 53


def matmul(a: np.ndarray, b: np.ndarray, largest: float) -> np.ndarray:
    """Sums of products over the last axis of `a` and the last but one of `b`, exactly.

    Parameters
    ----------
    a, b : float64 arrays of integers, each of 4 significant bits, (..., m, k) and (..., k, n)
    largest : magnitude that no product exceeds

    Returns
    -------
    (..., m, n) sums
    """
    if a.shape[-1] * largest < 2.0**FLOAT64_BITS:
        return np.matmul(a, b)
    outer = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    total = np.zeros((*outer, a.shape[-2], b.shape[-1]), object)
    for part_a in _parts(a):
        for part_b in _parts(b):
            # 4 significant bits in each factor, a range of 2**8 in each part.
            total = total + _integers(np.matmul(part_a, part_b))
    return total


def _parts(x: np.ndarray):
    """`x` split by magnitude into parts that each span less than 2**9."""
    exponent = np.frexp(x)[1]
    for part in np.unique(exponent[x != 0] // 8):
        yield np.where(exponent // 8 == part, x, 0)


def _integers(value: np.ndarray) -> np.ndarray:
    """float64 integers as Python integers."""
    fraction, exponent = np.frexp(value)
    whole = np.ldexp(fraction, FLOAT64_BITS).astype(np.int64).astype(object)
    shift = exponent - FLOAT64_BITS
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
    return (sums * 2.0**exponent).astype(np.float32) + np.float32(0)


def _round_to_odd(value: int) -> float:
    """`value` cut to 50 bits, the lowest set if anything was lost: rounds like `value` itself."""
    shift = max(0, abs(value).bit_length() - 50)
    top = abs(value) >> shift
    lost = abs(value) != top << shift
    return float(((top | lost) << shift) * (1 if value >= 0 else -1))
