"""The gate of a tensor operation: which positions the sums go on for, behind the base passes."""

import numpy as np

from isa.config import TREES, Config
from isa.formats import E4M3
from isa.registers import BLOCKS, POSITIONS
from sim import exact
from sim.loops import Runs, everywhere, wrapped
from sim.registers import Registers

OPEN = E4M3.one_code  # an element of a gate word; else 0


class Gating:
    """The gates of an operation.

    Parameters
    ----------
    config, registers
    counts : how often each loop runs
    both, streamed, tiled : outer loops that move both operands, the stream or nothing, the tiles
    """

    def __init__(self, config: Config, registers: Registers, counts: dict[str, int], both, streamed,
                 tiled):
        def count(loops) -> int:
            return int(np.prod([counts[loop] for loop in loops]))

        self.shape = (count(both), count(streamed), count(POSITIONS), count(tiled), TREES)
        address = np.full((), registers["tensor.threshold.base"]["address"], np.int64)
        for loop in (*both, *streamed, *tiled):
            step = registers[f"tensor.bias.{loop}"]["stride"] if loop in BLOCKS else 0
            address = address[..., np.newaxis] + step * np.arange(counts[loop])
        self.thresholds = Runs(everywhere(wrapped(address)), config.words)
        self.unit = 2.0 ** -config.lowest_exponent

    def gates(self, words: np.ndarray, sums: np.ndarray, poison: np.ndarray | None) -> np.ndarray:
        """Where the gate is open: where the sums of the base add up to more than the threshold, or
        one is poisoned. In the shape of the sums: all 8 trees alike."""
        batch, streams, _, tiles, trees = self.shape
        threshold = self.thresholds.read(words).view(np.float32)[..., 0].astype(np.float64)
        threshold = threshold.reshape(batch, streams, 1, tiles) * self.unit
        slices = sums.reshape(self.shape)
        if np.max(np.abs(slices), initial=0) * trees >= 2.0 ** exact.FLOAT64_BITS:
            slices = exact.as_integers(slices)
        with np.errstate(invalid="ignore"):  # nothing is above a NaN
            found = (slices.sum(axis=-1) > threshold).astype(bool)
        if poison is not None:
            found |= poison.reshape(self.shape).any(axis=-1)
        return np.repeat(found, trees, axis=-1).reshape(sums.shape)


def joined(gates: np.ndarray, base: np.ndarray, poison: np.ndarray | None, more: np.ndarray,
           more_poison: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Sums and poison of the base with those of what the gates let through."""
    total = exact.add(base, more)
    sums = np.where(gates, total, base if total.dtype == base.dtype else exact.as_integers(base))
    if more_poison is not None:
        more_poison = more_poison & gates
        poison = more_poison if poison is None else poison | more_poison
    return sums, poison
