"""Raw accumulators in memory (docs/architecture.md, "Numbers")."""

import numpy as np

from isa.config import TREES, WORD_BITS, Config
from sim import exact
from sim.loops import as_bytes, as_words


def encode_raw(config: Config, sums: np.ndarray, poison: np.ndarray) -> np.ndarray:
    """Sums and poison (..., tree) as raw words (..., raw_words)."""
    low = 1 << WORD_BITS
    value = np.where(poison, -(1 << (config.accumulator_bits - 1)), exact.as_integers(sums))
    words = [(value % low).astype(np.uint64)]
    for extra in range(config.raw_words - TREES):
        high = ((value >> (WORD_BITS + 8 * extra)) % 256).astype(np.uint8)
        words.append(as_words(high))
    return np.concatenate(words, axis=-1)


def decode_raw(config: Config, words: np.ndarray):
    """Raw words (..., raw_words) as sums and poison (..., tree)."""
    value = words[..., :TREES].astype(object)
    for extra in range(config.raw_words - TREES):
        high = as_bytes(words[..., TREES + extra]).astype(object)
        value = value + (high << (WORD_BITS + 8 * extra))
    bits = max(config.accumulator_bits, WORD_BITS)
    value = np.where(value >= 1 << (bits - 1), value - (1 << bits), value)
    poison = value == -(1 << (config.accumulator_bits - 1))
    return np.where(poison, 0, value), poison.astype(bool)
