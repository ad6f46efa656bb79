"""One step of training as operations, which the parts of the compiler emit in program order.

Everything is stored in external memory between phases. A phase of a layer is a row of jobs, one
for each tile of images: fill, form, multiply, store. What a job needs it fills by itself, so jobs
overlap as far as the scratchpad allows (schedule.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log2

from isa.config import LANES, WORD_BYTES
from isa.registers import Unit
from winnow.compiler import moves
from winnow.compiler.memory import Memory, Stored
from winnow.compiler.nests import GROUP_WORDS
from winnow.compiler.normalisation import Norm
from winnow.compiler.numbers import Numbers, rounded_by
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.recipe import Recipe
from winnow.compiler.tiles import Tile
from winnow.errors import UserError
from winnow.graph import Layer
from winnow.network import Shape

LEAST_CYCLES = 4096  # of tensor work in the first job of a phase, where the batch has it
MOST_CYCLES = 65536  # in later ones
WHOLE = 0.85  # of the scratchpad that one job may fill


@dataclass(frozen=True)
class Plan:
    """How large tiles are, and when weights are updated. Which plan is best the schedule says."""

    share: float  # of the scratchpad that two jobs may fill
    raw: float  # and two jobs of a weight gradient beside its raw sums
    first: int  # the first tile of a weight gradient is that much smaller
    late: bool  # updates of weights come after the next tensor work


PLANS = (*(Plan(0.6, raw, first, late) for raw in (0.7, 0.75) for first in (1, 2)
           for late in (False, True)), Plan(0.4, 0.6, 1, False))


class TileError(UserError):
    """A layer whose smallest piece does not fit the scratchpad."""


@dataclass(frozen=True)
class Rules:
    """How a step is trained, and the scalar registers that it takes what may change from."""

    recipe: Recipe
    rate: int  # the negated learning rate
    key: int  # of the random bits of the step
    scale: int  # as a field of the mode of a vector output, with dynamic scaling
    mean: int  # of sums of scaled errors over a batch, as a field of the tensor mode
    factor: int  # likewise, as a binary32 number

    @property
    def mean_scale(self) -> int:
        """The exponent that turns sums of scaled errors into means over a batch, where the scale
        of errors is static."""
        return mean_scale(self.recipe.error_scale, self.recipe.batch)


def mean_scale(error_scale: int, batch: int) -> int:
    """The exponent that turns sums of scaled errors into means over a batch."""
    return -error_scale - int(log2(batch))


class Step:
    """Collects the operations of a step.

    Parameters
    ----------
    memory : Memory
    rules : Rules
    images : Stored
        Where the first map of this step lies.
    plan : Plan
    """

    def __init__(self, memory: Memory, rules: Rules, images: Stored, plan: Plan):
        self.memory, self.rules, self.images, self.plan = memory, rules, images, plan
        self.config, self.graph, self.batch = memory.config, memory.graph, memory.batch
        self.operations: list[Operation] = []
        self.job = 0
        self.later: list[Callable[[], None]] = []  # what the next job of tensor work goes before
        for parameters in memory.parameters:
            if parameters.norm:
                parameters.norm.new_step()
        self.scores = Buffer("scores", memory.eights * memory.classes * GROUP_WORDS)
        self.errors = Buffer("errors", memory.eights * memory.classes)

    def emit(self, operations, tag: int = 0) -> None:
        """Add an operation or a list of them to the present job; tensor operations are charged to
        `tag`."""
        for operation in [operations] if isinstance(operations, Operation) else operations:
            operation.job = self.job
            if operation.unit is Unit.TENSOR:
                operation.tag = tag
            self.operations.append(operation)

    def catch_up(self) -> None:
        """Emit what was put off: updates, which nothing waits for in this step."""
        late, self.later = self.later, []
        for emit in late:
            emit()

    def fill(self, stored: Stored, first: int, images: int, blocks: range | None = None) -> Tile:
        """Images (and of each some channel blocks) of a stored map."""
        shape, part = stored.shape, stored.shape
        if blocks is not None and len(blocks) < shape.blocks:
            part = Shape(len(blocks) * LANES, shape.height, shape.width)
        tile = Tile.new(stored.name, images, part)
        address = stored.address + first * stored.image_bytes
        if part is shape:
            self.emit(moves.fill(tile.buffer, address, stored.scalar))
        else:
            self.emit(moves.fill(
                tile.buffer, address + blocks.start * shape.pixels * WORD_BYTES, stored.scalar,
                words=part.words, runs=images, stride=shape.words))
        return tile

    def store(self, tile: Tile, stored: Stored, first: int) -> None:
        self.emit(moves.store(tile.buffer, stored.address + first * stored.image_bytes))

    def rounded(self, operations: Operation | list[Operation], tensor: str, tile: Tile,
                shape: Shape, image: int, block: int = 0) -> list[Operation]:
        """Operations that write errors to a tile, rounded as the recipe has it. The tile begins
        with that image and channel block of maps of `shape`; `tensor` names these."""
        operations = [operations] if isinstance(operations, Operation) else operations
        if self.rules.recipe.stochastic:
            first = image * shape.words + block * shape.pixels
            rounded_by(operations, Numbers(tensor, self.rules.key, first), tile, shape)
        return operations

    def norm(self, layer: int) -> Norm | None:
        return self.memory.parameters[layer].norm

    def tiles(self, label: str, words: int, fixed: int, readers: list[int]) -> list[range]:
        """Images of the tiles of the batch, for layers that read the same map.

        `words` are those of an image, `fixed` words are there whatever the tile. The first tiles
        are small, since the tensor cores wait for them; later ones are as large as two of them
        fit, since each operation has cycles of its own. Where two images do not fit, one follows
        the other. Fully connected layers take the whole batch if they can, and the last one must.
        """
        layers = [self.graph.layers[r] for r in readers]
        alone = self.room(WHOLE) - fixed
        if any(layer.is_linear for layer in layers) and words * self.batch <= alone:
            return [range(self.batch)]
        least = words * (self.batch if layers[0].is_last else 1)
        if least > alone:
            raise self.too_large(label, least, fixed)
        cycles = max(1, sum(self.cycles(r) for r in readers))
        room = (self.room(self.plan.share) - fixed) // (2 * words)
        most = max(1, min(room, -(-MOST_CYCLES // cycles)))
        size = min(most, -(-LEAST_CYCLES // cycles))
        return growing(self.batch, size, most)

    def room(self, share: float) -> int:
        """Words of the scratchpad that jobs may fill."""
        return int(share * (self.config.words - sum(b.words for b in self.memory.resident)))

    def too_large(self, label: str, words: int, fixed: int) -> TileError:
        resident = sum(b.words for b in self.memory.resident)
        return TileError(
            f"{label}: the smallest part needs {words * WORD_BYTES} bytes of scratchpad beside "
            f"{(fixed + resident) * WORD_BYTES} bytes that stay; configuration {self.config.name} "
            f"has {self.config.words * WORD_BYTES}")

    def cycles(self, layer: int) -> int:
        """Multiply-adds of an image over lanes."""
        shape = self.graph.layers[layer]
        return shape.tiles * shape.output.pixels * 64 // self.config.macs_per_cycle

    def weights(self, layer: int) -> Buffer:
        """All weights of a layer, filled."""
        parameters = self.memory.parameters[layer]
        buffer = Buffer(f"weights of {parameters.layer.name}", parameters.weight_words)
        self.emit(moves.fill(buffer, parameters.weights))
        return buffer


def growing(images: int, first: int, most: int) -> list[range]:
    """Tiles of so many images, from `first` to `most` doubling in size."""
    tiles, start = [], 0
    while start < images:
        tiles.append(range(start, min(start + first, images)))
        start, first = tiles[-1].stop, min(2 * first, most)
    return tiles


def flat(tile: Tile, layer: Layer) -> Tile:
    """A map as a fully connected layer sees it: one pixel."""
    return Tile(tile.buffer, tile.images, layer.input) if layer.is_linear else tile
