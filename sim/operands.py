"""The operands of a tensor operation as matrices, and their exact product."""

from copy import copy

import numpy as np

from isa.config import LANES
from isa.formats import Float
from sim import exact, floats
from sim.loops import Items, Runs, as_bytes

LINES_AT_ONCE = 128  # of a product: what a cache holds


class Operand:
    """Matrices (batch, n, k) of one operand; products are summed over k.

    Each word of the scratchpad is decoded once, however often it stands in the matrices.

    Parameters
    ----------
    fmt : format of the elements
    exponent : values are in units of 2**exponent
    items : words (batch, n, k / 8), or if they lie `across`, (batch, k, n / 8)
    size : words of the scratchpad
    """

    def __init__(self, fmt: Float, exponent: int, items: Items, across: bool, size: int):
        self.fmt, self.exponent, self.across = fmt, exponent, across
        used = np.zeros(size, bool)
        used[Runs(items, size).index] = True
        self.address = np.flatnonzero(used)
        place = np.cumsum(used) - 1
        zero = self.address.size  # the row that stands for what is outside
        self.place = np.where(items.inside, place.take(items.address, mode="clip"), zero)

    def of_passes(self, passes: slice) -> "Operand":
        """Matrices of some passes: each is 8 of k."""
        part = copy(self)
        part.place = self.place[:, :, passes] if not self.across else self.place.reshape(
            len(self.place), -1, LANES, self.place.shape[2])[:, passes].reshape(
            len(self.place), -1, self.place.shape[2])
        return part

    def read(self, words: np.ndarray) -> np.ndarray:
        """uint64 (rows, 1): the words that are used, and a zero."""
        rows = np.zeros((self.address.size + 1, 1), np.uint64)
        rows[:-1, 0] = words.take(self.address)
        return rows

    def matrices(self, rows: np.ndarray, part: slice = slice(None)) -> np.ndarray:
        """float64 (batch, n, k) of elements (rows, 8), those of `part` of the lines."""
        place = self.place[:, :, part] if self.across else self.place[:, part]
        whole = rows.take(place, axis=0).reshape(*place.shape[:2], -1).astype(np.float64)
        return whole.swapaxes(1, 2) if self.across else whole

    @property
    def lines(self) -> int:
        """n."""
        return self.place.shape[2] * LANES if self.across else self.place.shape[1]

    @property
    def parts(self) -> list[slice]:
        """All lines, some at a time, for `matrices`."""
        unit = LANES if self.across else 1
        at_once = LINES_AT_ONCE // unit
        return [slice(first, first + at_once) for first in range(0, self.lines // unit, at_once)]


def product(a: Operand, b: Operand, words: np.ndarray):
    """Sums (batch, n of a, n of b) in the product of their units, and poison or None."""
    if a.lines < b.lines:
        return tuple(None if x is None else x.swapaxes(1, 2) for x in product(b, a, words))
    rows = [x.read(words) for x in (a, b)]
    codes = [as_bytes(r) for r in rows]
    values = [floats.decode_words(x.fmt, r, x.exponent) for x, r in zip((a, b), rows, strict=True)]
    special = [floats.special(x.fmt, c) for x, c in zip((a, b), codes, strict=True)]
    poisoned = special[0].any() or special[1].any()
    if poisoned:
        for value, s in zip(values, special, strict=True):
            value[s] = 0
    largest = np.prod([np.abs(value).max() for value in values], dtype=np.float64)
    right = b.matrices(values[1]).swapaxes(1, 2)
    sums = [exact.matmul(a.matrices(values[0], part), right, largest) for part in a.parts]
    if not poisoned:
        return np.concatenate(sums, axis=1), None
    live = [~floats.element_zero(c) for c in codes]
    poison = sum(np.matmul(a.matrices(x), b.matrices(y).swapaxes(1, 2))
                 for x, y in ((special[0], live[1]), (live[0], special[1])))
    return np.concatenate(sums, axis=1), poison > 0
