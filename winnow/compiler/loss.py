"""Losses: from scores to their errors. Layouts as in scores.py.

Errors of a loss that the host computes come as binary32 numbers in the place of the scores, and
leave scaled and rounded like those of any other.
"""

from dataclasses import replace
from math import log

from isa.registers import Activation, Reduce
from winnow.compiler.drains import GROUP_WORDS
from winnow.compiler.memory import Memory
from winnow.compiler.numbers import Numbers
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.step import Rules
from winnow.compiler.vector import (
    BINARY32,
    E4M3,
    E5M2,
    K0,
    ONE,
    ZERO,
    Stream,
    T,
    X,
    Y,
    Z,
    row,
    vector,
)

SUM_QUANTUM = -30  # the unit of the sums of exponentials


class Loss:
    """Errors of `classes` scores for each image of a batch.

    Parameters
    ----------
    kind : ``softmax`` (cross-entropy), ``mse``, or one that the host computes
    memory : Memory, for the groups of 8 images and the classes filled up
    scores : binary32
    targets : E4M3, one-hot; None where the host computes the loss
    errors : E5M2, times 2**scale; the words of classes that fill up are zero
    rules : Rules, for the scale of errors and how they are rounded
    precise : the same errors in binary32, not scaled, if they are wanted
    """

    def __init__(self, kind: str, classes: int, memory: Memory, scores: Buffer,
                 targets: Buffer | None, errors: Buffer, rules: Rules,
                 precise: Buffer | None = None):
        self.kind, self.classes = kind, classes
        self.filled, self.eights = memory.classes, memory.eights
        self.scores, self.targets, self.errors, self.rules = scores, targets, errors, rules
        self.precise = precise

    def operations(self) -> list[Operation]:
        clear = vector("clear errors", row(self.errors.words), (ZERO, ZERO, ZERO),
                       o0=Stream(self.errors, E4M3, (1, row(self.errors.words)[0])))
        if self.targets is None:
            return [clear, self._error("errors from the host", (X, ONE, ZERO),
                                       x=self._of(self.scores, BINARY32))]
        return [clear, *(self._squared() if self.kind == "mse" else self._softmax())]

    def _of(self, buffer: Buffer, fmt) -> Stream:
        """All classes of all groups of images."""
        size = GROUP_WORDS if fmt is BINARY32 else 1
        return Stream(buffer, fmt, (size, 0, size * self.filled))

    def _error(self, what: str, t, u=(), **options) -> Operation:
        """What writes the errors."""
        recipe, out = self.rules.recipe, self._of(self.errors, E5M2)
        numbers = (Numbers(what, self.rules.key), out.steps) if recipe.stochastic else None
        if recipe.dynamic:
            options["scalars"] = {"o0.mode": self.rules.scale}
        else:
            out = replace(out, scale=recipe.error_scale)
        if self.precise:
            options["o1"] = self._of(self.precise, BINARY32)
        return self._do(what, t, u, numbers=numbers,
                        o0=replace(out, stochastic=recipe.stochastic), **options)

    def _image(self, buffer: Buffer) -> Stream:
        """One number an image, the same for all classes."""
        return Stream(buffer, BINARY32, (0, 0, GROUP_WORDS))

    def _do(self, what: str, t, u=(), **streams) -> Operation:
        return vector(what, (self.classes, 1, self.eights), t, u, **streams)

    def _squared(self) -> list[Operation]:
        return [self._error("squared error", (X, ONE, Y), negate_c=True,
                            x=self._of(self.scores, BINARY32), y=self._of(self.targets, E4M3))]

    def _softmax(self) -> list[Operation]:
        """errors = exp(x - max) / sum - target, by powers of two: 2**u = 2**floor(u) * (1 + r ln 2)
        with r = u - floor(u) under 1/64."""
        size = GROUP_WORDS * self.filled * self.eights
        power, low, most, total, inverse = (
            Buffer(f"softmax {name}", words) for name, words in (
                ("powers", size), ("parts", size), ("largest", GROUP_WORDS * self.eights),
                ("sums", GROUP_WORDS * self.eights), ("inverse", GROUP_WORDS * self.eights)))
        wide = BINARY32
        newton = [vector("softmax 1 / sum", (self.eights,), (X, Y, K0), (T, Y, ZERO),
                         negate_c=i == 0, constants={"k0": 2.0},
                         x=Stream(total, wide, (GROUP_WORDS,)),
                         y=Stream(inverse, wide, (GROUP_WORDS,)),
                         o0=Stream(inverse, wide, (GROUP_WORDS,))) for i in range(2)]
        return [
            self._do("softmax largest", (X, ONE, ZERO), reduce=Reduce.MAX, source=0,
                     x=self._of(self.scores, wide), o0=self._image(most)),
            self._do("softmax log2", (X, ONE, Y), (T, K0, ZERO), negate_c=True,
                     constants={"k0": 1 / log(2)}, x=self._of(self.scores, wide),
                     y=self._image(most), o0=self._of(power, wide)),
            self._do("softmax floor", (X, ONE, ZERO), activation=Activation.FLOOR,
                     x=self._of(power, wide), o0=self._of(low, wide)),
            self._do("softmax rest", (X, ONE, Y), (T, K0, ONE), negate_c=True,
                     constants={"k0": log(2)}, x=self._of(power, wide), y=self._of(low, wide),
                     o0=self._of(power, wide)),
            self._do("softmax power", (X, ONE, ZERO), activation=Activation.EXP2,
                     x=self._of(low, wide), o0=self._of(low, wide)),
            self._do("softmax exponential", (X, Y, ZERO), reduce=Reduce.SUM,
                     quantum=SUM_QUANTUM, x=self._of(power, wide), y=self._of(low, wide),
                     o0=self._of(power, wide), o2=self._image(total)),
            vector("softmax 1 / sum", (self.eights,), (X, ONE, ZERO),
                   activation=Activation.RECIPROCAL, x=Stream(total, wide, (GROUP_WORDS,)),
                   o0=Stream(inverse, wide, (GROUP_WORDS,))),
            *newton,
            # two steps of Newton turn the sign of the inverse once
            self._error("softmax error", (X, Y, ZERO), (T, K0, Z), negate_f=True,
                        constants={"k0": -1.0}, x=self._of(power, wide), y=self._image(inverse),
                        z=self._of(self.targets, E4M3)),
        ]
