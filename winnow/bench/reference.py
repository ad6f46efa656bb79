"""Matrix products in float64, rounded to E4M3 by definition: nothing of the model is in it."""

import numpy as np

CODES = np.arange(127)  # the finite magnitudes of E4M3, by code
VALUES = np.ldexp(np.where(CODES < 8, CODES, 8 + CODES % 8),
                  np.maximum(CODES >> 3, 1) - 10)
MIDDLES = (VALUES[:-1] + VALUES[1:]) / 2


def values(codes: np.ndarray) -> np.ndarray:
    """float64 values of finite E4M3 codes."""
    return np.where(codes & 0x80, -1.0, 1.0) * VALUES[codes & 0x7F]


def product(a: np.ndarray, b: np.ndarray, scale: int) -> np.ndarray:
    """Codes of a @ b * 2**scale: exact, rounded to binary32, then to the nearest even code.

    `a` (m, k) and `b` (k, n) are finite codes. Every product is a multiple of 2**-18 of at most
    2**18, so sums of 2**16 products are exact in float64.
    """
    if a.shape[1] > 1 << 16:
        raise ValueError(f"k = {a.shape[1]}: float64 is exact up to {1 << 16}")
    total = np.matmul(values(a), values(b)).astype(np.float32).astype(np.float64)
    size = np.ldexp(np.abs(total), scale)
    low, high = (np.searchsorted(MIDDLES, size, side=side) for side in ("left", "right"))
    code = np.where(low % 2 == 0, low, high)
    return (code | np.where(total < 0, 0x80, 0)).astype(np.uint8)
