"""Slots: everything is done once, and no choice of lanes takes fewer cycles."""

import numpy as np
import pytest

from isa.config import LANES
from sim.slots import spread
from verif.seeds import generator


def least(counts: np.ndarray, reach: int) -> int:
    """Hall: any lanes together have as much room as the lanes that may take their elements."""
    need = 0
    for some in range(1, 1 << LANES):
        lanes = [lane for lane in range(LANES) if some >> lane & 1]
        takers = {(lane + age) % LANES for lane in lanes for age in range(reach + 1)}
        need = max(need, -(-sum(counts[lane] for lane in lanes) // len(takers)))
    return need


@pytest.mark.parametrize("reach", [0, 1, 2, 3])
@pytest.mark.parametrize("slot", [2, 4, 8])
def test_fewest_cycles(slot, reach):
    rng = generator(f"slots {slot} {reach}")
    density = rng.random((60, 1))
    counts = rng.binomial(slot, density, size=(60, LANES))
    cycles, taken = spread(counts, reach)
    assert cycles.tolist() == [least(c, reach) for c in counts]
    assert np.array_equal(taken.sum(axis=2), counts)
    by_lane = sum(np.roll(taken[:, :, age], age, axis=1) for age in range(reach + 1))
    assert np.all(by_lane <= cycles[:, np.newaxis])


def test_empty_slot_takes_nothing():
    cycles, taken = spread(np.zeros((1, LANES), int), 2)
    assert cycles.tolist() == [0] and not taken.any()
