"""FP8, bfloat16 and binary32 in numpy: decode, encode, random bits of stochastic rounding.

Source: docs/architecture.md, "Numbers"; the formats themselves are `isa.formats`.
"""

from functools import lru_cache

import numpy as np

from isa.formats import BFLOAT16, BINARY32, FORMATS, Float, FormatCode

CANONICAL_NAN = np.uint32(BINARY32.nan_code).view(np.float32)
RANDOM_BITS = 16
SMALL_SCALE = 100  # up to here the subnormal numbers of binary32 become zero


@lru_cache
def values(fmt: Float) -> np.ndarray:
    """The 256 values of an FP8 format by code, float32; E4M3's two NaNs and E5M2's as NaN."""
    codes = np.arange(256)
    sign = np.where(codes & 0x80, -1.0, 1.0)
    exponent = (codes & 0x7F) >> fmt.fraction_bits
    fraction = codes & ((1 << fmt.fraction_bits) - 1)
    subnormal = exponent == 0
    significand = fraction + np.where(subnormal, 0, 1 << fmt.fraction_bits)
    value = sign * np.ldexp(significand, np.maximum(exponent, 1) - 1 + fmt.lowest_exponent)
    magnitude = codes & 0x7F
    if fmt.infinity:
        value = np.where(magnitude == fmt.infinity_code, sign * np.inf, value)
        value = np.where(magnitude > fmt.infinity_code, np.nan, value)
    else:
        value = np.where(magnitude == fmt.nan_code, np.nan, value)
    return value.astype(np.float32)


def decode(fmt: Float, codes: np.ndarray) -> np.ndarray:
    """The float32 values of FP8 `codes` (uint8, any shape); NaN is canonical."""
    return canonical(values(fmt))[codes]


def decode_words(fmt: Float, words: np.ndarray, exponent: int = 0) -> np.ndarray:
    """The same of words, uint64 (..., n) to (..., 8 * n), in units of 2**`exponent`."""
    pairs = np.ascontiguousarray(words, "<u8").view("<u2")
    return _pairs(fmt, exponent).take(pairs, axis=0).reshape(*words.shape[:-1], -1)


@lru_cache
def _pairs(fmt: Float, exponent: int) -> np.ndarray:
    """The values of two codes, (code of both, 2): one look-up for two elements."""
    value = np.ldexp(canonical(values(fmt)), -exponent)
    return np.stack([np.tile(value, 256), np.repeat(value, 256)], axis=1)


def special(fmt: Float, codes: np.ndarray) -> np.ndarray:
    """True where an FP8 code is infinity or NaN."""
    return codes & 0x7F > fmt.max_code


def canonical(value: np.ndarray) -> np.ndarray:
    """`value` (float32) with every NaN as 0x7FC00000."""
    nan = np.isnan(value)
    return np.where(nan, CANONICAL_NAN, value) if nan.any() else value


def relu(value: np.ndarray) -> np.ndarray:
    """`value` (float32) where it is above zero or NaN, else +0."""
    return np.maximum(value, np.float32(0)) + np.float32(0)


def masked(value: np.ndarray, live: np.ndarray) -> np.ndarray:
    """`value` (float32) where `live`, else +0."""
    return (value.view(np.uint32) * live).view(np.float32)


def encode(fmt: Float, value: np.ndarray, scale: int = 0, random: np.ndarray | None = None):
    """Convert float32 `value` times 2**`scale` to FP8.

    Parameters
    ----------
    value : float32 array
    scale : exponent of a power of two
    random : integers of 16 bits, shaped like `value`, or None
        Random bits: rounding is stochastic with them, to nearest even without.

    Returns
    -------
    codes : uint8 array
    saturated : bool array, True where a finite value overflowed
    """
    value = np.asarray(value, np.float32)
    if random is not None:
        return _round(fmt, value, scale, random)
    bits = value.view(np.uint32)
    if scale > SMALL_SCALE and np.any((bits & 0x7F800000 == 0) & (bits & 0x7FFFFF != 0)):
        return _round(fmt, value, scale, None)
    # Rounding to odd into the top 16 bits loses nothing that rounding to 3 bits could see.
    half = (bits >> 16) | (bits & 0xFFFF != 0)
    both = _rounded_halves(fmt, scale).take(half)
    return both.astype(np.uint8), both > 0xFF


@lru_cache(maxsize=64)
def _rounded_halves(fmt: Float, scale: int) -> np.ndarray:
    """`_round` of every binary32 number whose low 16 bits are zero, by its high 16 bits: codes,
    and 0x100 where saturated."""
    tops = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    codes, saturated = _round(fmt, tops, scale, None)
    return codes | saturated.astype(np.uint16) << 8


def _round(fmt: Float, value: np.ndarray, scale: int, random: np.ndarray | None):
    """`encode` by definition."""
    bits = value.view(np.uint32)
    finite = np.isfinite(value)
    magnitude = np.ldexp(np.where(finite, np.abs(value), 0).astype(np.float64), scale)
    exponent = np.frexp(magnitude)[1] - 1  # floor(log2); of no matter for zero
    step = np.maximum(exponent - fmt.fraction_bits, fmt.lowest_exponent)
    steps = np.ldexp(magnitude, -step)
    if random is None:
        whole = np.rint(steps)
    else:
        whole = np.floor(steps)
        part = np.floor(np.ldexp(steps - whole, RANDOM_BITS))
        whole += part + random >= 1 << RANDOM_BITS
    # A step up in exponent and a carry out of the fraction are the same in the code.
    code = ((np.where(magnitude > 0, step, fmt.lowest_exponent) - fmt.lowest_exponent)
            << fmt.fraction_bits) + whole.astype(np.int64)
    saturated = code > fmt.max_code
    code = np.minimum(code, fmt.max_code)
    special = fmt.infinity_code if fmt.infinity else fmt.nan_code
    code = np.where(np.isinf(value), special, code) | ((bits >> 31) << 7)
    if not fmt.infinity:
        code = np.where(np.isinf(value), fmt.nan_code, code)
    code = np.where(np.isnan(value), fmt.nan_code, code)
    return code.astype(np.uint8), saturated


def from_bfloat16(codes: np.ndarray) -> np.ndarray:
    """The float32 values of bfloat16 `codes` (uint16, any shape)."""
    return (codes.astype(np.uint32) << 16).view(np.float32)


def to_bfloat16(value: np.ndarray, random: np.ndarray | None = None) -> np.ndarray:
    """Codes (uint16) of float32 `value`: rounded to nearest even, or by 16 `random` bits that are
    added below the last kept bit. Overflow is infinity."""
    bits = np.asarray(value, np.float32).view(np.uint32).astype(np.uint64)
    below = 0x7FFF + (bits >> 16 & 1) if random is None else random.astype(np.uint64)
    return np.where(np.isnan(value), BFLOAT16.nan_code, bits + below >> 16).astype(np.uint16)


def random16(key: int, index: np.ndarray) -> np.ndarray:
    """The 16 random bits of elements `index` (0..2**32-1) under a 32-bit `key`."""
    index = np.asarray(index, np.uint32)
    x, y = index >> 16, index & 0xFFFF
    for i in range(6):
        k = ((key >> 16 if i % 2 else key) ^ (0x9E37 * (i + 1))) & 0xFFFF
        x = (((x >> 7 | x << 9) + y) & 0xFFFF) ^ k
        y = ((y << 2 | y >> 14) & 0xFFFF) ^ x
    return x


def element_zero(codes: np.ndarray) -> np.ndarray:
    """True where an FP8 code is zero of either sign."""
    return codes & 0x7F == 0


def of_code(code: int) -> Float:
    """The format that a register's format field names."""
    return FORMATS[FormatCode(code)]
