"""Vector operations of training, and moves."""

from isa.config import LANES
from isa.expressions import float_bits
from isa.formats import FormatCode
from isa.registers import COUNT_BITS, Operand, Unit
from winnow.compiler.layers import GROUP_WORDS, divisor
from winnow.compiler.operations import At, Buffer, Operation
from winnow.network import Shape

E4M3, E5M2, BINARY32 = FormatCode.E4M3, FormatCode.E5M2, FormatCode.BINARY32
LOSS_QUANTUM = -30  # the unit of the squared errors that are summed


def mean_squared_error(groups: int, logits: Buffer, target: Buffer, error: Buffer, loss: Buffer,
                       scale: int) -> Operation:
    """error = (logits - target) * 2**scale in E5M2; loss = 8 partial sums of squared errors."""
    registers = _row(groups, x=(logits, GROUP_WORDS), y=(target, 1), o0=(error, 1)) | {
        "vector.inputs": {"x": BINARY32, "y": E4M3},
        "vector.op": {"a": Operand.X, "b": Operand.ONE, "c": Operand.Y, "negate_c": 1,
                      "d": Operand.T, "e": Operand.T, "f": Operand.ZERO,
                      "reduce": 1, "source": 1, "quantum": LOSS_QUANTUM},
        "vector.o0.mode": {"enable": 1, "format": E5M2, "scale": scale},
        "vector.o2.base": {"address": At(loss)},
    }
    return Operation("loss", Unit.VECTOR, registers, [logits, target], [error, loss])


def bias_gradient(shape: Shape, batch: int, dy: Buffer, gradient: Buffer, factor: float,
                  quantum: int) -> Operation:
    """gradient = factor times the sum of dy over images and pixels, 8 channels a group."""
    registers = {
        "vector.counts": {"n0": shape.pixels, "n1": batch, "n2": shape.blocks},
        "vector.x.base": {"address": At(dy)},
        "vector.x.n01": {"n0": 1, "n1": shape.words},
        "vector.x.n23": {"n2": shape.pixels},
        "vector.inputs": {"x": E5M2},
        "vector.k0": {"value": float_bits(factor)},
        "vector.op": {"a": Operand.X, "b": Operand.K0, "c": Operand.ZERO, "reduce": 1,
                      "quantum": quantum},
        "vector.o2.base": {"address": At(gradient)},
        "vector.o2.n23": {"n2": GROUP_WORDS},
    }
    return Operation(f"sum for {gradient.name}", Unit.VECTOR, registers, [dy], [gradient])


def momentum_step(elements: int, gradient: Buffer, moment: Buffer, master: Buffer,
                  momentum: float, rate_register: int, weights: Buffer | None = None) -> Operation:
    """m = momentum * m + g; w = w - rate * m, in place, in binary32; perhaps an E4M3 copy of w.

    The negated learning rate comes from a scalar register, so that a program can change it.
    """
    streams = {"x": gradient, "y": moment, "z": master, "o0": moment, "o1": master}
    streams = {name: (buffer, GROUP_WORDS) for name, buffer in streams.items()}
    if weights:
        streams["o2"] = (weights, 1)
    registers = _row(elements // LANES, **streams) | {
        "vector.inputs": {"x": BINARY32, "y": BINARY32, "z": BINARY32},
        "vector.k0": {"value": float_bits(momentum)},
        "vector.op": {"a": Operand.Y, "b": Operand.K0, "c": Operand.X,
                      "d": Operand.T, "e": Operand.K1, "f": Operand.Z},
        "vector.o0.mode": {"enable": 1, "format": BINARY32},
        "vector.o1.mode": {"enable": 1, "format": BINARY32, "source": 1},
    }
    writes = [moment, master]
    if weights:
        registers["vector.o2.mode"] = {"enable": 1, "format": E4M3, "source": 1}
        writes.append(weights)
    return Operation(f"update of {master.name}", Unit.VECTOR, registers,
                     [gradient, moment, master], writes, scalars={"vector.k1": rate_register})


def fill(buffer: Buffer, external: int, scalar: int | None = None) -> Operation:
    """Copy from external memory into the whole of `buffer`."""
    return Operation(f"fill {buffer.name}", Unit.MOVE, _move(buffer, external, 0), [], [buffer],
                     scalars=_external(scalar))


def store(buffer: Buffer, external: int, scalar: int | None = None) -> Operation:
    """Copy the whole of `buffer` to external memory."""
    return Operation(f"store {buffer.name}", Unit.MOVE, _move(buffer, external, 1), [buffer], [],
                     scalars=_external(scalar))


def _external(scalar: int | None) -> dict[str, int]:
    return {} if scalar is None else {"move.external.base": scalar}


def _move(buffer: Buffer, external: int, is_store: int):
    run = divisor(buffer.words, (1 << 16) - 1)
    registers = {
        "move.external.base": {"address": external},
        "move.scratchpad.base": {"address": At(buffer)},
        "move.counts": {"words": run, "n1": buffer.words // run},
        "move.mode": {"store": is_store},
    }
    if buffer.words > run:
        registers["move.external.n1"] = {"stride": run * 8}
        registers["move.scratchpad.n1"] = {"stride": run}
    return registers


def _row(groups: int, **streams: tuple[Buffer, int]):
    """Counts and streams of `groups` in a row; each stream is a buffer and its words a group."""
    inner = divisor(groups, (1 << COUNT_BITS) - 1)
    registers = {"vector.counts": {"n0": inner, "n1": groups // inner}}
    for name, (buffer, words) in streams.items():
        registers[f"vector.{name}.base"] = {"address": At(buffer)}
        registers[f"vector.{name}.n01"] = {"n0": words, "n1": words * inner}
    return registers
