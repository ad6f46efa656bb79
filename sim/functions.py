"""The activations that are functions, by their definitions in docs/architecture.md.

Each takes float32 and gives float32; every NaN is canonical.
"""

import numpy as np

from isa.registers import Activation
from sim import floats

FRACTION = 23  # bits of binary32
BIAS = 127
SEED_BITS = 7  # of the argument's significand, that a seed depends on
SEED_UNIT = 256  # a seed's fraction has 8 bits
POWER_STEPS = 64  # of an octave
POWER_UNIT = 4096
POWER_LIMIT = 1 << 13


def reciprocal(u: np.ndarray) -> np.ndarray:
    """A seed for 1 / u, good to 7 bits."""
    sign, exponent, fraction = _fields(u)
    i = fraction >> (FRACTION - SEED_BITS)
    f = np.rint(SEED_UNIT * (2 / (1 + (i + 0.5) / 128) - 1)).clip(max=SEED_UNIT - 1)
    result = np.ldexp(1 + f / SEED_UNIT, BIAS - 1 - exponent)
    result = np.where((exponent == 255) | (result < 2.0**-126), 0, result)
    result = np.where(exponent == 0, np.inf, result)
    return _nan_of(u, np.copysign(result, np.where(sign, -1.0, 1.0)).astype(np.float32))


def rsqrt(u: np.ndarray) -> np.ndarray:
    """A seed for 1 / sqrt(u), good to 6 bits."""
    sign, exponent, fraction = _fields(u)
    k, j = np.divmod(exponent - BIAS, 2)
    i = fraction >> (FRACTION - SEED_BITS + 1)
    root = np.sqrt((1 + j) * (1 + (i + 0.5) / 64))
    f = np.rint(SEED_UNIT * (2 / root - 1)).clip(max=SEED_UNIT - 1)
    result = np.ldexp(1 + f / SEED_UNIT, -k - 1)
    result = np.where(exponent == 255, 0, result)
    result = np.where(sign & (exponent > 0), np.nan, result)
    result = np.where(exponent == 0, np.inf, result)
    return _nan_of(u, floats.canonical(result.astype(np.float32)))


def floor(u: np.ndarray) -> np.ndarray:
    """u cut down to a multiple of 1/64, between -128 and 128."""
    return _nan_of(u, (_steps(u) / POWER_STEPS).astype(np.float32))


def exp2(u: np.ndarray) -> np.ndarray:
    """2 to the power of floor(u)."""
    n, i = np.divmod(_steps(u), POWER_STEPS)
    mantissa = 1 + np.rint(POWER_UNIT * (2.0 ** (i / POWER_STEPS) - 1)) / POWER_UNIT
    result = np.where(n < -126, 0, np.ldexp(mantissa, n))
    return _nan_of(u, result.astype(np.float32))


def _fields(u):
    bits = np.ascontiguousarray(u, np.float32).view(np.uint32).astype(np.int64)
    return bits >> 31 != 0, bits >> FRACTION & 255, bits & ((1 << FRACTION) - 1)


def _steps(u):
    steps = np.floor(np.where(np.isnan(u), 0, u).astype(np.float64) * POWER_STEPS)
    return steps.clip(-POWER_LIMIT, POWER_LIMIT - 1).astype(np.int64)


def _nan_of(u, result):
    return np.where(np.isnan(u), floats.CANONICAL_NAN, result)


BY_ACTIVATION = {
    Activation.RECIPROCAL: reciprocal,
    Activation.RSQRT: rsqrt,
    Activation.EXP2: exp2,
    Activation.FLOOR: floor,
}
