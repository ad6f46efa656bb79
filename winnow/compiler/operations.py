"""Operations before they have addresses: unit, registers that name buffers, words touched."""

from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

from isa.config import LANES, TREES
from isa.instructions import Guard
from isa.registers import (
    ADDRESS_BITS,
    BLOCKS,
    POSITIONS,
    REDUCTION,
    TENSOR_STREAMS,
    Unit,
)


class Tag(NamedTuple):
    """The counter group of a tensor operation, and its phase."""

    number: int
    phase: str


UNTAGGED = Tag(0, "FP")


@dataclass(eq=False)
class Buffer:
    """Words of the scratchpad; `address` is set when it is placed."""

    name: str
    words: int
    address: int | None = None


@dataclass(frozen=True)
class At:
    """A word address: an offset, perhaps negative, into a buffer."""

    buffer: Buffer
    offset: int = 0

    @property
    def address(self) -> int:
        return (self.buffer.address + self.offset) % (1 << ADDRESS_BITS)


@dataclass(frozen=True)
class Guarded:
    """When an operation is done: a scalar register against a number. `known` is a buffer that is
    written before control has read the register, if it reads it in the step."""

    guard: Guard
    register: int
    least: int
    known: Buffer | None = None


@dataclass(frozen=True)
class Chosen:
    """An operation that is done where a bit of the device's choices is 1, or where it is 0."""

    number: int
    holds: bool


@dataclass
class Operation:
    """One `run`. Registers that are not named take their defaults.

    `scalars` maps a register to the scalar register whose value is added to it. A move says which
    bytes of external memory it touches, unless a scalar register takes part in the address. Control
    waits for an operation that has `control`, and then executes these lines. One that has `ways`
    stands for one or the other of two rows of operations, and has no registers of its own. One that
    is `resumed` is the first after a halt, where the host lets the program go on.
    """

    label: str
    unit: Unit
    registers: dict[str, dict[str, "int | At"]]
    reads: list[Buffer]
    writes: list[Buffer]
    tag: int = 0
    scalars: dict[str, int] = field(default_factory=dict)
    external: tuple[int, int] | None = None
    job: int = 0  # the piece of work that it belongs to, in program order
    wait: int = 0
    post: int = 0
    guard: Guarded | Chosen | None = None
    control: tuple[str, ...] = ()
    ways: "Ways | None" = None
    resumed: bool = False

    @property
    def buffers(self) -> list[Buffer]:
        known = getattr(self.guard, "known", None)
        return self.reads + self.writes + ([known] if known else [])

    @property
    def multiply_adds(self) -> int:
        """Of a tensor operation, with nothing left out."""
        counts = {"groups": 1, "cores": 1}
        for name in ("positions", "reduction", "blocks", "groups"):
            counts |= self.registers.get(f"tensor.{name}", {})
        loops = *POSITIONS, *REDUCTION, *BLOCKS, "groups", "cores"
        return LANES * TREES * prod(counts.get(loop, 1) for loop in loops)


@dataclass(frozen=True)
class Ways:
    """Operations of one unit of which control gives those of one way, by a bit of the device's
    choices: the first way where it is 0, the second where it is 1."""

    number: int
    rows: tuple[list[Operation], list[Operation]]

    def operation(self, job: int) -> Operation:
        """What stands for them, in program order."""
        every = [operation for row in self.rows for operation in row]
        reads, writes = ([*dict.fromkeys(buffer for o in every for buffer in getattr(o, name))]
                         for name in ("reads", "writes"))
        return Operation(every[0].label, every[0].unit, {}, reads, writes, job=job, ways=self)


@dataclass(frozen=True)
class Step:
    """How far one round of a loop moves a stream: words, rows, columns."""

    stride: int = 0
    dy: int = 0
    dx: int = 0


@dataclass(frozen=True)
class Loop:
    """One loop of a tensor operation and what it moves."""

    name: str
    count: int
    steps: dict[str, Step] = field(default_factory=dict)


def loop(name: str, count: int, **steps) -> Loop:
    """A loop; each keyword is a stream with its stride or (stride, dy, dx)."""
    return Loop(name, count, {
        stream: Step(*step) if isinstance(step, tuple) else Step(step)
        for stream, step in steps.items()})


def nest_registers(loops: list[Loop]) -> dict[str, dict[str, int]]:
    """Count and stride registers of a tensor operation."""
    counts = {item.name: item.count for item in loops}
    groups = {
        "tensor.positions": {n: c for n, c in counts.items() if n[0] in "pq"},
        "tensor.reduction": {n: c for n, c in counts.items() if n[0] == "r"},
        "tensor.blocks": {n: c for n, c in counts.items() if n[0] == "b"},
    }
    groups["tensor.positions"]["cores"] = counts.get("core", 1)
    registers = {name: values for name, values in groups.items() if values}
    for item in loops:
        for stream, step in item.steps.items():
            if item.name not in TENSOR_STREAMS[stream]:
                raise ValueError(f"loop {item.name} does not move {stream}")
            values = {k: v for k, v in vars(step).items() if v}
            if item.count > 1 and values:
                registers[f"tensor.{stream}.{item.name}"] = values
    return registers
