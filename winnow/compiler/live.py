"""Images whose gradient is skipped: the list of live images, and work on it (docs/training.md).

The list is a word for 8 images; what is not zero is live. From then on BP and WU work on places of
the list: fills of maps gather, gradients are stored in the order of the list, and operations of a
tile whose first place has no image are left out. In a tile that is not full, places without an
image have zeros.
"""

from dataclasses import dataclass

import numpy as np

from isa.config import WORD_BYTES
from isa.formats import E4M3 as FORMAT
from isa.instructions import Guard
from isa.memmap import Control
from isa.registers import Activation, Reduce
from winnow.compiler import forms, moves
from winnow.compiler.drains import GROUP_WORDS
from winnow.compiler.memory import Memory
from winnow.compiler.numbers import Numbers
from winnow.compiler.operations import Buffer, Guarded, Operation
from winnow.compiler.order import order
from winnow.compiler.pruning import threshold
from winnow.compiler.recipe import Recipe
from winnow.compiler.text import ProgramText
from winnow.compiler.tiles import Tile
from winnow.compiler.vector import (
    BINARY32,
    E4M3,
    E5M2,
    K0,
    ONE,
    ZERO,
    Stream,
    X,
    Y,
    vector,
)

TILES = 8  # that a batch has at least where it is worked on in tiles
ALL = -1.0  # a threshold that every squared error reaches
FIRST_BIN = 127 - 15 << 2  # of squared errors: 2**-15, 64 quarters of a power of two below 2
SCALE = 127  # makes a difference of squared errors that is not zero a code that is not zero


@dataclass
class LiveImages:
    """The live images of a step.

    Parameters
    ----------
    memory : Memory
    recipe : Recipe
    key, register : int
        Scalar registers: with the key of the step's random bits; for how many images are live.
    """

    memory: Memory
    recipe: Recipe
    key: int
    register: int

    def __post_init__(self):
        self.batch, self.eights = self.memory.batch, self.memory.eights
        self.list = Buffer("live images", self.eights)
        # a word of ones for each place that has an image, of zeros for the others
        self.present = Buffer("places with images", self.batch)

    def choose(self, classes: int, precise: Buffer, errors: Buffer, parameters: int
               ) -> list[Operation]:
        """From the errors of the scores, in binary32, to the list; the errors of the others become
        zero, and control counts the live ones. `parameters` is where resident buffers lie outside.
        """
        filled, kind = self.memory.classes, self.recipe.skipping
        squared = Buffer("squared errors of images", GROUP_WORDS * self.eights)
        largest = vector(
            "largest squared error", (classes, 1, self.eights), (X, X, ZERO), reduce=Reduce.MAX,
            source=0, x=Stream(precise, BINARY32, (GROUP_WORDS, 0, GROUP_WORDS * filled)),
            o0=Stream(squared, BINARY32, (0, 0, GROUP_WORDS)))
        x = Stream(squared, BINARY32, (GROUP_WORDS,))
        clear = vector("errors of live images", (filled, 1, self.eights), (X, ONE, ZERO),
                       activation=Activation.MASK, x=Stream(errors, E5M2, (1, 0, filled)),
                       z=Stream(self.list, E4M3, (0, 0, 1)),
                       o0=Stream(errors, E5M2, (1, 0, filled)))
        operations = [largest, self._list(kind, x), clear]
        if kind == "quantile":
            operations.append(vector("sizes of squared errors", (self.eights,), (X, ONE, ZERO),
                                     x=x, tally={"histogram": 1, "first": FIRST_BIN}))
        return [*operations, self._count(parameters)]

    def _list(self, kind: str, x: Stream) -> Operation:
        label, out = "live images", Stream(self.list, E4M3, (1,), scale=SCALE)
        if kind == "random":
            share = (1 - self.recipe.skip_level) * 2.0**FORMAT.lowest_exponent
            return vector(label, (self.eights,), (K0, ONE, ZERO), constants={"k0": share},
                          numbers=(Numbers(label, self.key), (1,)),
                          o0=Stream(self.list, E4M3, (1,), stochastic=True))
        compared = {"activation": Activation.RELU, "negate_c": True, "x": x, "o0": out}
        if kind == "quantile":
            return vector(label, (self.eights,), (X, ONE, Y),
                          y=Stream(self.memory.threshold, BINARY32), **compared)
        return vector(label, (self.eights,), (X, ONE, K0),
                      constants={"k0": below(self.recipe.skip_level)}, **compared)

    def _count(self, parameters: int) -> Operation:
        """A move over the list: a word of ones for each live image, zeros beyond."""
        before = self.memory.resident[:self.memory.resident.index(self.memory.ones)]
        operation = moves.gather(
            self.present, parameters + WORD_BYTES * sum(b.words for b in before), self.list,
            self.batch, range(self.batch), words=1, loop=moves.Runs(self.batch, 0, 1))
        operation.control = (f"csr r{self.register}, {Control.LIVE:#x}",)
        return operation

    def some(self, images: range) -> Guarded:
        """For operations on these places: where any has an image."""
        return Guarded(Guard.GE, self.register, images.start + 1, self.present)

    def cleared(self, tile: Tile, images: range) -> Operation:
        """Errors of places without an image become zero, where there are such."""
        side = tile.layout.together
        x = Stream(tile.buffer, E5M2, forms.steps(tile, side))
        operation = vector(
            f"clear {tile.buffer.name}", forms.counts(tile, side), (X, ONE, ZERO),
            activation=Activation.MASK, x=x, o0=x,
            z=Stream(self.present, E4M3, (0, 0, 1, side), images.start))
        operation.guard = Guarded(Guard.LT, self.register, images.stop, self.present)
        return operation


def below(level: float) -> float:
    """The binary32 number below the squared threshold: what is above it is live."""
    return float(np.nextafter(np.float32(level * level), np.float32(-1))) if level else ALL


def advance(text: ProgramText, memory: Memory, recipe: Recipe, result: int,
            scratch: tuple[int, int, int]) -> None:
    """After a step: the threshold of the next one, over which as many images of this step lie as
    are to live. It stays in the scratchpad; scalar register `result` and three others are lost."""
    staying = recipe.batch - int(recipe.skip_level * recipe.batch)
    threshold.limit(text, FIRST_BIN, staying, result, scratch)
    # the number below it, since what is above that is live; below zero there is NaN, all live
    operation = vector("threshold", (1,), (K0, ONE, ZERO), scalars={"k0": result},
                       o0=Stream(memory.threshold, BINARY32))
    operation.registers["vector.k0"] = {"value": (1 << 32) - 1}
    order([operation])
    text.operations([operation])
