"""How to train."""

from dataclasses import dataclass, field, replace
from math import inf

from isa.config import LANES
from isa.registers import Skip
from winnow import losses
from winnow.compiler.gating.rule import Gating
from winnow.compiler.pruning.rule import Pruning
from winnow.errors import UserError

LOSSES = ("softmax", "mse", *losses.LOSSES)
STORES = ("binary32", "bfloat16")
ROUNDINGS = ("nearest", "stochastic")
SCALINGS = ("static", "dynamic")
STREAMS = ("auto", "maps", "weights")
PHASES = ("FP", "BP", "WU")
# What may be left out, by phase. `outputs` are errors that a ReLU killed and gradients of pruned
# weights.
KINDS = {kind.name.lower(): dict.fromkeys(PHASES, kind) for kind in Skip} | {
    "errors": {"BP": Skip.OUTPUTS}, "gradients": {"WU": Skip.OUTPUTS}}
SKIPS = {"all": Skip(sum(Skip)), "none": Skip.NONE}
SCALES = range(33)  # exponents that errors may be scaled by
SKIPPINGS = ("threshold", "quantile", "random")
LEAST_LEVEL, MOST_LEVEL = 2.0**-16, 2.0**16  # of a threshold
MOST_SKIPPED = 512  # images of a batch, which guards compare with in 10 bits
REFRESH = Pruning().refresh
LEAST_STEPS, MOST_STEPS = 1, 1 << 20  # without saturation, that a scale is raised after


@dataclass(frozen=True)
class Recipe:
    """How to train. Learning rates are by first epoch; the batch is a power of two.

    Parameters
    ----------
    loss : ``softmax`` (cross-entropy) or ``mse`` of labels, on the device; or one of
        `winnow.losses`, without labels, by the host, of two views of each of half as many images
    masters, moments : how master weights, and their momentum, are stored; bfloat16 is always
        rounded stochastically. Biases, gamma and beta stay binary32.
    rounding : of errors and of the weights' copies in E4M3. Stored outputs are rounded to nearest,
        so that evaluation computes what training does.
    scaling, error_scale : errors are stored times 2**error_scale. With dynamic scaling that is
        where it begins: a step in which errors saturated lowers it by one, and every `clean_steps`
        steps without raise it by one, within `SCALES`.
    skip : what operations leave out, where the chip has it and they may: all, none, or some of
        tiles, elements, outputs with commas between. It changes cycles and counters, no result.
    stream : in FP and BP of layers whose elements or vectors are pruned: maps and errors, weights,
        or what the device finds faster whenever it chooses masks. It changes cycles, no result.
    prune : which weights are pruned, if any
    gate : how layers are gated, if they are
    skip_images : which images take no part in BP and WU: ``none``; ``threshold:E``, those whose
        largest error of a score is under E; ``quantile:S``, about a share S, those with the
        smallest errors, by the sizes of those of the step before; ``random:S``, a share S by
        chance.
    """

    epochs: int = 8
    batch: int = 32
    rates: tuple[tuple[int, float], ...] = ((0, 0.05), (4, 0.02), (6, 0.005))
    momentum: float = 0.9
    decay: float = 0.0
    loss: str = "softmax"
    error_scale: int = 10
    masters: str = "binary32"
    moments: str = "binary32"
    rounding: str = "nearest"
    scaling: str = "static"
    clean_steps: int = 200
    skip: str = field(default="all", repr=False)  # no result is of that
    stream: str = field(default="auto", repr=False)  # likewise
    skip_images: str = "none"
    prune: Pruning | None = None
    gate: Gating | None = field(default=None, repr=False)

    def __post_init__(self):
        if self.epochs < 1:
            raise UserError(f"epochs = {self.epochs}: must be at least 1")
        if self.batch < LANES or self.batch & (self.batch - 1):
            raise UserError(f"batch = {self.batch}: must be a power of two and at least {LANES}")
        if self.rates[0][0] != 0:
            raise UserError(f"rates begin at epoch {self.rates[0][0]}: must begin at 0")
        if not 0 <= self.momentum < 1:
            raise UserError(f"momentum = {self.momentum}: must be from 0 to 1, and under 1")
        if not 0 <= self.decay < inf:
            raise UserError(f"decay = {self.decay}: must be a number from 0 on")
        if self.error_scale not in SCALES:
            raise UserError(f"error_scale = {self.error_scale}: must be from {SCALES[0]} to "
                            f"{SCALES[-1]}")
        if not LEAST_STEPS <= self.clean_steps <= MOST_STEPS:
            raise UserError(f"clean_steps = {self.clean_steps}: must be from {LEAST_STEPS} to "
                            f"{MOST_STEPS}")
        for name, allowed in (("loss", LOSSES), ("masters", STORES), ("moments", STORES),
                              ("rounding", ROUNDINGS), ("scaling", SCALINGS),
                              ("stream", STREAMS)):
            if getattr(self, name) not in allowed:
                raise UserError(f"{name} = {getattr(self, name)!r}: must be one of "
                                f"{', '.join(allowed)}")
        names = [] if self.skip in SKIPS else self.skip.split(",")
        if wrong := [name for name in names if name not in KINDS]:
            raise UserError(f"skip = {self.skip!r}: must be {', '.join(SKIPS)}, or some of "
                            f"{', '.join(KINDS)} with commas between, not {wrong[0]!r}")
        self._check_skipping()

    @property
    def refresh(self) -> int | None:
        """Steps from one choice of masks, and of thresholds of gates, to the next."""
        return self.prune.refresh if self.prune else REFRESH if self.gate else None

    @property
    def by_host(self) -> bool:
        """Whether the host computes the loss."""
        return self.loss in losses.LOSSES

    @property
    def skipping(self) -> str | None:
        """What decides which images are skipped."""
        return None if self.skip_images == "none" else self.skip_images.partition(":")[0]

    @property
    def skip_level(self) -> float:
        """The threshold, or the share of the images."""
        return float(self.skip_images.partition(":")[2])

    def _check_skipping(self) -> None:
        if self.skip_images == "none":
            return
        if self.by_host:
            raise UserError(f"skip_images = {self.skip_images!r}: must be none with loss "
                            f"{self.loss}: images are skipped by the errors of their labels")
        try:
            kind, level = self.skipping, self.skip_level
        except ValueError:
            kind, level = None, 0.0
        if kind not in SKIPPINGS:
            raise UserError(f"skip_images = {self.skip_images!r}: must be none, or one of "
                            f"{', '.join(SKIPPINGS)} with a colon and a number")
        if kind == "threshold" and level and not LEAST_LEVEL <= level <= MOST_LEVEL:
            raise UserError(f"skip_images = {self.skip_images!r}: a threshold must be 0, or from "
                            f"2**-16 to 2**16")
        if kind != "threshold" and not 0 <= level <= 1:
            raise UserError(f"skip_images = {self.skip_images!r}: a share must be from 0 to 1")
        if self.batch > MOST_SKIPPED:
            raise UserError(f"batch = {self.batch}: must be at most {MOST_SKIPPED} where images "
                            f"are skipped")

    @property
    def dynamic(self) -> bool:
        """Whether the scale of errors changes."""
        return self.scaling == "dynamic"

    def skips(self, phase: str) -> Skip:
        """`skip` as the mode of an operation of FP, BP or WU has it."""
        if self.skip in SKIPS:
            return SKIPS[self.skip]
        return Skip(sum({KINDS[name].get(phase, Skip.NONE) for name in self.skip.split(",")}))

    @property
    def stochastic(self) -> bool:
        """Whether FP8 tensors are rounded stochastically."""
        return self.rounding == "stochastic"

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch."""
        return [rate for first, rate in self.rates if first <= epoch][-1]


_DIGITS = Recipe(epochs=6, batch=16, rates=((0, 0.015), (3, 0.0075), (5, 0.002)),
                 loss="mse", error_scale=8)
RECIPES = {"digits": _DIGITS, "digits64": _DIGITS}
# By a loss without labels, for any network.
BY_HOST = {
    "contrastive": Recipe(epochs=10, batch=64, rates=((0, 0.02), (6, 0.01), (8, 0.003)),
                          loss="contrastive", error_scale=8),
    "simsiam": Recipe(epochs=10, batch=64, rates=((0, 0.1), (6, 0.05), (8, 0.015)),
                      loss="simsiam", error_scale=8),
}


def recipe_for(network: str, loss: str | None = None) -> Recipe:
    """The recipe that is known to train a network, perhaps with some loss."""
    recipe = BY_HOST.get(loss) or RECIPES.get(network, Recipe())
    return recipe if loss is None else replace(recipe, loss=loss)
