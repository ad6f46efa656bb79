"""What lies in external memory for good, and what in the scratchpad."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

from isa.config import LANES, TREES, WORD_BYTES, Config
from isa.formats import FORMATS, FormatCode
from winnow.compiler import averages
from winnow.compiler.drains import GROUP_WORDS
from winnow.compiler.gating.rule import Gating, Groups
from winnow.compiler.layouts import BLOCKED, Layout, Layouts
from winnow.compiler.moves import Runs, joined
from winnow.compiler.normalisation import Norm
from winnow.compiler.operations import Buffer
from winnow.compiler.placement import External
from winnow.compiler.recipe import Recipe
from winnow.compiler.scores import classes
from winnow.compiler.tiles import Part, divisor
from winnow.graph import Graph, Layer, Map
from winnow.network import Shape

IDENTITY = (1.0,)


@dataclass(frozen=True)
class Stored:
    """Maps of a whole batch in external memory."""

    name: str
    shape: Shape
    address: int
    layout: Layout
    scalar: int | None = None  # register that is added to the address
    by_place: bool = False  # images in the order of the list of live ones, where there is a list

    def word(self, part: Part) -> int:
        """The first word of a part."""
        strides = self.layout.strides(self.shape)
        return (self.layout.images(self.shape, part.images.start)
                + part.blocks.start * strides.block + part.rows.start * strides.row)

    def at(self, part: Part) -> int:
        """Its address."""
        return self.address + WORD_BYTES * self.word(part)


@dataclass(frozen=True)
class Place:
    """Which weights of a layer: runs of words (each a row of a tile), without gaps in a buffer."""

    first: int
    run: int
    loops: tuple[Runs, ...]

    @property
    def words(self) -> int:
        return self.run * prod(r.count for r in self.loops)

    def parts(self, most: int) -> "list[Place]":
        """The same in parts of at most so many words, of a place of one output block."""
        run, loops = joined(self.run, self.loops)
        if not loops:
            size = divisor(run, most)
            return [Place(self.first + start, size, ()) for start in range(0, run, size)]
        (runs,), size = loops, divisor(run, most)
        if size < run:
            return [part for i in range(runs.count)
                    for part in Place(self.first + i * runs.external, run, ()).parts(most)]
        together = divisor(runs.count, most // run)
        return [Place(self.first + i * runs.external, run, (replace(runs, count=together),))
                for i in range(0, runs.count, together)]

    def wide(self, size: int) -> "Place":
        """The same of something that has `size` words for a row of a tile."""
        return Place(size * self.first, size * self.run, tuple(
            Runs(r.count, size * r.external, size * r.buffer) for r in self.loops))


@dataclass
class Parameters:
    """What a layer learns. Weights, masters and moments lie in external memory; `resident` buffers
    stay in the scratchpad."""

    layer: Layer
    config: Config
    weights: int = 0  # addresses, in bytes
    master: int = 0
    moment: int = 0
    mask: int | None = None  # of weights that may be pruned
    limit: int = 0  # of their groups, with group Lasso
    master_format: FormatCode = FormatCode.BINARY32
    moment_format: FormatCode = FormatCode.BINARY32
    bias: Buffer | None = None
    bias_moment: Buffer | None = None
    norm: Norm | None = None
    groups: Groups | None = None  # of channels, where the layer is gated
    threshold: Buffer | None = None  # of its gates
    quantile: Buffer | None = None  # the threshold in standard deviations of the outputs

    def gate(self, rule: Gating) -> None:
        """The layer is gated."""
        self.groups = rule.of(self.layer)
        words = self.layer.output.blocks * GROUP_WORDS
        self.threshold = Buffer(f"threshold of {self.layer.name}", words)
        self.quantile = Buffer(f"quantile of {self.layer.name}", words)

    def __post_init__(self):
        if self.layer.bias:
            words = self.layer.output.blocks * GROUP_WORDS
            self.bias = Buffer(f"bias of {self.layer.name}", words)
            self.bias_moment = Buffer(f"bias moment of {self.layer.name}", words)
        if self.layer.norm:
            self.norm = Norm(self.layer, self.config.raw_words)

    @property
    def master_words(self) -> int:
        """Words of masters for one of weights."""
        return FORMATS[self.master_format].group_words

    @property
    def weight_words(self) -> int:
        """Words of all weights in E4M3: one for each row of a tile."""
        return self.layer.tiles * TREES

    def place(self, outputs: range, part: Part | None = None,
              kernel: range | None = None) -> Place:
        """The weights between some output blocks and a part of what the layer reads, all or some
        rows of the kernel."""
        layer = self.layer
        part = part or Part.of(layer.reads, range(1))
        tile = TREES * layer.kernel**2
        whole = tile * layer.input.blocks  # of an output block
        run, step, count, first = tile, tile, len(part.blocks), part.blocks.start
        if layer.is_linear:  # in the order of the words of an image
            strides, pixels = self._reads.strides(layer.reads), part.shape(layer.reads).pixels
            first = part.blocks.start * strides.block + part.rows.start * strides.row
            if self._reads.channels_last:
                run, step, count = count * tile, strides.column * tile, pixels
            else:
                run, step = pixels * tile, strides.block * tile
        start = outputs.start * whole + first * tile
        if kernel:
            run = len(kernel) * TREES * layer.kernel
            start += kernel.start * TREES * layer.kernel
        return Place(start, run,
                     (Runs(count, step, run), Runs(len(outputs), whole, count * run)))

    @property
    def _reads(self) -> Layout:
        """Of what the layer reads."""
        return Layouts.of(self.config).maps

    @property
    def elements(self) -> int:
        return self.weight_words * LANES

    @property
    def resident(self) -> list[Buffer]:
        buffers = [self.bias, self.bias_moment] if self.layer.bias else []
        buffers += [self.threshold, self.quantile] if self.groups else []
        return buffers + (self.norm.resident if self.norm else [])


@dataclass
class Memory:
    """Addresses and resident buffers of a graph's training on a chip."""

    config: Config
    graph: Graph
    recipe: Recipe
    external: External = field(default_factory=External)
    parameters: list[Parameters] = field(default_factory=list)
    outputs: list[Stored | None] = field(default_factory=list)  # of layers
    gates: list[Stored | None] = field(default_factory=list)  # likewise, of those that are gated
    gradients: dict = field(default_factory=dict)  # of maps
    formed: dict = field(default_factory=dict)  # maps that cost more to form than to fill
    constants: dict[tuple[float, ...], Buffer] = field(default_factory=dict)  # tiles by factors

    def __post_init__(self):
        layers = self.graph.layers
        self.batch, self.layouts = self.recipe.batch, Layouts.of(self.config)
        master, moment = (FormatCode[store.upper()]
                          for store in (self.recipe.masters, self.recipe.moments))
        self.parameters = [Parameters(layer, self.config, master_format=master,
                                      moment_format=moment) for layer in layers]
        for layer in layers:
            if layer.pool and not layer.pool.largest:
                self._constant(averages.factors(layer.pool))
        self._constant(IDENTITY)
        kind = self.recipe.skipping
        self.ones = Buffer("ones", 1) if kind else None
        self.threshold = Buffer("threshold", GROUP_WORDS) if kind == "quantile" else None
        self._weights(master, moment)
        self._masks()
        for parameters in self.gated:
            parameters.gate(self.recipe.gate)
        region = self.external.region
        for layer in layers:
            size = self.batch * layer.output.words * WORD_BYTES
            self.outputs.append(None if layer.is_last else Stored(
                f"output of {layer.name}", layer.output,
                region(f"output of {layer.name}", size), self.layouts.maps))
        for p in self.parameters:
            name = f"gates of {p.layer.name}"
            self.gates.append(Stored(name, p.layer.output, region(
                name, self.batch * p.layer.output.words * WORD_BYTES), self.layouts.maps)
                if p.groups else None)
        for made in self.graph.maps[1:]:
            name = f"gradient of {made.name}"
            size = self.batch * made.shape.words * WORD_BYTES
            self.gradients[made] = self._gradient(made, name, region(name, size))
            if made.identity or made.shortcut is not None or made.pool:
                self.formed[made] = Stored(made.name, made.shape, region(made.name, size),
                                           self.layouts.maps)

    def _gradient(self, made: Map, name: str, address: int) -> Stored:
        """That of what the last layer reads is of all images, which are then gathered one by one.
        """
        listed = bool(self.recipe.skipping)
        every = listed and any(self.graph.layers[r].is_last for r in made.readers)
        return Stored(name, made.shape, address, BLOCKED if every else self.layouts.errors,
                      by_place=listed and not every)

    def _weights(self, master: FormatCode, moment: FormatCode):
        region = self.external.region
        learning = [p for p in self.parameters if p.layer.learns]
        words = [p.weight_words * WORD_BYTES for p in learning]
        for name, attribute, code in (("weights", "weights", FormatCode.E4M3),
                                      ("masters", "master", master),
                                      ("moments", "moment", moment)):
            size = FORMATS[code].group_words
            address = region(name, size * sum(words))
            for p, own in zip(learning, words, strict=True):
                setattr(p, attribute, address)
                address += size * own

    @cached_property
    def pruned(self) -> list[Parameters]:
        """The layers whose weights may be pruned: all that learn but the first and the last."""
        if not self.recipe.prune:
            return []
        return [p for p in self.parameters if p.layer.learns][1:-1]

    @cached_property
    def gated(self) -> list[Parameters]:
        """The layers that have gates: convolutions with normalisation, but the first and the last
        layer, that take several blocks of channels."""
        if not self.recipe.gate:
            return []
        learning = [p for p in self.parameters if p.layer.learns][1:-1]
        return [p for p in learning if p.norm and self.layouts.turns(p.layer)
                and p.layer.input.blocks > 1]

    def _masks(self):
        """A mask lies like the weights; a limit is 8 numbers."""
        for name, attribute, words in (("masks", "mask", [p.weight_words for p in self.pruned]),
                                       ("limits", "limit", [GROUP_WORDS] * len(self.pruned))):
            address = self.external.region(name, WORD_BYTES * sum(words))
            for p, own in zip(self.pruned, words, strict=True):
                setattr(p, attribute, address)
                address += WORD_BYTES * own

    def _constant(self, factors: tuple[float, ...]) -> None:
        self.constants.setdefault(factors, Buffer(
            f"multiples of the identity by {', '.join(map(str, factors))}", TREES * len(factors)))

    @property
    def identity(self) -> Buffer:
        """The tile of the identity."""
        return self.constants[IDENTITY]

    @property
    def resident(self) -> list[Buffer]:
        """Everything that stays in the scratchpad, in the order of the region `parameters`."""
        ones = [buffer for buffer in (self.ones, self.threshold) if buffer]
        return [*self.constants.values(), *ones] + [b for p in self.parameters for b in p.resident]

    @property
    def eights(self) -> int:
        """Groups of 8 images."""
        return self.batch // LANES

    @property
    def classes(self) -> int:
        """Classes, filled up."""
        return classes(self.graph.layers[-1])
