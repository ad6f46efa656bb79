"""Convolutions whose stream is the weights: zero elements are then pruned weights.

A stationary tile is 8 pixels of a channel block of the map (FP) or the errors (BP); a word of the
stream is 8 weights that are summed over: of 8 inputs of one output, or of 8 outputs of one input.
The positions of a block are these outputs or inputs, and the drain turns 8 words of 8 pixels into 8
words of 8 channels. So sums, and what is written, are those of `nests`, to the last bit.
"""

from dataclasses import dataclass, replace
from itertools import product
from math import ceil, prod

from isa.config import LANES, TREES, Config
from isa.registers import BLOCKS, POSITIONS, REDUCTION, ROWS, Skip, Unit
from winnow.compiler.drains import Beside
from winnow.compiler.nests import skipping, taps, window
from winnow.compiler.operations import At, Buffer, Loop, Operation, loop, nest_registers
from winnow.compiler.tiles import Tile, divisor
from winnow.compiler.vector import E4M3, E5M2, ONE, ZERO, Stream, X, vector
from winnow.graph import Layer


@dataclass(frozen=True)
class StreamedWeights:
    """Weights of a layer in the order of the stream: block of positions, what is summed over, tap,
    8 positions, words of a slot; in BP what is summed over is outermost. Slots are channel blocks,
    or the columns of the kernel where these are more, and begin at multiples of `Config.slot`.

    Parameters
    ----------
    back : for BP: a word is 8 outputs of an input, else 8 inputs of an output
    """

    config: Config
    layer: Layer
    back: bool
    buffer: Buffer

    @classmethod
    def new(cls, config: Config, layer: Layer, back: bool) -> "StreamedWeights":
        made = cls(config, layer, back, Buffer(
            f"streamed weights of {layer.name} {'BP' if back else 'FP'}", 0))
        made.buffer.words = made.pitch * layer.tiles * TREES // made.slot
        return made

    @property
    def summed(self) -> int:
        """Channel blocks that are summed over."""
        return (self.layer.output if self.back else self.layer.input).blocks

    @property
    def blocks(self) -> int:
        """Channel blocks of the positions."""
        return (self.layer.input if self.back else self.layer.output).blocks

    @property
    def pitch(self) -> int:
        """Words from a slot to the next."""
        return self.config.slot

    @property
    def _together(self) -> int:
        return divisor(self.summed, self.config.slot)

    @property
    def by_columns(self) -> bool:
        """Whether a slot is the columns of a row of the kernel."""
        layer = self.layer
        fits = self._together < layer.kernel <= self.config.slot
        return fits and not (self.back and layer.stride > 1)

    @property
    def slot(self) -> int:
        """Words of a slot."""
        return self.layer.kernel if self.by_columns else self._together

    @property
    def column(self) -> int:
        """Words from a column of the kernel to the next."""
        return 1 if self.by_columns else LANES * self.pitch

    @property
    def row(self) -> int:
        return LANES * self.pitch * (1 if self.by_columns else self.layer.kernel)

    @property
    def _taps(self) -> int:
        return self.row * self.layer.kernel

    @property
    def rounds(self) -> int:
        """Groups of channel blocks that are summed over, of a slot or one each."""
        return self.summed if self.by_columns else self.summed // self.slot

    @property
    def round(self) -> int:
        """Words from one of them to the next."""
        return self._taps * (self.blocks if self.back else 1)

    @property
    def block(self) -> int:
        """Words from a block of positions to the next."""
        return self._taps * (1 if self.back else self.rounds)

    def made(self, weights: Buffer) -> Operation:
        """All of them, of weights as `Parameters` has them, 8 channels of 8 outputs."""
        k, layer, pitch = self.layer.kernel, self.layer, self.pitch
        tile, whole = TREES * k * k, TREES * k * k * layer.input.blocks
        outputs, inputs = layer.output.blocks, layer.input.blocks
        across = (k, TREES, self.column), (k, TREES * k, self.row)
        if self.by_columns:
            blocks = [(inputs, tile, self.block if self.back else self.round),
                      (outputs, whole, self.round if self.back else self.block)]
        else:
            across = ((k * k, TREES, self.column),)
            apart, (count, step) = ((outputs, whole), (inputs, tile)) if self.back else (
                (inputs, tile), (outputs, whole))
            blocks = [(self.slot, apart[1], 1),
                      (apart[0] // self.slot, self.slot * apart[1], self.round),
                      (count, step, self.block)]
        counts, steps, outs = zip((TREES, 1, pitch), (1, 0, 0), *across, *blocks, strict=True)
        return vector(f"stream {layer.name}", counts, (X, ONE, ZERO),
                      x=Stream(weights, E4M3, steps),
                      o0=Stream(self.buffer, E4M3, outs, turn=not self.back))


@dataclass(frozen=True)
class _Axis:
    """Pixels of the outputs along columns or rows, or images: how many, and the steps of the tiles,
    of the outputs and of what lies beside these. Ends may be `ragged`: windows cut them."""

    count: int
    tile: tuple[int, int, int]
    out: tuple[int, int, int]
    beside: int
    ragged: bool = False

    def loop(self, name: str, count: int, far: int) -> Loop:
        """A loop of steps of `far` pixels or images."""
        stride, dy, dx = (far * step for step in self.tile)
        if name in ROWS:
            return loop(name, count, stationary=(stride, dy, dx))
        streams = {"output": tuple(far * step for step in self.out), "aux": far * self.beside}
        if name not in POSITIONS:
            streams["stationary"] = stride, dy, dx
        return loop(name, count, **streams)


@dataclass(frozen=True)
class _Pixels:
    """Which 8 pixels are a tile, by axis, and along which axis the cores have theirs."""

    axes: tuple[_Axis, ...]
    eight: tuple[int, ...]
    cores: tuple[int, ...]

    @property
    def sets(self) -> list[int]:
        """Blocks along each axis."""
        return [ceil(a.count / (e * c)) for a, e, c in zip(
            self.axes, self.eight, self.cores, strict=True)]

    @property
    def exact(self) -> bool:
        """Whether no tile reaches beyond an edge."""
        return all(a.count % (e * c) == 0 for a, e, c in zip(
            self.axes, self.eight, self.cores, strict=True))

    @classmethod
    def of(cls, config: Config, axes: tuple[_Axis, ...], exact: bool) -> "_Pixels | None":
        """The choice with the fewest blocks, then pixels of the first axes. Images are cut evenly,
        and with `exact` rows and columns; None if these cannot be."""
        powers = [1 << i for i in range(LANES.bit_length())]
        found = []
        for eight in product(powers, repeat=len(axes)):
            if prod(eight) != LANES or sum(e > 1 for e in eight) > len(ROWS):
                continue
            for cores in range(1, config.cores + 1):
                for at in range(len(axes)):
                    each = tuple(cores if i == at else 1 for i in range(len(axes)))
                    if all(a.ragged or a.count % (e * c) == 0 for a, e, c in zip(
                            axes, eight, each, strict=True)):
                        found.append(cls(axes, eight, each))
        found = [p for p in found if len(p.outer()) < len(BLOCKS) and (p.exact or not exact)]
        return min(found, key=lambda p: (prod(p.sets), prod(p.cores), *(-e for e in p.eight)),
                   default=None)

    def inner(self) -> list[tuple[_Axis, int]]:
        """Axes of the pixels of a tile, and how many along each."""
        return [(a, e) for a, e in zip(self.axes, self.eight, strict=True) if e > 1]

    def core(self) -> tuple[_Axis, int, int]:
        """The axis of the cores, how many, and how many pixels apart."""
        at = max(range(len(self.axes)), key=lambda i: self.cores[i])
        return self.axes[at], self.cores[at], self.eight[at]

    def turned(self, label: str, x: Tile, first: int, y: Tile) -> Operation:
        """Errors that are added, of which y, like x, takes 8 channels of 8 pixels as 8 words of a
        channel; from word `first` on. No tile reaches beyond an edge."""
        loops = [(e, a.out[0]) for a, e in self.inner()]
        loops += [(1, 0)] * (len(ROWS) - len(loops))
        loops += [(a.count // e, e * a.out[0])
                  for a, e in zip(self.axes, self.eight, strict=True) if a.count > e]
        loops.append((x.shape.blocks, x.strides.block))
        counts, steps = zip(*loops, strict=True)
        return vector(label, counts, (X, ONE, ZERO), x=Stream(x.buffer, E5M2, steps, first),
                      o0=Stream(y.buffer, E5M2, steps, first, turn=True))

    def outer(self) -> list[Loop]:
        """Loops over blocks, from b0 on."""
        sizes = [e * c for e, c in zip(self.eight, self.cores, strict=True)]
        moved = [(a, n, size) for a, n, size in zip(self.axes, self.sets, sizes, strict=True)
                 if n > 1]
        return [a.loop(f"b{i}", n, size) for i, (a, n, size) in enumerate(moved)]


def _axes(still: Tile, out: Tile, beneath: Tile, columns: int, rows: int, s_in: int,
          s_out: int) -> tuple[_Axis, ...]:
    """Images that lie side by side, columns, rows, groups of images."""
    together, xs, ys, zs = still.layout.together, still.strides, out.strides, beneath.strides

    def images(count: int, step: int) -> _Axis:
        return _Axis(count, (still.past(step), 0, 0), (out.past(step), 0, 0), beneath.past(step))

    across = _Axis(columns, (s_in * xs.column, 0, s_in), (s_out * ys.column, 0, s_out),
                   s_out * zs.column, ragged=True)
    down = _Axis(rows, (s_in * xs.row, s_in, 0), (s_out * ys.row, s_out, 0), s_out * zs.row,
                 ragged=True)
    side = [images(together, 1)] if together > 1 else []
    groups = out.images // together
    return *side, across, down, *([images(groups, together)] if groups > 1 else [])


def _operation(config: Config, label: str, weights: StreamedWeights, pixels: _Pixels, still: Tile,
               out: Tile, beneath: Tile, sums: list[tuple[int, int, tuple[int, int, int]]],
               first: int, registers: dict, mode: dict) -> Operation:
    """`sums` are the loops of what is summed over beside slots of channel blocks: count, words of
    the stream, step of the tile. `first` is the word of the stream that each sum begins with."""
    ys, zs = out.strides, beneath.strides
    axis, cores, apart = pixels.core()
    together = divisor(weights.blocks, config.block // LANES)
    inner, outer = pixels.inner(), pixels.outer()
    positions, step = [], weights.pitch
    for name, (each, count) in zip(POSITIONS, inner, strict=False):
        positions.append(replace(made := each.loop(name, count, 1), steps=made.steps | loop(
            name, count, stream=step).steps))
        step *= count
    loops = [
        *(each.loop(name, count, 1) for name, (each, count) in zip(ROWS, inner, strict=False)),
        *positions,
        loop(POSITIONS[len(positions)], together, stream=weights.block, output=ys.block,
             aux=zs.block),
        *(loop(name, count, stream=words, stationary=move)
          for name, (count, words, move) in zip(REDUCTION, sums, strict=False)),
        axis.loop("core", cores, apart),
        *outer,
        loop(f"b{len(outer)}", weights.blocks // together, stream=together * weights.block,
             output=together * ys.block, aux=together * zs.block),
    ]
    return Operation(label, Unit.TENSOR, nest_registers(loops) | registers | {
        "tensor.stream.base": {"address": At(weights.buffer, first)},
        "tensor.mode": {"stream": E4M3, "turn_output": 1, **mode,
                        **skipping(config, Skip.ELEMENTS)},
    }, [still.buffer, weights.buffer], [out.buffer])


def forward(config: Config, layer: Layer, x: Tile, weights: StreamedWeights,
            y: Tile) -> Operation:
    """y = x * weights, perhaps with ReLU, in E4M3: parts of the layer's maps as in `nests`."""
    s, k, pad, xs = layer.stride, layer.kernel, layer.padding, x.strides
    pixels = _Pixels.of(config, _axes(x, y, y, y.shape.width, y.shape.height, s, 1), False)
    top = y.row * s - pad - x.row
    sums = [(k, weights.column, (xs.column, 0, 1)), (k, weights.row, (xs.row, 1, 0))]
    return _operation(config, f"{layer.name} FP", weights, pixels, x, y, y,
                      _slotted(weights, sums, xs.block), 0, {
        "tensor.stationary.base": {"address": At(x.buffer, x.at(top, -pad))},
        "tensor.stationary.window": window(top, -pad, x.shape),
        "tensor.output.base": {"address": At(y.buffer)},
        "tensor.output.window": window(0, 0, y.shape),
    }, {"stationary": E4M3, "output": E4M3, "relu": int(layer.relu)})


def backward(config: Config, layer: Layer, dy: Tile, weights: StreamedWeights, dx: Tile, row: int,
             column: int, beside: Beside) -> list[Operation]:
    """dx = dy convolved with the transposed weights, for inputs of one parity, as in `nests`, but
    without statistics; an element is turned before it is added. Nothing if no tap reaches them, dx
    has no such row, or pixels with an element do not fill tiles."""
    s, k, ys = layer.stride, layer.kernel, dy.strides
    down = (row - dx.row) % s
    rows, columns = -(-(dx.shape.height - down) // s), -(-(dx.shape.width - column) // s)
    (ky, taps_y, oy), (kx, taps_x, ox) = (
        taps(k, s, layer.padding, parity) for parity in (row, column))
    if rows <= 0 or not (taps_x and taps_y):
        return []
    oy += (dx.row + down - row) // s - dy.row
    beneath, element, first = beside.lies(dx), beside.element, dx.at(down, column)
    pixels = _Pixels.of(config, _axes(dy, dx, beneath, columns, rows, 1, s), element is not None)
    if not pixels:
        return []
    operations = []
    if element:
        turned = replace(element, buffer=Buffer(f"{element.buffer.name} turned",
                                                element.buffer.words))
        operations.append(pixels.turned(f"turn {element.buffer.name}", element, first, turned))
        beside = replace(beside, element=turned)
    sums = [(taps_x, s * weights.column, (-ys.column, 0, -1)),
            (taps_y, s * weights.row, (-ys.row, -1, 0))]
    made = _operation(config, f"{layer.name} BP", weights, pixels, dy, dx, beneath,
                      _slotted(weights, sums, ys.block), ky * weights.row + kx * weights.column,
                      beside.registers(down, column) | {
        "tensor.stationary.base": {"address": At(dy.buffer, dy.at(oy, ox))},
        "tensor.stationary.window": window(oy, ox, dy.shape),
        "tensor.output.base": {"address": At(dx.buffer, first)},
        "tensor.output.window": window(down, column, dx.shape),
    }, {"stationary": E5M2, "output": E5M2, **beside.mode})
    made.reads.extend(beside.reads)
    return [*operations, made]


def _slotted(weights: StreamedWeights, sums: list, block: int) -> list:
    """Loops of a sum, slots innermost; `block` is from a channel block of the tiles to the next."""
    if weights.by_columns:
        return [*sums, (weights.rounds, weights.round, (block, 0, 0))]
    slot = weights.slot
    return [(slot, 1, (block, 0, 0)), *sums,
            (weights.rounds, weights.round, (slot * block, 0, 0))]
