"""Which operand of a layer streams in FP and BP: maps and errors, or weights; and whether WU leaves
out zeros of the map or pruned weights.

Fixed by the recipe, or chosen on the device whenever masks are: a bit for each layer and phase, in
one scalar register. Both ways are in the program then, under guards of which one holds. What is
zero or dead is only worth something where the recipe's `skip` has it.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from isa.config import LANES, Config
from isa.memmap import Control
from isa.registers import Skip
from sim.slots import spread
from winnow.compiler.memory import Memory, Parameters
from winnow.compiler.recipe import Recipe
from winnow.compiler.text import ProgramText
from winnow.compiler.weight_streams import StreamedWeights
from winnow.graph import Layer

MOST = 23  # choices: a state keeps them in the fraction of a binary32 number
PHASES = "FP", "BP"
DENSITY = 0.5  # of a map that streams, about: it is not measured
OUTPUTS = 0.8  # of its dense cycles that BP takes with a stride of 1, which leaves out dead outputs
FEW = 0.4  # of the weights: fewer that are live save WU more than zeros of the map
STEPS = 64  # of a density
SLOTS = 4096  # drawn to see how lanes share


@dataclass(frozen=True)
class Choice:
    """Of a layer and phase: its bit, and how many zero weights there are from which on they
    stream."""

    number: int
    least: int


class Choices:
    """What streams, for each layer and phase.

    Parameters
    ----------
    memory : Memory
    recipe : Recipe
    """

    def __init__(self, memory: Memory, recipe: Recipe):
        self.memory, self.recipe, self.config = memory, recipe, memory.config

    def ways(self, layer: int, phase: str) -> tuple[bool, ...]:
        """Whether weights stream, or are what WU leaves out: no, yes, or both, as the device
        chooses. For WU the layer is the first of those that read a map, and stands for all."""
        if (layer, phase) in self.chosen:
            return False, True
        if phase == "WU":
            rule, skips = self.recipe.prune, self.recipe.skips(phase)
            few = bool(rule) and (Skip.ELEMENTS not in skips or rule.density[-1][1] <= FEW)
            return (few and Skip.OUTPUTS in skips,)
        return (self.recipe.stream == "weights" and self._may(layer),)

    @cached_property
    def chosen(self) -> dict[tuple[int, str], Choice]:
        """What the device chooses."""
        skips = self.recipe.skips("WU")
        if self.recipe.stream != "auto" or Skip.ELEMENTS not in skips:
            return {}
        phases = PHASES[:1] if self.recipe.skipping else PHASES
        limits = {(i, phase): limit for phase in phases for i in range(len(self.memory.parameters))
                  if self._may(i) and (limit := self._limit(i, phase))}
        if Skip.OUTPUTS in skips and not (self.recipe.skipping or self._is_known()):
            limits |= {(i, "WU"): own.elements - int(FEW * own.layer.weights)
                       for i, own in enumerate(self.memory.parameters) if self._is_first(i)}
        # In the order of a step (FP, the others from the last layer) the walk through bits goes on.
        keys = sorted(limits, key=lambda k: (k[1] != "FP", k[0] if k[1] == "FP" else -k[0], k[1]))
        keys = keys[:MOST]
        return {key: Choice(MOST - 1 - n, limits[key]) for n, key in enumerate(keys)}

    def choose(self, text: ProgramText, parameters: Parameters, register: int,
               scratch: tuple[int, int]) -> None:
        """After the masks of a layer were counted, its bits in a scalar register, where they are
        zero; two others are lost."""
        zeros, least = scratch
        mine = [choice for (i, _), choice in self.chosen.items()
                if self.memory.parameters[i] is parameters]
        if mine:
            text.line(f"csr r{zeros}, {Control.HISTOGRAM:#x}", "weights that are pruned")
        for choice in mine:
            text.line(f"li r{least}, {choice.least}")
            text.line(f"skip lt, r{zeros}, r{least}, +1")
            text.line(f"addi r{register}, r{register}, {1 << choice.number}")

    def bits(self, memory: np.ndarray) -> int:
        """What `choose` has left of all layers when the masks in external memory were chosen."""
        return sum(1 << choice.number for (i, _), choice in self.chosen.items()
                   if zeros(memory, self.memory.parameters[i]) >= choice.least)

    def _may(self, i: int) -> bool:
        """Whether weights of a layer can stream and be zero: convolutions without a bias, whose
        sums are so long that statistics, which take a pass of their own, are less."""
        own, rule = self.memory.parameters[i], self.recipe.prune
        layer = own.layer
        if own.mask is None or own.groups or rule.of_tiles or not self.memory.layouts.turns(layer):
            return False
        blocks = min(layer.input.blocks, layer.output.blocks)
        return not layer.bias and blocks * layer.kernel**2 >= 2 * self.config.cores

    def _is_known(self) -> bool:
        """Whether `FEW` weights are live in all epochs, or in none, without asking."""
        rule = self.recipe.prune
        return not rule or (not rule.shrink and len({d <= FEW for _, d in rule.density}) == 1)

    def _is_first(self, i: int) -> bool:
        """Whether a layer is the first reader of a map whose weight gradients are turned, and the
        weights of all of them have masks."""
        turning = [r for r in self.memory.graph.inputs[i].readers
                   if self.memory.layouts.turns(self.memory.graph.layers[r])]
        return turning[:1] == [i] and all(
            self.memory.parameters[r].mask is not None for r in turning)

    def _limit(self, i: int, phase: str) -> int:
        """How many weights have to be zero for the stream of weights to be the faster one; 0 if it
        never is."""
        own = self.memory.parameters[i]
        maps = _maps(self.config, own.layer, phase, self.recipe.skips(phase))
        for step in range(STEPS, 0, -1):
            density = step / STEPS
            if _weights(self.config, own.layer, phase, density) < maps:
                return max(1, own.elements - int(density * own.layer.weights))
        return 0


def zeros(memory: np.ndarray, own: Parameters) -> int:
    """How many weights of a layer its mask in external memory prunes."""
    return own.elements - np.count_nonzero(memory[own.mask:own.mask + own.elements])


def _maps(config: Config, layer: Layer, phase: str, skips: Skip) -> float:
    """Cycles of a pixel of the outputs where the map, or the errors, stream; zero elements are left
    out of `skips`, dead outputs perhaps."""
    dense = layer.tiles * LANES * LANES / config.macs_per_cycle
    if phase == "BP":
        return OUTPUTS * dense if layer.stride == 1 and Skip.OUTPUTS in skips else dense
    words = min(config.slot, layer.input.blocks)
    return dense * _slot(config.reach, words, DENSITY) / words


def _weights(config: Config, layer: Layer, phase: str, density: float) -> float:
    """Those where weights stream, statistics included. Tiles are read a slot a cycle."""
    weights = StreamedWeights.new(config, layer, phase == "BP")
    positions = min(config.block, LANES * weights.blocks)
    tile = LANES * weights.slot // config.slot
    a_pass = max(positions * _slot(config.reach, weights.slot, density), tile)
    passes = layer.tiles // weights.blocks // weights.slot * -(-LANES * weights.blocks // positions)
    drained = weights.blocks * (layer.stride**2 if weights.back else 1)
    return max(a_pass * passes / LANES / config.cores, drained) + drained


@cache
def _slot(reach: int, words: int, density: float) -> float:
    """Cycles of a slot of so many words, on average over slots drawn at random."""
    live = np.random.default_rng(words).random((SLOTS, words, LANES)) < density
    return float(spread(live.sum(axis=1), reach)[0].mean())
