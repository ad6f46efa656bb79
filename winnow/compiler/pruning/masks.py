"""Vector operations on a piece of a layer's weights: scores and masks.

A mask lies like the weights, a word of E4M3 elements for each word; what is zero is pruned.
"""

from dataclasses import dataclass

from isa.formats import FORMATS
from isa.registers import Activation, Reduce
from winnow.compiler.drains import GROUP_WORDS
from winnow.compiler.memory import Parameters
from winnow.compiler.numbers import Numbers
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.pruning.rule import Pruning
from winnow.compiler.vector import (
    BINARY32,
    E4M3,
    K0,
    K1,
    ONE,
    ZERO,
    Stream,
    T,
    X,
    Y,
    vector,
)

QUANTUM = -36  # exponent of the unit of sums of squares: of weights of 2**-18 to 16
LEAST = 2.0**-9  # the smallest E4M3 number
SMALLEST = 127 - 9 - 1 << 2  # bin of what is half as large: zero lies in it, or under it
FAR = 2.0**20  # lifts what is to grow again above any limit
NONZERO = 127  # a scale at which whatever is above zero stays so in E4M3
RELU = Activation.RELU


@dataclass(frozen=True)
class Piece:
    """Neighbouring weights of a layer, whole groups of them, in the scratchpad.

    Parameters
    ----------
    first : word of the layer's weights that it begins with
    groups, rows : how many groups, and words of each
    """

    parameters: Parameters
    rule: Pruning
    first: int
    groups: int
    rows: int
    master: Buffer
    mask: Buffer
    scores: Buffer  # binary32, 8 times each; not used for elements

    @classmethod
    def new(cls, parameters: Parameters, rule: Pruning, first: int, groups: int) -> "Piece":
        name, rows = parameters.layer.name, rule.rows(parameters.layer)
        words = groups * rows

        def buffer(what: str, size: int) -> Buffer:
            return Buffer(f"{what} of {name}", size)
        return cls(parameters, rule, first, groups, rows,
                   buffer("masters", words * FORMATS[parameters.master_format].group_words),
                   buffer("mask", words), buffer("scores", groups * GROUP_WORDS))

    @property
    def _of_elements(self) -> bool:
        return self.rule.granularity == "element"

    @property
    def _counts(self) -> tuple[int, ...]:
        return self.rows, 1, self.groups

    def _words(self, buffer: Buffer, fmt=E4M3, **options) -> Stream:
        """A stream of all words of weights, or of what lies like them."""
        size = FORMATS[fmt].group_words
        return Stream(buffer, fmt, (size, 0, size * self.rows), **options)

    @property
    def _masters(self) -> Stream:
        fmt = self.parameters.master_format
        return self._words(self.master, fmt)

    def _scored(self, buffer: Buffer) -> Stream:
        """The same number for all words of a group."""
        return Stream(buffer, BINARY32, (0, 0, GROUP_WORDS))

    def _label(self, what: str) -> str:
        return f"{what} of {self.parameters.layer.name}"

    def score(self) -> list[Operation]:
        """Sums of squares of the groups; nothing for elements."""
        if self._of_elements:
            return []
        return [self._sum("scores", self._counts, self._masters, (X, X, ZERO), self.scores)]

    def _sum(self, what: str, counts, x: Stream, t, sums: Buffer) -> Operation:
        return vector(self._label(what), counts, t, x=x, reduce=Reduce.SUM, source=0,
                      quantum=QUANTUM, tally={"across": 1},
                      o2=Stream(sums, BINARY32, (0, 0, GROUP_WORDS)))

    def histogram(self, lowest: int, more: bool) -> Operation:
        """Sizes of all elements, or of the scores, counted from bin `lowest` on; with `more` beside
        those that were counted before."""
        tally = {"histogram": 1, "first": lowest, "more": int(more)}
        if self._of_elements:
            return vector(self._label("sizes"), self._counts, (X, ONE, ZERO), x=self._masters,
                          tally=tally)
        return vector(self._label("sizes"), (1, 1, self.groups), (X, ONE, ZERO),
                      x=self._scored(self.scores), tally=tally)

    def live(self, more: bool) -> Operation:
        """The mask's zeros, in bin 0 of a histogram; with `more` beside those counted before."""
        return vector(self._label("zeros"), self._counts, (X, ONE, ZERO),
                      x=self._words(self.mask),
                      tally={"histogram": 1, "first": SMALLEST, "more": int(more)})

    def choose(self, limit: int | None, key: int) -> list[Operation]:
        """The mask: what is above the limit in a scalar register (None: above zero), and what is to
        grow again by the random bits of the step's key."""
        if self._of_elements:
            # w * w - limit * limit
            return [vector(self._label("mask"), self._counts, (X, X, ZERO), (K0, K1, T),
                           x=self._masters, o0=self._words(self.mask, scale=NONZERO),
                           activation=RELU, constants={"k0": 0.0, "k1": -0.0},
                           scalars={"k0": limit, "k1": limit}), *self._grow_elements(key)]
        grown, sums = (Buffer(self._label(what), size * self.groups)
                       for what, size in (("drawn", 1), ("drawn sums", GROUP_WORDS)))
        return [
            # one of 8 draws a group
            vector(self._label("drawn"), (1, 1, self.groups), (K0, ONE, ZERO),
                   o0=Stream(grown, E4M3, (0, 0, 1), stochastic=True),
                   constants={"k0": LEAST * (1 - (1 - self.rule.regrow)**(1 / 8))},
                   numbers=(self._numbers(key, self.first // self.rows), (0, 0, 1))),
            self._sum("drawn", (1, 1, self.groups), Stream(grown, E4M3, (0, 0, 1)),
                      (X, ONE, ZERO), sums),
            vector(self._label("mask"), self._counts, (X, ONE, K0), (Y, K1, T),
                   x=self._scored(self.scores), y=self._scored(sums),
                   o0=self._words(self.mask, scale=NONZERO), activation=RELU,
                   constants={"k0": -0.0, "k1": FAR},
                   scalars={} if limit is None else {"k0": limit}),
        ]

    def _grow_elements(self, key: int) -> list[Operation]:
        if not self.rule.regrow:
            return []
        mask = self._words(self.mask)
        return [vector(self._label("grown mask"), self._counts, (X, ONE, K0), x=mask,
                       o0=self._words(self.mask, stochastic=True),
                       constants={"k0": LEAST * self.rule.regrow},
                       numbers=(self._numbers(key, self.first), (1, 0, self.rows)))]

    def _numbers(self, key: int, first: int) -> Numbers:
        return Numbers(self._label("mask"), key, first)
