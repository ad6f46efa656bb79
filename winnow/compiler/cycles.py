"""Rough cycles of operations, for the order in which they are given."""

from math import prod

from isa.config import Config
from isa.formats import FormatCode
from isa.registers import BLOCKS, POSITIONS, REDUCTION, Unit
from winnow.compiler.operations import Operation

START = 25  # from one operation to the next of a unit
MEMORY = 40  # and to the first word of external memory


def estimate(config: Config, operation: Operation) -> int:
    """Cycles of an operation that nothing holds up."""
    return {Unit.TENSOR: _tensor, Unit.VECTOR: _vector, Unit.MOVE: _move}[operation.unit](
        config, operation.registers)


def _tensor(config: Config, registers) -> int:
    counts = registers["tensor.positions"]
    positions = prod(counts.get(p, 1) for p in POSITIONS)
    passes = prod(registers.get("tensor.reduction", {}).get(r, 1) for r in REDUCTION)
    blocks = prod(registers.get("tensor.blocks", {}).get(b, 1) for b in BLOCKS)
    groups = registers.get("tensor.groups", {})
    drained = 1 if groups.get("merge") else groups.get("groups", 1)
    mode = registers.get("tensor.mode", {})
    words = {FormatCode.BINARY32: 4, FormatCode.RAW: config.raw_words}.get(mode.get("output"), 1)
    drain = positions * drained * counts.get("cores", 1) * max(
        words, config.raw_words if mode.get("aux") == 1 else 1)
    return START + blocks * max(passes * max(positions, 8), drain) + drain


def _vector(config: Config, registers) -> int:
    groups = prod([*registers["vector.counts"].values(), *registers["vector.outer"].values()])
    formats = list(registers["vector.inputs"].values())
    fp8 = 0
    for name in ("o0", "o1", "o2"):
        fmt = registers.get(f"vector.{name}.mode", {}).get("format")
        formats.append(fmt)
        fp8 += fmt in (FormatCode.E4M3, FormatCode.E5M2)
    reduced = registers["vector.op"]["reduce"]
    return START + groups * max(4 if FormatCode.BINARY32 in formats else 1, 1 if reduced else fp8)


def _move(config: Config, registers) -> int:
    return MEMORY + prod(registers["move.counts"].values()) // config.axi_words
