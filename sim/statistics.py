"""Exact sums over the outputs of a channel, kept by the drain (docs/architecture.md)."""

import numpy as np

from isa.config import Config
from sim import exact, floats
from sim.loops import Items, check
from sim.raw import decode_raw, encode_raw

SUMS = 2  # of o, and of o times a factor


class Statistics:
    """The statistics of one operation.

    Parameters
    ----------
    config : Config
    mode : StatsMode; zero does nothing
    address : (blocks, drained groups x cores), where the two raw positions of each lie
    """

    def __init__(self, config: Config, mode: int, address: np.ndarray):
        self.config = config
        self.mode = mode
        self.address = address
        self.totals: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # sums, poison: (SUMS, tree)

    def add(self, part, formats, codes: np.ndarray, factor: np.ndarray) -> None:
        """Take elements `codes` and their factors, (block, core, position, tree), of the blocks
        `part`. What is not written is zero."""
        (o, o_special), (f, f_special) = (
            _finite(fmt, c) for fmt, c in zip(formats, (codes, factor), strict=True))
        live, f_live = (~floats.element_zero(c) for c in (codes, factor))
        lowest = self.config.lowest_exponent
        dots = [_dot(o, np.ones_like(o), lowest), _dot(o, f, lowest)]
        if any(d.dtype == object for d in dots):
            dots = [exact.as_integers(d) for d in dots]
        sums = np.stack(dots, axis=-2)
        poison = np.stack([o_special.any(axis=-2),
                           (o_special & f_live | live & f_special).any(axis=-2)], axis=-2)
        for where in np.ndindex(sums.shape[:2]):
            self._total(int(self.address[part][where]), sums[where], poison[where])

    def _total(self, address: int, sums, poison) -> None:
        before = self.totals.get(address)
        if before:
            sums, poison = exact.add(before[0], sums), before[1] | poison
        self.totals[address] = sums, poison

    def finish(self, words: np.ndarray) -> None:
        """Add the sums to what `words` holds."""
        if not self.mode:
            return
        check(words, Items(self.address, np.ones(self.address.shape, bool)),
              SUMS * self.config.raw_words)
        for address, (sums, poison) in self.totals.items():
            place = slice(address, address + SUMS * self.config.raw_words)
            old, poisoned = decode_raw(self.config, words[place].reshape(SUMS, -1))
            total = self._wrapped(exact.add(sums, old))
            words[place] = encode_raw(self.config, total, poison | poisoned).ravel()


    def _wrapped(self, total: np.ndarray) -> np.ndarray:
        """Modulo 2**accumulator_bits, signed."""
        half = 1 << (self.config.accumulator_bits - 1)
        if np.max(np.abs(total), initial=0) < half:
            return total
        return (exact.as_integers(total) + half) % (2 * half) - half


def _finite(fmt, codes):
    value = floats.values(fmt)[codes].astype(np.float64)
    special = ~np.isfinite(value)
    return np.where(special, 0, value), special


def _dot(a: np.ndarray, b: np.ndarray, lowest: int) -> np.ndarray:
    """Sums of products over positions, (block, core, tree), in units of 2**lowest."""
    a, b = a.swapaxes(-1, -2), b.swapaxes(-1, -2)
    return exact.matmul(a[..., np.newaxis, :], b[..., np.newaxis], lowest)[..., 0, 0]
