"""Group Lasso on a piece of a layer's weights.

A group of norm n under the limit of its layer becomes w * max(0, 1 - rate * lambda / n): its norm
shrinks by rate * lambda, and stops at zero (proximal step of lambda * n).
"""

from isa.registers import Activation
from winnow.compiler.drains import GROUP_WORDS
from winnow.compiler.numbers import Numbers
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.pruning.masks import Piece
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
    vector,
)

RELU, RSQRT, MASK = Activation.RELU, Activation.RSQRT, Activation.MASK


def shrink(piece: Piece, limit: Buffer, rate: int, weights: Buffer, key: int,
           stochastic: bool) -> list[Operation]:
    """Masters in place, and their copies in E4M3 where the mask is not zero.

    Parameters
    ----------
    limit : sum of squares, 8 times, under which groups shrink
    rate : scalar register with the negated learning rate
    key : scalar register with the key of random bits
    stochastic : how copies are rounded
    """
    name = piece.parameters.layer.name
    counts = (piece.groups,)
    below, kept = (Buffer(f"{what} of {name}", GROUP_WORDS * piece.groups)
                   for what in ("groups under the limit", "what stays"))

    def each(buffer: Buffer) -> Stream:
        return Stream(buffer, BINARY32, (GROUP_WORDS,))

    def do(what: str, t, u=(), **options) -> Operation:
        return vector(f"{what} of {name}", counts, t, u, **options)

    scores = each(piece.scores)
    return [
        *piece.score(),
        do("groups under the limit", (Y, ONE, X), negate_c=True, activation=RELU, x=scores,
           y=Stream(limit, BINARY32), o0=each(below)),
        do("1 / norm", (X, ONE, ZERO), activation=RSQRT, x=scores, o0=each(kept)),
        do("what stays", (X, K0, ZERO), (T, K1, ONE), activation=RELU, x=each(kept),
           o0=each(kept), constants={"k1": piece.rule.shrink}, scalars={"k0": rate}),
        do("what goes", (X, ONE, K0), activation=MASK, x=each(kept), z=each(below), o0=each(kept),
           constants={"k0": -1.0}),
        do("what stays", (X, ONE, ONE), x=each(kept), o0=each(kept)),
        _scaled(piece, kept, weights, key, stochastic),
    ]


def _scaled(piece: Piece, factors: Buffer, weights: Buffer, key: int,
            stochastic: bool) -> Operation:
    fmt = piece.parameters.master_format

    def words(buffer: Buffer, fmt, size: int, **options) -> Stream:
        return Stream(buffer, fmt, (size, 0, 0, 0, 0, size * piece.rows), **options)

    masters = words(piece.master, fmt, piece.parameters.master_words, u=False,
                    stochastic=fmt == BFLOAT16)
    numbers = None
    if stochastic or fmt == BFLOAT16:
        numbers = (Numbers(f"shrunk {piece.parameters.layer.name}", key, piece.first),
                   (1, 0, 0, 0, 0, piece.rows))
    return vector(f"shrunk {piece.parameters.layer.name}",
                  (piece.rows, 1, 1, 1, 1, piece.groups), (X, K0, ZERO), activation=MASK,
                  channel=0b001, coefficients=(factors, 0, GROUP_WORDS), x=masters,
                  z=words(piece.mask, E4M3, 1), o0=masters,
                  o1=words(weights, E4M3, 1, stochastic=stochastic), numbers=numbers)
