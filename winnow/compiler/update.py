"""The optimiser step: momentum and weight decay, in binary32."""

from winnow.compiler.nests import GROUP_WORDS
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.vector import (
    BINARY32,
    E4M3,
    K0,
    K1,
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


def momentum_step(label: str, gradient: Buffer, first: int, moment: Buffer, master: Buffer,
                  momentum: float, rate: int, *, decay: float = 0.0,
                  weights: Buffer | None = None, factor: float = 1.0) -> list[Operation]:
    """m = momentum * m + factor * g + decay * w; w = w - rate * m, in place; perhaps an E4M3 copy.

    The gradient begins `first` words into its buffer.

    The negated learning rate comes from scalar register `rate`, so that a program can change it.
    """
    groups = master.words // GROUP_WORDS
    wide = {name: Stream(buffer, BINARY32, along(groups, GROUP_WORDS), offset)
            for name, buffer, offset in (("g", gradient, first), ("m", moment, 0),
                                         ("w", master, 0))}
    copy = {"o2": Stream(weights, E4M3, along(groups, 1))} if weights else {}
    if factor != 1:
        t, u = (X, K0, ZERO), (Z, K1, T)
        before = vector(f"{label}: gradient", row(groups), t, u, x=wide["g"], z=wide["w"],
                       o0=wide["g"], constants={"k0": factor, "k1": decay})
    elif decay:
        before = vector(f"{label}: decay", row(groups), (Z, K0, X), x=wide["g"], z=wide["w"],
                       o0=wide["g"], constants={"k0": decay})
    else:
        before = None
    moment_out = Stream(moment, BINARY32, along(groups, GROUP_WORDS), u=False)
    step = vector(label, row(groups), (Y, K0, X), (T, K1, Z), x=wide["g"], y=wide["m"],
                  z=wide["w"], o0=moment_out, o1=wide["w"], **copy,
                  constants={"k0": momentum}, scalars={"k1": rate})
    return [before, step] if before else [step]
