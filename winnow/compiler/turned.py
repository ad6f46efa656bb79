"""Weight gradients whose stream is the map, turned: a word is one channel of 8 images at a pixel.

A stationary tile is 8 channels of the errors of 8 images at a pixel. So zeros of the map, behind a
ReLU about half of it, or weights that are pruned, are zero elements of the stream and dead outputs,
which the machine skips.
"""

from dataclasses import dataclass

from isa.config import LANES, TREES, Config
from isa.formats import FormatCode
from isa.registers import Skip, Unit
from winnow.compiler.drains import GROUP_WORDS, Sums
from winnow.compiler.forms import PLAIN, RELU, Coefficients
from winnow.compiler.nests import groups_registers, skipping, taps
from winnow.compiler.operations import At, Buffer, Operation, loop, nest_registers
from winnow.compiler.tiles import Part, Tile, divisor, grouping
from winnow.compiler.vector import K0, K1, ONE, ZERO, Stream, X, along, row, vector
from winnow.graph import Layer
from winnow.network import Shape

E4M3, E5M2, BINARY32 = FormatCode.E4M3, FormatCode.E5M2, FormatCode.BINARY32


@dataclass(frozen=True)
class TurnedTile:
    """Part of a map in the scratchpad: 8 images, block, row, column; the 8 channels of a block
    outside of the rows, or `inside` of the columns.

    The columns that are alike modulo the `stride` of a layer lie side by side, in whole slots: its
    phases of `columns`, zero beyond the map. Gaps see to it that the 8 channels, or else 4 blocks,
    begin in different banks: a core whose tile is in a bank that each word of the stream comes
    from would wait.
    """

    buffer: Buffer
    images: int
    shape: Shape  # of one image of the part
    slot: int
    stride: int
    row: int = 0  # of the map, with which it begins
    inside: bool = False

    @classmethod
    def new(cls, config: Config, name: str, part: Part, whole: Shape, stride: int,
            inside: bool = False) -> "TurnedTile":
        """Room for `part` of a map of shape `whole`."""
        slot = 1 if inside else config.slot
        tile = cls(Buffer(name, 0), len(part.images), part.shape(whole), slot, stride,
                   part.rows.start, inside)
        tile.buffer.words = tile.images // LANES * tile.eight_words
        return tile

    @property
    def columns(self) -> int:
        """Columns of a phase."""
        return -(-self.shape.width // (self.stride * self.slot)) * self.slot

    @property
    def column_words(self) -> int:
        return LANES if self.inside else 1

    @property
    def phase_words(self) -> int:
        return self.column_words * self.columns

    @property
    def row_words(self) -> int:
        return self.stride * self.phase_words

    @property
    def channel_words(self) -> int:
        if self.inside:
            return 1
        return (self.row_words * self.shape.height // self.slot | 1) * self.slot

    @property
    def map_words(self) -> int:
        """From one channel block to the next."""
        if self.inside:
            return (self.row_words * self.shape.height // LANES | 1) * LANES
        return LANES * self.channel_words

    @property
    def eight_words(self) -> int:
        """From 8 images to the next."""
        return self.shape.blocks * self.map_words


def turn(label: str, x: Tile, y: TurnedTile, coefficients: Coefficients | None = None,
         relu: bool = False) -> list[Operation]:
    """y = x, or relu(K0 * x + K1), turned. In x images do not lie side by side."""
    shape, xs, operations = x.shape, x.strides, []
    outer = shape.height, x.images // LANES, shape.blocks
    y_outer = y.row_words, y.eight_words, y.map_words
    for phase in range(y.stride):
        count, first = len(range(phase, shape.width, y.stride)), phase * y.phase_words
        if count:
            operations.append(vector(
                label, (LANES, 1, count, *outer), (X, K0, K1) if coefficients else (X, ONE, ZERO),
                activation=RELU if relu else PLAIN, channel=0b011 if coefficients else 0,
                coefficients=coefficients.where if coefficients else None,
                x=Stream(x.buffer, E4M3, (x.past(1), 0, y.stride * xs.column, xs.row,
                                          x.past(LANES), xs.block), phase * xs.column),
                o0=Stream(y.buffer, E4M3, (y.channel_words, 0, y.column_words, *y_outer), first,
                          turn=True)))
        if count < y.columns:
            operations.append(vector(
                f"{label}: edge", (LANES, 1, y.columns - count, *outer), (ZERO, ZERO, ZERO),
                o0=Stream(y.buffer, E4M3, (y.channel_words, 0, y.column_words, *y_outer),
                          first + count * y.column_words)))
    return operations


@dataclass(frozen=True)
class Pairs:
    """Weights between some output blocks, evenly apart, and some blocks of channels, side by side;
    both numbered from those that the tiles begin with."""

    outputs: range
    inputs: range


@dataclass(frozen=True)
class LiveWeights:
    """Words whose elements are zero where a weight is, which lie like the gradient: `first` words
    into a buffer, `pitch` words from one to the next, that of raw sums if some are added."""

    buffer: Buffer
    first: int = 0
    pitch: int = 1


def spread(label: str, mask: Buffer, live: LiveWeights) -> Operation:
    """A mask whose words lie one after the other goes where `live` has them."""
    return vector(label, row(mask.words), (X, ONE, ZERO),
                  x=Stream(mask, E4M3, along(mask.words, 1)),
                  o0=Stream(live.buffer, E4M3, along(mask.words, live.pitch), live.first))


def weight_gradient(config: Config, layer: Layer, x: TurnedTile, dy: Tile, rows: range,
                    gradient: Buffer | None, scale: int, sums: Sums,
                    kernel: range | None = None, live: LiveWeights | None = None,
                    pairs: Pairs | None = None) -> list[Operation]:
    """Sums over some rows of the layer's output of dy times x, times 2**scale, in binary32, or raw
    (not scaled); zero for weights that are not `live`. The gradient lies as output block, channel
    block, kernel row, kernel column, 8 channels of 8 outputs.

    `x` and `dy` are parts of the layer's maps, and `gradient` is of the weights between their
    blocks, of all or some rows of the kernel; x holds all rows that these rows of dy need. Of these
    weights all are summed, or some `pairs`.

    All pixels of x in these rows are streamed, column by column as they lie. The kernel's columns
    shift the errors instead, whose tiles are zero beyond the edge. Those that reach a phase of x
    are an operation.
    """
    pairs = pairs or Pairs(range(dy.shape.blocks), range(x.shape.blocks))
    found = []
    for phase in range(layer.stride):
        first, count, shift = taps(layer.kernel, layer.stride, layer.padding, phase)
        if count:
            found.append(_phase(config, layer, x, dy, rows, gradient, scale, sums, kernel, live,
                                pairs, phase, range(first, layer.kernel, layer.stride), shift))
    return found


def _phase(config: Config, layer: Layer, x: TurnedTile, dy: Tile, rows: range,
           gradient: Buffer | None, scale: int, sums: Sums, kernel: range | None,
           live: LiveWeights | None, pairs: Pairs, phase: int, across: range,
           shift: int) -> Operation:
    """The gradient of the columns `across` of the kernel, which take one phase of x; the first of
    them takes its first column to the errors' column `shift`."""
    kernel = kernel or range(layer.kernel)
    eights, height, ys = x.images // LANES, len(rows), dy.strides
    s, k, pad = layer.stride, layer.kernel, layer.padding
    outputs, inputs = pairs.outputs, pairs.inputs
    g = grouping(config, len(outputs), eights, height)
    together = divisor(len(inputs), config.block // LANES)
    top, down = rows.start * s - pad - x.row + kernel.start, rows.start - dy.row
    beside = min(dy.layout.together, LANES)
    skip = Skip.ELEMENTS if not x.inside else Skip.OUTPUTS if live else Skip.NONE
    size, old = sums.sizes(config, GROUP_WORDS)
    old = live.pitch if live else old
    size = live.pitch if live and sums.after else size

    def out(words: int) -> dict:
        return {"output": words * size, "aux": words * old}

    tile = TREES * k * len(kernel)  # rows from one channel block's gradient to the next
    tiles = tile * x.shape.blocks
    apart = outputs.step * tiles
    # rows into the gradient
    start = TREES * across.start + outputs.start * tiles + inputs.start * tile
    group = {"stream": g.images * x.eight_words, "stationary": dy.past(LANES * g.images)
             } if g.by_images else {
        "stream": (g.rows * s * x.row_words, g.rows * s, 0),
        "stationary": (g.rows * ys.row, g.rows, 0)}
    loops = [
        loop("q0", beside if beside > 1 else LANES, stationary=dy.past(1)),
        loop("q1", LANES // beside if beside > 1 else 1, stationary=dy.past(beside)),
        loop("p0", LANES, stream=x.channel_words, **out(1)),
        loop("p1", together, stream=x.map_words, **out(tile)),
        loop("r0", x.slot, stream=x.column_words, stationary=(ys.column, 0, 1)),
        loop("r1", x.columns // x.slot, stream=x.slot * x.column_words,
             stationary=(x.slot * ys.column, 0, x.slot)),
        loop("r2", g.rows, stream=(s * x.row_words, s, 0), stationary=(ys.row, 1, 0)),
        loop("r3", g.images, stream=x.eight_words, stationary=dy.past(LANES)),
        loop("core", g.cores, stationary=outputs.step * ys.block, **out(apart)),
        loop("b0", len(across), stationary=(-ys.column, 0, -1), **out(TREES * s)),
        loop("b1", len(kernel), stream=(x.row_words, 1, 0), **out(TREES * k)),
        loop("b2", len(inputs) // together, stream=together * x.map_words,
             **out(together * tile)),
        loop("b3", len(outputs) // g.cores, stationary=g.cores * outputs.step * ys.block,
             **out(g.cores * apart)),
        loop("group", g.groups, **group),
    ]
    registers = nest_registers(loops) | groups_registers(g, merge=True) | sums.registers(
        start * old) | {
        "tensor.stream.base": {"address": At(
            x.buffer, top * x.row_words + phase * x.phase_words + inputs.start * x.map_words)},
        "tensor.stream.window": {"y": top, "height": x.shape.height},
        "tensor.stationary.base": {"address": At(
            dy.buffer, dy.at(down, shift) + outputs.start * ys.block)},
        "tensor.stationary.window": {"y": down, "x": shift, "height": down + height,
                                     "width": dy.shape.width},
        "tensor.output.base": {"address": At(sums.after or gradient, start * size)},
        "tensor.mode": {"stationary": E5M2, "stream": E4M3, "transpose": 1, "output": BINARY32,
                        "scale": 0 if sums.after else scale, **sums.mode,
                        **skipping(config, skip)},
    }
    reads = [x.buffer, dy.buffer, *sums.reads]
    if live:
        registers["tensor.mode"]["mask"] = 1
        registers["tensor.mask.base"] = {"address": At(live.buffer, live.first + start * old)}
        reads.append(live.buffer)
    return Operation(f"{layer.name} WU", Unit.TENSOR, registers, reads, [sums.after or gradient])


def passes_of(x: TurnedTile, rows: int) -> int:
    """Passes that an operation over so many rows of the outputs adds up."""
    return rows * x.columns * x.images // LANES
