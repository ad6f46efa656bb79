"""Raw accumulators in memory (docs/architecture.md, "Numbers")."""

import numpy as np

from isa.config import TREES, WORD_BITS, Config
from sim import exact
from sim.loops import as_bytes, as_words


def encode_raw(config: Config, sums: np.ndarray, poison: np.ndarray | None) -> np.ndarray:
    """Sums and poison (..., tree) as raw words (..., raw_words); None is no poison at all."""
    if poison is None or not poison.any():
        if sums.dtype != object:
            return _encode_small(config, sums.astype(np.int64))
        poison = False
    low = 1 << WORD_BITS
    value = np.where(poison, -(1 << (config.accumulator_bits - 1)), exact.as_integers(sums))
    words = [(value % low).astype(np.uint64)]
    for extra in range(config.raw_words - TREES):
        high = ((value >> (WORD_BITS + 8 * extra)) % 256).astype(np.uint8)
        words.append(as_words(high))
    return np.concatenate(words, axis=-1)


def _encode_small(config: Config, value: np.ndarray) -> np.ndarray:
    """The same for int64 sums without poison."""
    sign = as_words((value >> (WORD_BITS - 1)).astype(np.uint8))
    return np.concatenate([value.view(np.uint64), *[sign] * (config.raw_words - TREES)], axis=-1)


def decode_raw(config: Config, words: np.ndarray):
    """Raw words (..., raw_words) as sums and poison (..., tree)."""
    low = np.ascontiguousarray(words[..., :TREES]).view(np.int64)
    highs = [as_bytes(words[..., i:i + 1]).view(np.int8) for i in range(TREES, config.raw_words)]
    if highs and np.max(np.abs(low >> 1), initial=0) < 1 << exact.FLOAT64_BITS - 1 and all(
            np.array_equal(high, low >> (WORD_BITS - 1)) for high in highs):
        return low.astype(np.float64), np.zeros(low.shape, bool)
    value = words[..., :TREES].astype(object)
    for extra, high in enumerate(highs):
        value = value + (high.view(np.uint8).astype(object) << (WORD_BITS + 8 * extra))
    bits = max(config.accumulator_bits, WORD_BITS)
    value = np.where(value >= 1 << (bits - 1), value - (1 << bits), value)
    poison = value == -(1 << (config.accumulator_bits - 1))
    return np.where(poison, 0, value), poison.astype(bool)
