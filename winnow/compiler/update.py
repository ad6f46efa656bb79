"""The optimiser step: momentum and weight decay."""

from dataclasses import dataclass

from isa.formats import FORMATS, FormatCode
from isa.registers import Activation
from winnow.compiler.drains import GROUP_WORDS
from winnow.compiler.moves import Runs
from winnow.compiler.numbers import Numbers
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.vector import (
    BFLOAT16,
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
    Z,
    along,
    row,
    vector,
)

MASK = Activation.MASK


@dataclass(frozen=True)
class Learned:
    """Numbers that learn, and where they are kept: master weights and moments in their formats;
    perhaps a copy of the weights in E4M3, made before they are rounded to their own format, or of
    those that a mask leaves, made afterwards.

    bfloat16 is rounded stochastically, and with `stochastic` the copy as well, by `numbers`: those
    of the first group of 8, where the others follow in their tensor without a gap, or else in
    `runs`: groups of a run, and loops over runs.
    """

    master: Buffer
    moment: Buffer
    weights: Buffer | None = None
    mask: Buffer | None = None
    master_format: FormatCode = BINARY32
    moment_format: FormatCode = BINARY32
    stochastic: bool = False
    numbers: Numbers | None = None
    runs: tuple[int, list[Runs]] | None = None
    masked: bool = False  # the gradient of what a mask leaves out is zero already

    @property
    def _runs(self) -> tuple[int, list[Runs]]:
        return self.runs or (self.master.words // FORMATS[self.master_format].group_words, [])

    @property
    def counts(self) -> tuple[int, ...]:
        """Loops over all groups."""
        run, loops = self._runs
        return *row(run), *(runs.count for runs in loops)

    def steps(self, words: int) -> tuple[int, ...]:
        """Steps of these loops in a buffer with so many words a group."""
        run, loops = self._runs
        return *along(run, words), *(words * runs.buffer for runs in loops)

    @property
    def numbered(self) -> tuple[Numbers, tuple[int, ...]] | None:
        """Numbers and their steps, if anything is rounded stochastically."""
        run, loops = self._runs
        steps = *along(run, 1), *(runs.external for runs in loops)
        return (self.numbers, steps) if self.rounds else None

    @property
    def rounds(self) -> bool:
        """Whether anything is rounded stochastically."""
        return self.stochastic or BFLOAT16 in (self.master_format, self.moment_format)

    def stream(self, buffer: Buffer, fmt: FormatCode, first: int = 0, **options) -> Stream:
        return Stream(buffer, fmt, self.steps(FORMATS[fmt].group_words), first,
                      stochastic=fmt == BFLOAT16, **options)


def momentum_step(label: str, gradient: Buffer, first: int, learned: Learned, momentum: float,
                  rate: int, *, decay: float = 0.0, factor: float = 1.0,
                  factor_register: int | None = None) -> list[Operation]:
    """m = momentum * m + factor * g + decay * w; w = w - rate * m, in place.

    The gradient, in binary32, begins `first` words into its buffer, and is overwritten where it
    has a factor or weights decay. The negated learning rate comes from scalar register `rate`, so
    that a program can change it, and the bits of the factor from `factor_register` if there is one.
    Where there is a mask, the gradient of what it leaves out is zero.
    """
    counts = learned.counts
    g = Stream(gradient, BINARY32, learned.steps(GROUP_WORDS), first)
    m = learned.stream(learned.moment, learned.moment_format, u=False)
    w = learned.stream(learned.master, learned.master_format)
    copy = Stream(learned.weights, E4M3, learned.steps(1), stochastic=learned.stochastic) \
        if learned.weights else None
    mask = Stream(learned.mask, E4M3, learned.steps(1)) if learned.mask else None
    operations = []
    if mask and not learned.masked:
        operations.append(vector(f"{label}: mask", counts, (X, ONE, ZERO), activation=MASK, x=g,
                                 z=mask, o0=g))
    if factor_register is not None:
        operations.append(vector(f"{label}: gradient", counts, (X, K0, ZERO), (Z, K1, T),
                                 x=g, z=w, o0=g, constants={"k1": decay},
                                 scalars={"k0": factor_register}))
    elif factor != 1:
        operations.append(vector(f"{label}: gradient", counts, (X, K0, ZERO), (Z, K1, T),
                                 x=g, z=w, o0=g, constants={"k0": factor, "k1": decay}))
    elif decay:
        operations.append(vector(f"{label}: decay", counts, (Z, K0, X), x=g, z=w, o0=g,
                                 constants={"k0": decay}))
    operations.append(vector(
        label, counts, (Y, K0, X), (T, K1, Z), x=g, y=m, z=w, o0=m, o1=w,
        **({"o2": copy} if copy and not mask else {}),
        constants={"k0": momentum}, scalars={"k1": rate},
        numbers=learned.numbered))
    if copy and mask:
        operations.append(vector(f"{label}: copy", counts, (X, ONE, ZERO), activation=MASK, x=w,
                                 z=mask, o0=copy, numbers=learned.numbered))
    return operations
