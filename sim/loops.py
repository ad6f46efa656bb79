"""Affine loop nests: the addresses, rows and columns of a stream, as arrays."""

from dataclasses import dataclass

import numpy as np

from isa.memmap import Trap
from isa.registers import ADDRESS_BITS, INDEX_BITS
from sim.outcome import require


@dataclass(frozen=True)
class Items:
    """The items of a stream: word `address`, and whether it lies `inside` its window."""

    address: np.ndarray
    inside: np.ndarray

    def reshape(self, *shape: int) -> "Items":
        return Items(self.address.reshape(shape), self.inside.reshape(shape))

    def transpose(self, *axes: int) -> "Items":
        return Items(self.address.transpose(axes), self.inside.transpose(axes))

    def __getitem__(self, part) -> "Items":
        return Items(self.address[part], self.inside[part])


def everywhere(address: np.ndarray) -> Items:
    """Items of a stream without a window."""
    return Items(address, np.ones(address.shape, bool))


def nest(registers, prefix: str, counts: dict[str, int], axes: tuple[str, ...],
         window: bool = True) -> Items:
    """All items of the stream whose registers are named `prefix`.

    Parameters
    ----------
    counts : how often each loop of the stream runs
    axes : the loops in the order of the result's axes, outermost first
    window : whether the stream has a window; without it everything is inside
    """
    address = _affine(registers, prefix, "stride", counts, axes)
    address = wrapped(address + registers[f"{prefix}.base"]["address"])
    if not window:
        return everywhere(address)
    bounds = registers[f"{prefix}.window"]
    row = bounds["y"] + _affine(registers, prefix, "dy", counts, axes)
    column = bounds["x"] + _affine(registers, prefix, "dx", counts, axes)
    inside = (row >= 0) & (row < bounds["height"]) & (column >= 0) & (column < bounds["width"])
    return Items(address, inside)


def _affine(registers, prefix, field, counts, axes):
    total = np.zeros((), np.int64)
    for loop in axes:
        step = registers[f"{prefix}.{loop}"][field]
        total = total[..., np.newaxis] + step * np.arange(counts[loop])
    return total


def wrapped(address: np.ndarray) -> np.ndarray:
    """Addresses as they are held."""
    return address & ((1 << ADDRESS_BITS) - 1)


class Runs:
    """`length` consecutive words at each item of a stream that is inside its window.

    Where they lie is found once, for all times that an operation runs.

    Parameters
    ----------
    items : Items
    size : words of the scratchpad; ADDRESS where a run goes beyond
    """

    def __init__(self, items: Items, size: int, length: int = 1):
        require(not np.any(items.inside & (items.address > size - length)), Trap.ADDRESS)
        self.shape = (*items.address.shape, length)
        self.inside = None if items.inside.all() else items.inside
        address = items.address if self.inside is None else items.address[items.inside]
        self.index = address[..., np.newaxis] + np.arange(length)

    def read(self, words: np.ndarray) -> np.ndarray:
        """(items, length), zero outside the window."""
        if self.inside is None:
            return words.take(self.index)
        rows = np.zeros(self.shape, np.uint64)
        rows[self.inside] = words.take(self.index)
        return rows

    def write(self, words: np.ndarray, rows: np.ndarray) -> None:
        """`rows` (items, length), where they are inside the window."""
        words[self.index] = rows if self.inside is None else rows[self.inside]


def as_bytes(words: np.ndarray) -> np.ndarray:
    """uint64 (..., n) as uint8 (..., 8 * n), element 0 first."""
    return np.ascontiguousarray(words, "<u8").view(np.uint8)


def as_words(elements: np.ndarray) -> np.ndarray:
    """uint8 (..., 8 * n), 16 bits (..., 4 * n) or 32 bits (..., 2 * n) as uint64 (..., n)."""
    return np.ascontiguousarray(elements).view("<u8")


def element_numbers(registers, prefix: str, counts: dict[str, int], axes: tuple[str, ...]):
    """The numbers of the 8 elements of each word in its tensor, (..., 8); other axes as `nest`."""
    word = registers[f"{prefix}.base"]["word"] + _affine(registers, prefix, "stride", counts, axes)
    return (8 * word[..., np.newaxis] + np.arange(8)) & ((1 << INDEX_BITS) - 1)
