"""How to train."""

from dataclasses import dataclass

from isa.config import LANES
from winnow.errors import UserError

LOSSES = ("softmax", "mse")


@dataclass(frozen=True)
class Recipe:
    """How to train. Learning rates are by first epoch; the batch is a power of two."""

    epochs: int = 8
    batch: int = 32
    rates: tuple[tuple[int, float], ...] = ((0, 0.05), (4, 0.02), (6, 0.005))
    momentum: float = 0.9
    decay: float = 0.0
    loss: str = "softmax"
    error_scale: int = 10  # errors are stored times 2**this

    def __post_init__(self):
        if self.epochs < 1:
            raise UserError(f"epochs = {self.epochs}: must be at least 1")
        if self.batch < LANES or self.batch & (self.batch - 1):
            raise UserError(f"batch = {self.batch}: must be a power of two and at least {LANES}")
        if self.rates[0][0] != 0:
            raise UserError(f"rates begin at epoch {self.rates[0][0]}: must begin at 0")
        if self.loss not in LOSSES:
            raise UserError(f"loss = {self.loss!r}: must be one of {', '.join(LOSSES)}")

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch."""
        return [rate for first, rate in self.rates if first <= epoch][-1]


RECIPES = {
    "digits": Recipe(epochs=6, batch=16, rates=((0, 0.015), (3, 0.0075), (5, 0.002)),
                     loss="mse", error_scale=8),
}


def recipe_for(network: str) -> Recipe:
    """The recipe that is known to train a network."""
    return RECIPES.get(network, Recipe())
