"""How the non-zero elements of a slot share the lanes (docs/architecture.md, "Lanes of a slot")."""

import numpy as np

from isa.config import LANES


def spread(counts: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Cycles of slots, and who does their elements.

    Parameters
    ----------
    counts : int (slots, lanes)
        Non-zero elements of each lane.
    reach : int
        Lanes after its own that may take an element.

    Returns
    -------
    cycles : int (slots,)
    taken : int (slots, lanes, reach + 1)
        How many of a lane's elements are done by itself, by the lane after it, and so on.
    """
    counts = np.asarray(counts)
    cycles = np.zeros(len(counts), int)
    taken = np.zeros((*counts.shape, reach + 1), int)
    left = counts.any(axis=1)
    for n in range(1, int(counts.max(initial=0)) + 1):
        first, _, _ = _sweep(counts, reach, n, np.zeros((len(counts), reach), int))
        last, shares, works = _sweep(counts, reach, n, first)
        found = left & works & np.all(last == first, axis=1)
        cycles[found], taken[found] = n, shares[found]
        left &= ~found
    return cycles, taken


def _sweep(counts, reach, n, over):
    """One round of the lanes with room for `n` each; `over` is what the lanes before lane 0 have
    left over, the nearest first. Gives what the last lanes have left over, who took what, and
    whether everything that had to found room."""
    shares = np.zeros((*counts.shape, reach + 1), int)
    works = np.ones(len(counts), bool)
    for lane in range(LANES):
        waiting = np.concatenate([counts[:, lane, np.newaxis], over], axis=1)
        room = np.full(len(counts), n)
        for age in range(reach, -1, -1):
            done = np.minimum(waiting[:, age], room)
            shares[:, (lane - age) % LANES, age] = done
            waiting[:, age] -= done
            room -= done
        works &= waiting[:, reach] == 0
        over = waiting[:, :reach]
    return over, shares, works
