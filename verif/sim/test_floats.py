"""FP8 conversions against ml_dtypes and against the definition in exact fractions."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from isa.formats import BFLOAT16, E4M3, E5M2, FP8
from sim import floats

REFERENCE = {E4M3: ml_dtypes.float8_e4m3fn, E5M2: ml_dtypes.float8_e5m2}
formats = pytest.mark.parametrize("fmt", FP8, ids=lambda f: f.code.name)


def samples(seed: int, count: int = 200_000) -> np.ndarray:
    """Random bit patterns, values around the FP8 ranges, and all ties between neighbours."""
    generator = np.random.default_rng(seed)
    anything = generator.integers(0, 1 << 32, count, dtype=np.uint32).view(np.float32)
    near = generator.standard_normal(count) * np.exp2(generator.integers(-20, 20, count))
    ties = []
    for fmt in FP8:
        value = floats.values(fmt)[:fmt.max_code + 1].astype(np.float64)
        middle = (value[1:] + value[:-1]) / 2
        ties += [middle, -middle, np.nextafter(middle.astype(np.float32), np.float32(np.inf)),
                 np.nextafter(middle.astype(np.float32), np.float32(0))]
    with np.errstate(invalid="ignore"):  # signalling NaNs among the bit patterns
        return np.concatenate([anything, near.astype(np.float32), *ties]).astype(np.float32)


@formats
def test_values_are_those_of_ml_dtypes(fmt):
    ours = floats.decode(fmt, np.arange(256, dtype=np.uint8))
    theirs = np.arange(256, dtype=np.uint8).view(REFERENCE[fmt]).astype(np.float32)
    assert np.array_equal(ours, theirs, equal_nan=True)


@formats
def test_nearest_is_that_of_ml_dtypes(fmt):
    value = samples(1)
    codes, saturated = floats.encode(fmt, value)
    theirs = value.astype(REFERENCE[fmt]).view(np.uint8)
    inside = ~saturated & np.isfinite(value)
    assert np.array_equal(codes[inside], theirs[inside])
    finite = value[saturated]
    assert np.array_equal(np.abs(floats.decode(fmt, codes[saturated])),
                          np.full(finite.shape, fmt.max_value, np.float32))
    beyond = (fmt.max_value + 2.0 ** np.floor(np.log2(fmt.max_value))
              / 2 ** (fmt.fraction_bits + 1))
    assert np.all(np.abs(finite) >= beyond)


@formats
def test_special_values(fmt):
    value = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], np.float32)
    codes, saturated = floats.encode(fmt, value)
    infinity = fmt.infinity_code if fmt.infinity else fmt.nan_code
    minus = infinity | 0x80 if fmt.infinity else fmt.nan_code
    assert codes.tolist() == [fmt.nan_code, infinity, minus, 0x00, 0x80]
    assert not saturated.any()


@formats
@pytest.mark.parametrize("scale", [-128, -20, -3, 0, 5, 60, 127])
def test_scale_is_exact(fmt, scale):
    """The table for halves against the definition, and the definition against fractions."""
    value = samples(2, 3_000)
    value = np.concatenate([value, np.ldexp(value, -130)])  # subnormals too
    codes, _ = floats.encode(fmt, value, scale)
    magnitudes = [Fraction(float(v)) for v in floats.values(fmt)[:fmt.max_code + 1]]
    finite = np.flatnonzero(np.isfinite(value))
    for i in finite[:: max(1, finite.size // 2_000)]:
        exact = abs(Fraction(float(value[i]))) * Fraction(2) ** scale
        code = int(codes[i]) & 0x7F
        near = [c for c in (code - 1, code + 1) if 0 <= c <= fmt.max_code]
        error = abs(magnitudes[code] - exact)
        for other in near:
            distance = abs(magnitudes[other] - exact)
            assert error < distance or (error == distance and code % 2 == 0)


@formats
def test_stochastic_rounds_up_as_often_as_the_fraction_says(fmt):
    low, high = floats.values(fmt)[20:22].astype(np.float64)
    value = np.float32(low + (high - low) * 5 / 16)
    random = np.arange(1 << 16)
    codes, _ = floats.encode(fmt, np.full(random.shape, value), random=random)
    assert set(codes) == {20, 21}
    assert np.count_nonzero(codes == 21) == (1 << 16) * 5 // 16
    exact, _ = floats.encode(fmt, np.full(random.shape, np.float32(low)), random=random)
    assert set(exact) == {20}


def test_random_bits_are_even_and_depend_on_key_and_index():
    index = np.arange(1 << 16)
    drawn = floats.random16(0x12345678, index)
    assert drawn.min() >= 0 and drawn.max() < 1 << 16
    for bit in range(16):
        assert abs((drawn >> bit & 1).mean() - 0.5) < 0.01
    other = floats.random16(0x12345679, index)
    assert abs(np.corrcoef(drawn, other)[0, 1]) < 0.02
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.02


def test_bfloat16_is_that_of_ml_dtypes():
    value = np.concatenate([samples(3), np.array([0, -0.0, np.inf, -np.inf, 3.4e38], np.float32)])
    codes = floats.to_bfloat16(value)
    theirs = value.astype(ml_dtypes.bfloat16)
    number = ~np.isnan(value)
    assert np.array_equal(codes[number], theirs.view(np.uint16)[number])
    assert set(codes[~number]) <= {BFLOAT16.nan_code}
    assert codes[-1] == BFLOAT16.infinity_code
    assert np.array_equal(floats.from_bfloat16(codes), codes.view(ml_dtypes.bfloat16)
                          .astype(np.float32), equal_nan=True)


def test_stochastic_bfloat16_rounds_up_as_often_as_the_fraction_says():
    random = np.arange(1 << 16)
    for bits in (0x3F800000, 0x3F800001, 0xBF80ABCD, 0x0000FFFF, 0x7F7F8000):
        value = np.full(random.shape, bits, np.uint32).view(np.float32)
        codes = floats.to_bfloat16(value, random)
        assert np.count_nonzero(codes == (bits >> 16) + 1) == bits & 0xFFFF
        assert np.count_nonzero(codes == bits >> 16) == (1 << 16) - (bits & 0xFFFF)
    special = np.array([np.nan, np.inf, -np.inf], np.float32)
    codes = floats.to_bfloat16(special, np.full(3, 0xFFFF))
    assert codes.tolist() == [BFLOAT16.nan_code, 0x7F80, 0xFF80]
