"""Which lane does which element of a slot, from the counts that sim/slots.py gives."""

import numpy as np

from isa.config import LANES
from sim.slots import spread


def shares(live: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Cycles of slots, and what their lanes do.

    Parameters
    ----------
    live : bool (slots, words, lanes)

    Returns
    -------
    cycles : int (slots,)
    share : bool (slots, age, words, lanes)
        The lane does the element of the lane `age` before it.
    """
    cycles, taken = spread(live.sum(axis=1), reach)
    rank = np.cumsum(live, axis=1) - live  # of each element in its lane
    until = np.cumsum(taken, axis=2)
    by_age = []
    for age in range(reach + 1):
        before = until[:, :, age] - taken[:, :, age]
        mine = live & (rank >= before[:, np.newaxis]) & (rank < until[:, np.newaxis, :, age])
        by_age.append(np.roll(mine, age, axis=2))
    return cycles, np.stack(by_age, axis=1)


def planes(bits: np.ndarray) -> np.ndarray:
    """Integers of a bit a lane, from bool (..., lanes)."""
    return (bits << np.arange(LANES)).sum(axis=-1)


def draw_live(draw: np.random.Generator, slots: int, words: int) -> np.ndarray:
    """Slots of every density, some of them crowded in few lanes."""
    density = draw.random((slots, 1, 1))
    crowd = draw.random((slots, 1, LANES)) < draw.random((slots, 1, 1)) * 2
    return draw.random((slots, words, LANES)) < np.where(crowd, density, density / 8)
