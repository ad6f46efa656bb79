"""One step of training as operations, which the parts of the compiler emit in program order.

Everything is stored in external memory between phases. A phase of a layer is a row of jobs, one
for each tile of images: fill, form, multiply, store. What a job needs it fills by itself, so jobs
overlap as far as the scratchpad allows (schedule.py).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import log2

from isa.config import WORD_BYTES
from isa.registers import Unit
from winnow.compiler import live, moves
from winnow.compiler.choices import Choices
from winnow.compiler.cuts import Cuts, Need, choose
from winnow.compiler.drains import GROUP_WORDS
from winnow.compiler.gating.weights import GatedWeights
from winnow.compiler.layouts import Layout
from winnow.compiler.live import LiveImages
from winnow.compiler.memory import Memory, Place, Stored
from winnow.compiler.normalisation import Norm
from winnow.compiler.numbers import Numbers, rounded_by
from winnow.compiler.operations import (
    UNTAGGED,
    Buffer,
    Chosen,
    Guarded,
    Operation,
    Tag,
    Ways,
)
from winnow.compiler.recipe import Recipe
from winnow.compiler.tiles import NEXT, Part, Tile
from winnow.compiler.weight_streams import StreamedWeights
from winnow.errors import UserError
from winnow.graph import Map
from winnow.network import Shape

LEAST_CYCLES = 4096  # of tensor work in the first job of a phase, where the batch has it
MOST_CYCLES = 65536  # in later ones
CHANNEL_WORDS = 20  # that last of a normalised layer's channel block
MORE_CHANNEL_WORDS = 64  # that come and go with the layer
BUFFERS = 16  # whose beginnings cost up to as many words as there are banks


@dataclass(frozen=True)
class Plan:
    """How large tiles are, and when weights are updated. Which plan is best the schedule says."""

    share: float  # of the scratchpad that two jobs may fill
    raw: float  # and two jobs of a weight gradient beside its raw sums
    first: int  # the first tile of a weight gradient is that much smaller
    late: bool  # updates of weights come after the next tensor work
    alone: float = 0.85  # of the scratchpad that one job may fill, if it can be cut so far


PLANS = (*(Plan(0.6, raw, first, late) for raw in (0.7, 0.75) for first in (1, 2)
           for late in (False, True)), Plan(0.4, 0.6, 1, False))
TIGHT = tuple(Plan(0.6 * alone, 0.6 * alone, 1, False, alone)
              for alone in (0.7, 0.55, 0.4, 0.2))  # one after the other, if no other fits
WHOLE = 0.85  # of the scratchpad that what cannot be cut any further may fill


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
    live: int  # how many images are live, where some are skipped

    @property
    def shrinks(self) -> bool:
        """Whether groups of weights lose some of their norm in each step."""
        return bool(self.recipe.prune and self.recipe.prune.shrink)

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
        self.live = self.precise = None
        if rules.recipe.skipping:
            self.live = LiveImages(memory, rules.recipe, rules.key, rules.live)
            self.precise = Buffer("precise errors", self.scores.words)
        self.over_live = False  # images of parts are places in the list of live ones
        self.guard: Guarded | None = None  # of what is emitted
        self.choices = Choices(memory, rules.recipe)

    def emit(self, operations, tag: Tag = UNTAGGED) -> None:
        """Add an operation or a list of them to the present job; tensor operations are charged to
        `tag`, and leave out no more than the recipe says of its phase."""
        for operation in _listed(operations):
            operation.job = self.job
            operation.guard = operation.guard or self.guard
            if operation.unit is Unit.TENSOR:
                operation.tag, mode = tag.number, operation.registers.get("tensor.mode", {})
                if "skip" in mode:
                    mode["skip"] &= self.rules.recipe.skips(tag.phase)
            self.operations.append(operation)

    def catch_up(self) -> None:
        """Emit what was put off: updates, which nothing waits for in this step."""
        late, self.later = self.later, []
        guard, self.guard = self.guard, None
        for emit in late:
            emit()
        self.guard = guard

    @contextmanager
    def of_live(self, only: bool):
        """A context: with `only` (and where images are skipped) images of parts are places in the
        list of live ones."""
        self.over_live = only and self.live is not None
        yield
        self.over_live = False

    @contextmanager
    def tile_of(self, images: range):
        """A context: what is emitted is left out where no live image is there for these places."""
        self.guard = self.live.some(images) if self.over_live else None
        yield
        self.guard = None

    def ways(self, layer: int, phase: str, may: bool = True) -> Iterator[bool]:
        """Whether weights of a layer stream; where the device chooses, first no and then yes, and
        what is emitted meanwhile is done if it has chosen so. They do not unless they `may`."""
        ways, choice = self.choices.ways(layer, phase), self.choices.chosen.get((layer, phase))
        if not (may and choice):
            yield may and ways[0]
            return
        emitted, found = self.operations, []
        for weights in ways:
            self.operations = []
            yield weights
            found.append(self.operations)
        self.operations = emitted
        rows = tuple([o for o in row if o.unit is Unit.TENSOR] for row in found)
        for holds, row in enumerate(found):  # what only one way needs
            for operation in row:
                if operation.unit is not Unit.TENSOR:
                    operation.guard = Chosen(choice.number, bool(holds))
                    self.operations.append(operation)
        if any(rows):
            self.operations.append(Ways(choice.number, rows).operation(self.job))

    def streamed(self, layer: int, weights: Buffer, phase: str) -> StreamedWeights | None:
        """Weights as they stream, made of all weights of a layer, if they may."""
        made = None
        for stream in self.ways(layer, phase):
            if stream:
                made = StreamedWeights.new(self.config, self.graph.layers[layer], phase == "BP")
                self.emit(made.made(weights))
        return made

    def streamed_words(self, layer: int, phase: str) -> int:
        """Words that they take."""
        if not any(self.choices.ways(layer, phase)):
            return 0
        return StreamedWeights.new(self.config, self.graph.layers[layer],
                                   phase == "BP").buffer.words

    def refuse_gate(self, layer: int, what: str) -> None:
        """`TileError` where a layer is gated: `what` the gates take does not stay in one piece."""
        if self.memory.gates[layer]:
            raise TileError(f"{self.graph.layers[layer].name}: {what} do not fit the scratchpad of "
                            f"configuration {self.config.name} whole: the layer cannot be gated")

    def gated(self, layer: int, weights: Buffer) -> Buffer:
        """Weights as FP and BP of a layer take them: those of a gated one twice."""
        groups = self.memory.parameters[layer].groups
        if not groups:
            return weights
        made = GatedWeights.new(self.graph.layers[layer], groups)
        self.emit(made.made(weights))
        return made.buffer

    def fill(self, stored: Stored, part: Part) -> Tile:
        """A part of stored maps."""
        tile = Tile.new(stored.name, part, stored.shape, stored.layout)
        if self.over_live and not stored.by_place:
            runs = self.runs(tile, stored, part)
            inner, loop = runs.pop("loops")
            self._gather(tile, stored, part, part.images, inner=inner, loop=loop, **runs)
        else:
            self.emit(moves.fill(tile.buffer, stored.at(part), stored.scalar,
                                 **self.runs(tile, stored, part)))
        return tile

    def fill_gradient(self, made: Map, part: Part) -> Tile:
        """A part of the gradient of a map, as errors lie; zero at places without an image."""
        stored, layout = self.memory.gradients[made], self.memory.layouts.errors
        if self.over_live and stored.layout != layout:
            return self._side_by_side(stored, part, layout)
        tile = self.fill(stored, part)
        if stored.by_place:
            self.clear_places(tile, part.images)
        return tile

    def store(self, tile: Tile, stored: Stored, part: Part) -> None:
        """The rows of `part` of a tile, which may hold more rows."""
        self.emit(moves.store(tile.buffer, stored.at(part), **self.runs(tile, stored, part)))

    def clear_places(self, tile: Tile, images: range) -> None:
        """Errors at places without an image become zero."""
        if self.over_live:
            self.emit(self.live.cleared(tile, images))

    def _gather(self, tile: Tile, stored: Stored, part: Part, places: range, **runs) -> None:
        every = replace(part, images=range(self.batch))
        self.emit(moves.gather(tile.buffer, stored.at(every), self.live.list, self.batch, places,
                               scalar=stored.scalar, **runs))

    def _side_by_side(self, stored: Stored, part: Part, layout: Layout) -> Tile:
        """Live images that lie apart, word by word: what lies side by side, block by block."""
        tile = Tile.new(stored.name, part, stored.shape, layout)
        whole, own, together = stored.layout.strides(stored.shape), tile.strides, layout.together
        for start in range(0, len(part.images), together):
            for n, block in enumerate(part.blocks):
                self._gather(
                    tile, stored, replace(part, blocks=range(block, block + 1)),
                    part.images[start:start + together], words=1,
                    first=tile.past(start) + n * own.block,
                    inner=moves.Runs(len(part.rows) * stored.shape.width, 1, own.column),
                    loop=moves.Runs(together, whole.image, own.image))
        return tile

    @staticmethod
    def runs(tile: Tile, stored: Stored, part: Part) -> dict:
        """Loops over the rows of `part` in a tile and in stored maps, as moves take them."""
        whole, own = stored.layout.strides(stored.shape), tile.strides
        images = moves.Runs(len(part.images) // tile.layout.together, whole.group, own.group)
        first = tile.at(part.rows.start - tile.row)
        if tile.layout.channels_last:
            pixels = len(part.rows) * stored.shape.width
            return {"words": len(part.blocks), "first": first,
                    "loops": (moves.Runs(pixels, whole.column, own.column), images)}
        return {"words": len(part.rows) * whole.row,
                "loops": (moves.Runs(len(part.blocks), whole.block, own.block), images),
                "first": first}

    def rounded(self, operations: Operation | list[Operation] | None, tensor: str, tile: Tile,
                shape: Shape, part: Part) -> list[Operation]:
        """Operations that write errors to a tile, rounded as the recipe has it. The tile holds the
        images of `part`, of maps of `shape`, from its own first row and channel block on; `tensor`
        names these maps."""
        operations = _listed(operations)
        if self.rules.recipe.stochastic:
            first = Stored("", shape, 0, tile.layout).word(Part.of(
                shape, part.images, range(tile.row, tile.row), range(tile.block, tile.block)))
            rounded_by(operations, Numbers(tensor, self.rules.key, first), tile, shape)
        return operations

    def norm(self, layer: int) -> Norm | None:
        return self.memory.parameters[layer].norm

    def cut(self, label: str, readers: list[int], most: Cuts,
            need: Callable[[Cuts, range], Need], together: int = 1) -> tuple[Cuts, list[range]]:
        """How a phase of the layers that read a map is cut, and the images of its jobs.

        It stays whole where two images fit, or twice as many as lie `together`. Fully connected
        layers take the whole batch if they can, and the last one must.
        """
        layers = [self.graph.layers[r] for r in readers]
        every, one = range(self.batch), range(together)
        linear, alone = any(layer.is_linear for layer in layers), self.room(self.plan.alone)
        whole = need(Cuts(), every)
        if linear and whole.fixed + whole.tile <= alone:
            return Cuts(), [every]
        whole = need(Cuts(), one)
        if not layers[0].is_last and whole.fixed + 2 * whole.tile <= alone:
            return Cuts(), self.tiles(whole, readers, together)
        unit, cycles = every if linear else one, self.batch * sum(self.cycles(r) for r in readers)
        cuts, found = self.choose(label, most, lambda cuts: need(cuts, unit), cycles)
        if unit is one and cuts.bands == cuts.pieces == 1:
            return cuts, self.tiles(found, readers, together)
        return cuts, [range(i, i + len(unit)) for i in range(0, self.batch, len(unit))]

    def choose(self, label: str, most: Cuts, need: Callable[[Cuts], Need],
               cycles: int) -> tuple[Cuts, Need]:
        """The best cuts that fit, or those that need the least; see cuts.py."""
        cuts, found = choose(self.config, most, need, cycles, self.room(self.plan.alone))
        if found.fixed + found.tile > self.room(WHOLE):
            raise TileError(
                f"{label}: the smallest part needs {(found.tile + found.fixed) * WORD_BYTES} bytes "
                f"of scratchpad; configuration {self.config.name} has "
                f"{self.config.words * WORD_BYTES}, and {max(self.room(WHOLE), 0) * WORD_BYTES} "
                f"beside what stays there")
        return cuts, found

    def tiles(self, need: Need, readers: list[int], together: int = 1) -> list[range]:
        """Images of the tiles of the batch, for layers that read the same map; `need` is that of as
        many images as lie together.

        The first tiles are small, since the tensor cores wait for them; later ones are as large as
        two of them fit, since each operation has cycles of its own. Where two images do not fit,
        one follows the other.
        """
        cycles = max(1, together * sum(self.cycles(r) for r in readers))
        room = (self.room(self.plan.share) - need.fixed) // (2 * max(need.tile, 1))
        most = max(1, min(room, max(-(-MOST_CYCLES // cycles), NEXT if together > 1 else 1)))
        if self.over_live:
            most = min(most, -(-self.batch // (live.TILES * together)))
        size = min(most, -(-LEAST_CYCLES // cycles))
        return growing(self.batch, size, most, together)

    def room(self, share: float) -> int:
        """Words of the scratchpad that jobs may fill."""
        free = self.config.words - sum(b.words for b in self.memory.resident)
        norms = [p.layer.output.blocks for p in self.memory.parameters if p.norm]
        lasting = CHANNEL_WORDS * sum(norms) + MORE_CHANNEL_WORDS * max(norms, default=0)
        gaps = (BUFFERS + 3 * len(norms)) * self.config.banks
        return min(int(share * free), free - lasting - gaps)

    def cycles(self, layer: int) -> int:
        """Multiply-adds of an image over lanes."""
        shape = self.graph.layers[layer]
        return shape.tiles * shape.output.pixels * 64 // self.config.macs_per_cycle

    def cores(self, layer: int) -> int | None:
        """How many cores a group has at most in FP and BP of a layer. A group leaves out a tile
        where none of its cores has one: where tiles are pruned each core is a group; of a gated
        layer cores of a group have inputs of one base in BP."""
        rule, own = self.rules.recipe.prune, self.memory.parameters[layer]
        if own.mask is not None and rule.of_tiles:
            return 1
        return own.groups.size if own.groups else None

    def weights(self, layer: int, outputs: range | None = None, part: Part | None = None) -> Buffer:
        """Weights of a layer, filled: between some output blocks and a part of what it reads."""
        parameters = self.memory.parameters[layer]
        outputs = outputs or range(parameters.layer.output.blocks)
        place = parameters.place(outputs, part)
        buffer = Buffer(f"weights of {parameters.layer.name}", place.words)
        self.move(moves.fill, buffer, parameters.weights, place)
        return buffer

    def move(self, move: Callable[..., Operation], buffer: Buffer, address: int,
             place: Place) -> None:
        """Fill a buffer from some of the weights that begin at `address`, or store it there."""
        self.emit(move(buffer, address + WORD_BYTES * place.first, words=place.run,
                       loops=place.loops))


def _listed(operations: Operation | list[Operation] | None) -> list[Operation]:
    """One operation, or none, as a list."""
    if isinstance(operations, Operation | None):
        return [operations] if operations else []
    return operations


def growing(images: int, first: int, most: int, together: int = 1) -> list[range]:
    """Tiles of so many images, from `first` to `most` times `together` doubling in size."""
    tiles, start = [], 0
    first, most = first * together, most * together
    while start < images:
        tiles.append(range(start, min(start + first, images)))
        start, first = tiles[-1].stop, min(2 * first, most)
    return tiles
