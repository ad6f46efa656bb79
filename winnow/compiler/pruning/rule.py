"""Which weights are pruned, and when."""

from dataclasses import dataclass
from math import inf, sqrt

from isa.config import LANES, TREES
from winnow.errors import UserError
from winnow.graph import Layer

GRANULARITIES = ("element", "vector", "tile", "group")


@dataclass(frozen=True)
class Pruning:
    """Weights of all layers but the first and the last are pruned by their size, layer by layer.

    Parameters
    ----------
    granularity : what is pruned together. ``element``; ``vector``, 8 neighbours in a word of the
        weights; ``tile``, 8 x 8 channels of one tap; ``group``, 8 x 8 channels with all taps.
        Several weights are as large as their sum of squares.
    density : share of a layer that stays, by first epoch
    refresh : steps from one choice of what stays to the next
    regrow : share of what is pruned that lives until the next refresh all the same, drawn at random
    shrink : lambda of group Lasso; 0 prunes at once. Otherwise what is under the limit (of which
        a share of `density` is above) loses rate * lambda of its norm in each step, and is pruned
        when nothing is left of it.
    """

    granularity: str = "element"
    density: tuple[tuple[int, float], ...] = ((0, 0.5),)
    refresh: int = 20
    regrow: float = 0.02
    shrink: float = 0.0

    def __post_init__(self):
        if self.granularity not in GRANULARITIES:
            raise UserError(f"granularity = {self.granularity!r}: must be one of "
                            f"{', '.join(GRANULARITIES)}")
        if not self.density or self.density[0][0] != 0:
            raise UserError("density must begin at epoch 0")
        for epoch, density in self.density:
            if not 0 < density <= 1:
                raise UserError(f"density = {density} from epoch {epoch}: must be above 0, at "
                                f"most 1")
        if self.refresh < 1:
            raise UserError(f"refresh = {self.refresh}: must be at least 1 step")
        if not 0 <= self.regrow < 1:
            raise UserError(f"regrow = {self.regrow}: must be from 0 to 1, and under 1")
        if not 0 <= self.shrink < inf:
            raise UserError(f"shrink = {self.shrink}: must be a number from 0 on")
        if self.shrink and self.granularity == "element":
            raise UserError("shrink: granularity = 'element' has no groups to shrink")

    def density_in(self, epoch: int) -> float:
        return [density for first, density in self.density if first <= epoch][-1]

    def rows(self, layer: Layer) -> int:
        """Words of weights that are pruned together; 1 for elements."""
        return {"element": 1, "vector": 1, "tile": TREES,
                "group": TREES * layer.kernel**2}[self.granularity]

    @property
    def of_tiles(self) -> bool:
        """Whether whole tiles of weights are pruned."""
        return self.granularity in ("tile", "group")

    def usual(self, layer: Layer) -> float:
        """How large the counted numbers are when a run begins (winnow/layout.py)."""
        variance = 2 / (layer.input.channels * layer.kernel**2)
        if self.granularity == "element":
            return sqrt(variance)
        return LANES * self.rows(layer) * variance

    def counted(self, layer: Layer, words: int) -> int:
        """How many numbers a histogram of a layer with so many words of weights has to tell
        apart: the weights themselves, or each score 8 times."""
        if self.granularity == "element":
            return layer.weights
        return LANES * words // self.rows(layer)
