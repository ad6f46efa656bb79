"""Random bits of stochastic rounding: the key of a tensor in a step, the numbers of its elements.

Both come from the tensor alone, so that no tiling and no number of cores changes a bit.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

from isa.formats import FormatCode
from isa.registers import INDEX_BITS, TENSOR_STREAMS, VECTOR_LOOPS, Unit
from winnow.compiler.operations import At, Operation
from winnow.compiler.tiles import Tile
from winnow.network import Shape


@dataclass(frozen=True)
class Numbers:
    """The random bits of a tensor, or of the part of it that begins with word `first`.

    Parameters
    ----------
    tensor : its name, which makes its key from that of the step
    register : scalar register with the key of the step
    """

    tensor: str
    register: int
    first: int = 0

    @property
    def key(self) -> int:
        """What is added to the key of the step."""
        return crc32(self.tensor.encode())

    def word(self, offset: int = 0) -> int:
        """The number of a word of the part, as a base register holds it."""
        return (self.first + offset) % (1 << INDEX_BITS)


@dataclass(frozen=True)
class _Place:
    """A tile as a part of maps of `shape`: from words of the one to words of the other."""

    tile: Tile
    shape: Shape

    def words(self, step: int) -> int:
        """How far a step within the tile goes in the tensor: so many groups of images, blocks and
        words. Channels are not last."""
        part, whole = self.tile.strides, self.tile.layout.strides(self.shape)
        groups, rest = divmod(abs(step), part.group)
        blocks, rest = divmod(rest, part.block)
        far = groups * whole.group + blocks * whole.block + rest
        return far if step >= 0 else -far


def rounded_by(operations: Iterable[Operation], numbers: Numbers, tile: Tile,
               shape: Shape) -> None:
    """Let operations round what they write to a tile of errors, in E5M2, stochastically.

    `numbers` are those of the tile, a part of maps of `shape`.
    """
    place = _Place(tile, shape)
    for operation in operations:
        if operation.unit is Unit.TENSOR:
            _tensor(operation, numbers, place)
        elif operation.unit is Unit.VECTOR:
            _vector(operation, numbers, place)


def _tensor(operation: Operation, numbers: Numbers, place: _Place) -> None:
    registers = operation.registers
    base: At = registers["tensor.output.base"]["address"]
    if base.buffer is not place.tile.buffer:
        return
    registers["tensor.mode"] = registers["tensor.mode"] | {"stochastic": 1}
    _begin("tensor", operation, numbers, place, base)
    for loop in TENSOR_STREAMS["number"]:
        stride = registers.get(f"tensor.output.{loop}", {}).get("stride")
        if stride:
            registers[f"tensor.number.{loop}"] = {"stride": place.words(stride)}


def _vector(operation: Operation, numbers: Numbers, place: _Place) -> None:
    registers = operation.registers
    mode = registers.get("vector.o0.mode", {})
    base: At = registers.get("vector.o0.base", {}).get("address")
    if mode.get("format") != FormatCode.E5M2 or base.buffer is not place.tile.buffer:
        return
    registers["vector.o0.mode"] = mode | {"stochastic": 1}
    _begin("vector", operation, numbers, place, base)
    for low in range(0, len(VECTOR_LOOPS), 2):
        steps = registers.get(f"vector.o0.n{low}{low + 1}")
        if steps:
            registers[f"vector.number.n{low}{low + 1}"] = {
                loop: place.words(step) for loop, step in steps.items()}


def _begin(unit: str, operation: Operation, numbers: Numbers, place: _Place, base: At) -> None:
    operation.registers[f"{unit}.key"] = {"key": numbers.key}
    operation.scalars[f"{unit}.key"] = numbers.register
    operation.registers[f"{unit}.number.base"] = {
        "word": numbers.word(place.words(base.offset))}
