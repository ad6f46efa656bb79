"""Vector operations, written short."""

from dataclasses import dataclass, replace
from math import ceil

from isa.expressions import float_bits
from isa.formats import FormatCode
from isa.registers import (
    COUNT_BITS,
    REDUCED,
    VECTOR_LOOPS,
    Activation,
    Operand,
    Reduce,
    Unit,
)
from winnow.compiler.numbers import Numbers
from winnow.compiler.operations import At, Buffer, Operation
from winnow.compiler.tiles import divisor

E4M3, E5M2, BINARY32, BFLOAT16 = (
    FormatCode.E4M3, FormatCode.E5M2, FormatCode.BINARY32, FormatCode.BFLOAT16)
MOST = (1 << COUNT_BITS) - 1
ZERO, ONE, X, Y, Z = Operand.ZERO, Operand.ONE, Operand.X, Operand.Y, Operand.Z
K0, K1, K2, T = Operand.K0, Operand.K1, Operand.K2, Operand.T


@dataclass(frozen=True)
class Stream:
    """An input or output: where it begins, its format, and the words of a step of each loop.

    For an output: whether it takes u (else t), how it is scaled, whether it is rounded
    stochastically, and whether 8 words each are turned.
    """

    buffer: Buffer
    format: FormatCode
    steps: tuple[int, ...] = ()
    offset: int = 0
    u: bool = True
    scale: int = 0
    stochastic: bool = False
    turn: bool = False


def vector(label: str, counts: tuple[int, ...], t: tuple, u: tuple = (), *,
           activation: Activation = Activation.NONE, negate_c: bool = False,
           negate_f: bool = False, reduce: Reduce = Reduce.NONE, source: int = 1,
           quantum: int = 0, gate: int | None = None, channel: int = 0,
           coefficients: tuple[Buffer, int, int] | None = None, constants: dict | None = None,
           scalars: dict | None = None, numbers: tuple[Numbers, tuple[int, ...]] | None = None,
           backwards: bool = False, tally: dict[str, int] | None = None,
           **streams: Stream) -> Operation:
    """t = a * b + c, u = d * e + f over loops n0, n1, ... with these counts.

    Without `u` it is t. `coefficients` are a buffer, where in it, and its words a round of n5;
    K0 to K2 by name (lower case) as numbers; `scalars` are scalar registers that are added to
    registers by name. `numbers` and their steps are for outputs that are rounded stochastically.
    `tally` are fields of that register; a histogram is not split.
    Every output has words of its own for each round of each loop (with `reduce`, of n2 and those
    around it). With `backwards` loops run from their last round to the first, but for those of
    reductions and coefficients. Beside streams that go forwards, slower than a word a cycle, and
    win their banks, that is faster: what goes their way stays behind them, what comes towards them
    passes.
    """
    counts = counts + (1,) * (len(VECTOR_LOOPS) - len(counts))
    if backwards:
        turned = range(len(REDUCED) if reduce else 0, len(counts) - bool(channel))
        streams = {name: _turned(stream, counts, turned) for name, stream in streams.items()}
    u = u or (T, ONE, ZERO)
    first = len(REDUCED) if reduce or any(s.turn for s in streams.values()) else 0
    counted = bool(tally and tally.get("histogram"))
    op = dict(zip("abcdef", (*t, *u), strict=True)) | {
        "negate_c": int(negate_c), "negate_f": int(negate_f), "activation": activation,
        "reduce": reduce, "source": source if reduce else 0, "quantum": quantum,
        "gate": 0 if gate is None else gate + 1, "channel": channel}
    registers = {
        "vector.counts": dict(zip(VECTOR_LOOPS[:4], counts[:4], strict=True)),
        "vector.outer": dict(zip(VECTOR_LOOPS[4:], counts[4:], strict=True)) | {
            "split": 0 if counted else _split(counts, first)},
        "vector.op": op,
        "vector.inputs": {name: s.format for name, s in streams.items() if name in "xyz"},
    }
    if tally:
        registers["vector.tally"] = tally
    for name, stream in streams.items():
        registers |= _stream(name, stream)
    reads = [s.buffer for name, s in streams.items() if name in "xyz"]
    writes = [s.buffer for name, s in streams.items() if name not in "xyz"]
    if coefficients:
        registers["vector.k.base"] = {"address": At(*coefficients[:2])}
        registers["vector.k.n5"] = {"stride": coefficients[2]}
        reads.append(coefficients[0])
    for name, value in (constants or {}).items():
        registers[f"vector.{name}"] = {"value": float_bits(value)}
    scalars = {f"vector.{name}": register for name, register in (scalars or {}).items()}
    if numbers:
        where, steps = numbers
        registers["vector.key"] = {"key": where.key}
        scalars["vector.key"] = where.register
        registers["vector.number.base"] = {"word": where.word()}
        registers |= _steps("number", steps)
    return Operation(label, Unit.VECTOR, registers, reads, writes, scalars=scalars)


def _turned(stream: Stream, counts: tuple[int, ...], loops: range) -> Stream:
    """The stream with those loops run from their last round to the first."""
    steps = list(stream.steps)
    offset = stream.offset
    for i in set(loops) & set(range(len(steps))):
        offset += (counts[i] - 1) * steps[i]
        steps[i] = -steps[i]
    return replace(stream, steps=tuple(steps), offset=offset)


def _split(counts: tuple[int, ...], first: int) -> int:
    """The loop whose rounds datapaths share, from n`first` on: the outermost of those that leave
    the least to the busiest of two, then of four. No two rounds of it write the same words."""
    loops = range(first, len(counts))
    best = min(loops, key=lambda i: (*(ceil(counts[i] / n) / counts[i] for n in (2, 4)), -i))
    return best + 1


def _stream(name: str, stream: Stream) -> dict:
    registers = {f"vector.{name}.base": {"address": At(stream.buffer, stream.offset)}}
    registers |= _steps(name, stream.steps)
    if name not in "xyz":
        registers[f"vector.{name}.mode"] = {
            "enable": 1, "source": int(stream.u), "format": stream.format, "scale": stream.scale,
            **({"stochastic": 1} if stream.stochastic else {}),
            **({"turn": 1} if stream.turn else {})}
    return registers


def _steps(name: str, steps: tuple[int, ...]) -> dict:
    """Stride registers of a stream."""
    registers = {}
    steps = steps + (0,) * (len(VECTOR_LOOPS) - len(steps))
    for low in range(0, len(VECTOR_LOOPS), 2):
        pair = VECTOR_LOOPS[low:low + 2]
        values = {n: s for n, s in zip(pair, steps[low:low + 2], strict=True) if s}
        if values:
            registers[f"vector.{name}.n{low}{low + 1}"] = values
    return registers


def row(groups: int) -> tuple[int, int]:
    """Counts of two loops that make so many groups."""
    inner = divisor(groups, MOST)
    return inner, groups // inner


def along(groups: int, words: int) -> tuple[int, int]:
    """Steps of those loops for a stream of so many words a group."""
    return words, words * row(groups)[0]
