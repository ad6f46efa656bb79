"""Exact sums over the outputs of a channel, kept by the drain (docs/architecture.md)."""

import numpy as np

from isa.config import Config
from isa.formats import Float
from sim import exact, floats
from sim.loops import Runs, as_bytes, everywhere
from sim.raw import decode_raw, encode_raw

SUMS = 2  # of o, and of o times a factor


class Statistics:
    """The statistics of one operation.

    Parameters
    ----------
    config : Config
    formats : of o and of its factor
    address : (block, core), where the two raw positions of each lie
    """

    def __init__(self, config: Config, formats: tuple[Float, Float], address: np.ndarray):
        self.config, self.formats = config, formats
        address = address.ravel()
        self.order = np.argsort(address, kind="stable")  # brings together what adds up
        different, self.first = np.unique(address[self.order], return_index=True)
        self.places = Runs(everywhere(different), config.words, SUMS * config.raw_words)

    def add(self, words: np.ndarray, o: np.ndarray, factor: np.ndarray) -> None:
        """Add those of elements o and their factors, uint64 (block, core, position, 1); what is
        not written is zero."""
        codes = [as_bytes(w) for w in (o, factor)]
        special = [floats.special(fmt, c) for fmt, c in zip(self.formats, codes, strict=True)]
        sums = self._together(self._sums(o, factor, special))
        shape = len(self.first), SUMS, -1
        old, poison = decode_raw(self.config, self.places.read(words).reshape(shape))
        if special[0].any() or special[1].any():
            live = [~floats.element_zero(c) for c in codes]
            new = [special[0], special[0] & live[1] | live[0] & special[1]]
            new = np.stack([p.any(axis=2) for p in new], axis=2)
            poison = poison | (self._together(new.astype(np.float64)) > 0)
        total = self._wrapped(exact.add(sums, old))
        raw = encode_raw(self.config, total, poison)
        self.places.write(words, raw.reshape(len(self.first), -1))

    def _sums(self, o, factor, special) -> np.ndarray:
        """Over positions, (block, core, SUMS, tree), in units of the lowest bit."""
        lowest = self.config.lowest_exponent
        unit = self.formats[0].lowest_exponent
        a, b = (floats.decode_words(fmt, w, exponent).astype(np.float64) for fmt, w, exponent in
                zip(self.formats, (o, factor), (unit, lowest - unit), strict=True))
        for value, s in zip((a, b), special, strict=True):
            if s.any():
                value[s] = 0
        one = 2.0 ** (unit - lowest)
        most = np.abs(a).max() * max(np.abs(b).max(), one)
        if a.shape[2] * most < 2.0**exact.FLOAT64_BITS:
            return np.stack([np.einsum("bcpt->bct", a) * one,
                             np.einsum("bcpt,bcpt->bct", a, b)], axis=2)
        a, one, b = (x.swapaxes(2, 3) for x in (a, np.full_like(b, one), b))
        sums = [exact.matmul(a[..., np.newaxis, :], f[..., np.newaxis], most)[..., 0, 0]
                for f in (one, b)]
        return np.stack([exact.as_integers(x) for x in sums], axis=2)

    def _together(self, sums: np.ndarray) -> np.ndarray:
        """(block, core, SUMS, tree) added up by address, (address, SUMS, tree)."""
        flat = sums.reshape(-1, *sums.shape[2:])
        if len(flat) == len(self.first):
            return flat[self.order]
        if flat.dtype != object and np.abs(flat).max() * len(flat) >= 2.0**exact.FLOAT64_BITS:
            flat = exact.as_integers(flat)
        return np.add.reduceat(flat[self.order], self.first)

    def _wrapped(self, total: np.ndarray) -> np.ndarray:
        """Modulo 2**accumulator_bits, signed."""
        half = 1 << (self.config.accumulator_bits - 1)
        if np.max(np.abs(total), initial=0) < half:
            return total
        return (exact.as_integers(total) + half) % (2 * half) - half
