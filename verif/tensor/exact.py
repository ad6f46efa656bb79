"""Exact products and sums of FP8 codes in Python integers: what trees and cores must give."""

from functools import lru_cache

import numpy as np

from isa.config import MODES, Config
from isa.formats import FP8
from sim import floats

SMALLEST_BITS = {"e4m3": 40, "mixed": 56, "e5m2": 72}


def pairs(mode: str) -> list[tuple[int, int]]:
    """(stationary, stream) format numbers that a mode allows."""
    allowed = {MODES[mode], MODES[mode][::-1], (MODES[mode][0],) * 2}
    if mode == "e5m2":
        allowed = {(a, b) for a in FP8 for b in FP8}
    return sorted((a.code.value, b.code.value) for a, b in allowed)


@lru_cache
def products(s_format: int, m_format: int, lowest_exponent: int) -> list[list[int | None]]:
    """By code and code, the product in units of 2^lowest_exponent; None where it poisons."""
    a = floats.values(FP8[s_format]).astype(np.float64)[:, None]
    b = floats.values(FP8[m_format]).astype(np.float64)[None, :]
    zero = (a == 0) | (b == 0)
    with np.errstate(invalid="ignore"):
        exact = np.where(zero, 0, a * b)
    table = []
    for row in exact:
        table.append([int(np.ldexp(x, -lowest_exponent)) if np.isfinite(x) else None for x in row])
    return table


def dot(table, s_codes, m_codes) -> tuple[int, bool]:
    """(sum of the finite products, poison)."""
    terms = [table[s][m] for s, m in zip(s_codes, m_codes, strict=True)]
    return sum(term for term in terms if term is not None), None in terms


def wrapped(value: int, config: Config) -> int:
    """`value` modulo the accumulator, signed."""
    half = 1 << (config.accumulator_bits - 1)
    return (value + half) % (2 * half) - half
