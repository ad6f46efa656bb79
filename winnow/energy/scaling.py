"""Energy from one process to another, by published factors.

A. Stillmaker and B. Baas, "Scaling equations for the accurate prediction of CMOS device performance
from 180 nm to 7 nm", Integration 58 (2017): the energy of a gate is in proportion to
a2 * V^2 + a1 * V + a0, with a2, a1, a0 of the process, fitted to simulations of predictive models
of transistors. Those of 65 nm are in the paper's public erratum; the others are as two public
implementations have them.
"""

from dataclasses import dataclass

from winnow.errors import UserError

FACTORS = {  # by nm
    130: (7.171, -6.709, 2.904),
    90: (4.762, -4.781, 2.092),
    65: (3.755, -4.398, 1.975),
    45: (1.103, -0.362, 0.2767),
    32: (0.9559, -0.7823, 0.471),
    20: (0.373, -0.1582, 0.04104),
    16: (0.2958, -0.1241, 0.03024),
    14: (0.2363, -0.09675, 0.02239),
    10: (0.2068, -0.09311, 0.02375),
    7: (0.1776, -0.09097, 0.02447),
}
NODE, VOLTS = 28, 0.9  # what is scaled to


@dataclass(frozen=True)
class Scale:
    """What energies are multiplied with: `low` and `high` are those to the processes around."""

    factor: float
    low: float
    high: float


def gate(node: int, volts: float) -> float:
    """The energy of a gate, relative; `UserError` where there are no factors of `node`."""
    if node not in FACTORS:
        raise UserError(f"--node {node}: there are factors of "
                        f"{', '.join(map(str, sorted(FACTORS)))} nm")
    a2, a1, a0 = FACTORS[node]
    return a2 * volts**2 + a1 * volts + a0


def to_28(node: int, volts: float) -> Scale:
    """From `node` nm at `volts` to 28 nm at 0.9 V, which lies between the factors of 20 and 32."""
    above, below = (min(n for n in FACTORS if n >= NODE), max(n for n in FACTORS if n <= NODE))
    high, low = (gate(n, VOLTS) / gate(node, volts) for n in (above, below))
    share = (NODE - below) / (above - below)
    return Scale(low + share * (high - low), low, high)
