"""Affine loop nests: the addresses, rows and columns of a stream, as arrays."""

from dataclasses import dataclass

import numpy as np

from isa.memmap import Trap
from isa.registers import ADDRESS_BITS
from sim.outcome import require


@dataclass(frozen=True)
class Items:
    """The items of a stream: word `address`, and whether it lies `inside` its window."""

    address: np.ndarray
    inside: np.ndarray


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
    address = (address + registers[f"{prefix}.base"]["address"]) & ((1 << ADDRESS_BITS) - 1)
    if not window:
        return Items(address, np.ones(address.shape, bool))
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


def gather(words: np.ndarray, items: Items) -> np.ndarray:
    """The words of `items`, zero outside the window; ADDRESS for one beyond the scratchpad."""
    check(words, items)
    return np.where(items.inside, words[np.where(items.inside, items.address, 0)], 0)


def check(words: np.ndarray, items: Items, length: int = 1) -> None:
    """ADDRESS unless `length` words from each item inside lie in the scratchpad."""
    require(not np.any(items.inside & (items.address > words.size - length)), Trap.ADDRESS)


def as_bytes(words: np.ndarray) -> np.ndarray:
    """uint64 (...,) as uint8 (..., 8), element 0 first."""
    return np.ascontiguousarray(words, "<u8")[..., np.newaxis].view(np.uint8)


def as_words(elements: np.ndarray) -> np.ndarray:
    """uint8 (..., 8 * n) or uint32 (..., 2 * n) as uint64 (..., n)."""
    return np.ascontiguousarray(elements).view("<u8")


def element_index(address: np.ndarray, base: int) -> np.ndarray:
    """The numbers of the 8 elements of each FP8 word in its tensor, (..., 8)."""
    offset = (address - base) & ((1 << ADDRESS_BITS) - 1)
    return 8 * offset[..., np.newaxis] + np.arange(8)
