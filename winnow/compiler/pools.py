"""Max pooling as vector operations: the largest of each window, and errors back to the winners.

Windows that reach over the edge of a map are shorter: the map's outputs are cut into rectangles
whose windows are alike, with an operation for each. A winner is known by its number in its window.
"""

from dataclasses import dataclass, replace
from itertools import chain

from isa.registers import Reduce
from winnow.compiler.drains import GROUP_WORDS
from winnow.compiler.forms import PLAIN, RELU, Coefficients, over, past
from winnow.compiler.layouts import BLOCKED, Layout
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.tiles import Part, Tile
from winnow.compiler.vector import (
    BINARY32,
    E4M3,
    E5M2,
    K0,
    K1,
    K2,
    ONE,
    ZERO,
    Stream,
    T,
    X,
    Y,
    vector,
)
from winnow.graph import Pool
from winnow.network import Shape

EXACT = 16  # E4M3 holds all whole numbers up to here


@dataclass(frozen=True)
class Stretch:
    """Outputs along one axis whose windows are alike: the first and how many, the first input of
    the first window, and the inputs of a window."""

    output: int
    count: int
    input: int
    length: int


def stretches(side: int, size: int, stride: int, padding: int, outputs: int,
              begin: int = 0) -> list[Stretch]:
    """All outputs along an axis of `side` inputs, in order. `begin` is where the first window
    would begin without padding."""
    found: list[Stretch] = []
    for output in range(outputs):
        here = begin + output * stride - padding
        first, end = max(here, 0), min(here + size, side)
        last = found[-1] if found else None
        if last and end - first == last.length and first == last.input + last.count * stride:
            found[-1] = Stretch(last.output, last.count + 1, last.input, last.length)
        else:
            found.append(Stretch(output, 1, first, end - first))
    return found


def _rectangles(pool: Pool, x: Tile, y: Tile) -> list[tuple[Stretch, Stretch]]:
    """Rows and columns of all outputs in y, in the words of x, which holds all that is under their
    windows."""
    shape, out = x.shape, y.shape
    rows = stretches(shape.height, pool.rows, pool.stride, pool.padding, out.height,
                     y.row * pool.stride - x.row)
    columns = stretches(shape.width, pool.columns, pool.stride, pool.padding, out.width)
    return [(r, c) for r in rows for c in columns]


@dataclass(frozen=True)
class Numbers:
    """Numbers of winners in their windows, one for each output."""

    tile: Tile  # the shape of the outputs; a word of it takes `size` words
    size: int

    @classmethod
    def new(cls, pool: Pool, part: Part, whole: Shape, layout: Layout = BLOCKED) -> "Numbers":
        """Room for those of a part of a map of shape `whole`."""
        size, tile = number_words(pool), Tile.new("winners' numbers", part, whole, layout)
        tile.buffer.words *= size
        return cls(tile, size)


def number_words(pool: Pool) -> int:
    """Words of 8 numbers."""
    return 1 if pool.rows * pool.columns - 1 <= EXACT else GROUP_WORDS


def _outputs(tile: Tile, fmt, rows: Stretch, columns: Stretch, size: int = 1,
             together: int = 1) -> tuple:
    """Format, steps (columns, rows, two of images, blocks) and first word of a rectangle of
    outputs."""
    s = tile.strides
    steps = tuple(size * step for step in (s.column, s.row, *past(tile, together), s.block))
    return fmt, steps, size * tile.at(rows.output, columns.output)


def _number(number: Numbers, rows: Stretch, columns: Stretch, together: int = 1) -> tuple:
    fmt = E4M3 if number.size == 1 else BINARY32
    return _outputs(number.tile, fmt, rows, columns, number.size, together)


def _once(buffer: Buffer, placed: tuple) -> Stream:
    """A stream that moves once for each window."""
    fmt, (column, row, image, _, block), first = placed
    return Stream(buffer, fmt, (0, 0, column, row, image, block), first)


def largest(label: str, x: Tile, pool: Pool, relu: bool, coefficients: Coefficients | None,
            y: Tile | None = None, winner: Tile | None = None,
            number: Numbers | None = None) -> list[Operation]:
    """The largest relu(K0 * x + K1) of each window, its x and its number in the window; those of
    the three that are wanted. Without coefficients it is the largest x."""
    shape, out = x.shape, y or winner or number.tile
    t = (X, K0, K1) if coefficients else (X, ONE, ZERO)
    operations = []
    for rows, columns in _rectangles(pool, x, out):
        counts = columns.length, rows.length, columns.count, rows.count, x.images, shape.blocks
        s = x.strides
        steps = s.column, s.row, pool.stride * s.column, pool.stride * s.row, x.past(1), s.block
        streams = {"x": Stream(x.buffer, E4M3, steps, x.at(rows.input, columns.input))}
        for name, tile in (("o0", y), ("o1", winner)):
            if tile:
                streams[name] = _once(tile.buffer, _outputs(tile, E4M3, rows, columns))
        if number:
            streams["o2"] = _once(number.tile.buffer, _number(number, rows, columns))
        operations.append(vector(
            label, counts, t, activation=RELU if relu and coefficients else PLAIN,
            reduce=Reduce.MAX, channel=0b011 if coefficients else 0,
            coefficients=coefficients.where if coefficients else None, **streams))
    return operations


def error(label: str, dy: Tile, number: Numbers, x: Tile, dx: Tile, pool: Pool,
          coefficients: Coefficients | None, rows: range) -> list[Operation]:
    """dx = K0 * dy + K1 * x + K2, dy added up over the windows that x won; dx may be x.

    Without coefficients it is dy there and zero elsewhere. Where windows overlap, sums are made in
    binary32 and rounded once, those of `rows` of the map: of others dy may lack some windows.
    """
    sends = _Error(label, dy, number, x, dx, pool, coefficients, rows)
    return sends.apart() if pool.stride == pool.rows == pool.columns else sends.overlapping()


def error_words(pool: Pool) -> int:
    """Words that `error` takes beside its arguments for each word of its inputs."""
    return 0 if pool.stride == pool.rows == pool.columns else GROUP_WORDS


@dataclass(frozen=True)
class _Error:
    """The arguments of `error`, and the two ways to do it."""

    label: str
    dy: Tile
    number: Numbers
    x: Tile
    dx: Tile
    pool: Pool
    coefficients: Coefficients | None
    rows: range

    @property
    def together(self) -> int:
        """Images of dx that lie side by side."""
        return self.dx.layout.together

    def apart(self) -> list[Operation]:
        """Every input belongs to one window, or to none at the lower and right edge."""
        shape = self.x.shape
        rectangles = _rectangles(self.pool, self.x, self.dy)
        rows, columns = (s.input + (s.count - 1) * self.pool.stride + s.length
                         for s in rectangles[-1])
        places = [self._place(r, c, E5M2, self.dx, 1) for r, c in rectangles]
        return [*chain(*places),
                *self._rest(rows, 0, shape.height - rows, shape.width),
                *self._rest(0, columns, rows, shape.width - columns)]

    def overlapping(self) -> list[Operation]:
        shape = self.dx.shape
        sums = replace(self.dx, buffer=Buffer("sums of errors",
                                              GROUP_WORDS * self.dx.buffer.words))
        places = [self._place(r, c, BINARY32, sums, GROUP_WORDS)
                  for r, c in _rectangles(self.pool, self.x, self.dy)]
        counts = self._counts(shape.width, len(self.rows))
        first = self.dx.at(self.rows.start - self.dx.row, 0)
        whole = Stream(sums.buffer, BINARY32, self._large(sums, GROUP_WORDS))
        return [*self._rest(0, 0, shape.height, shape.width, whole), *chain(*places),
                vector(self.label, counts, (X, ONE, ZERO),
                       x=replace(whole, offset=GROUP_WORDS * first),
                       o0=Stream(self.dx.buffer, E5M2, self._large(self.dx), first))]

    def _counts(self, columns: int, rows: int) -> tuple[int, ...]:
        """Loops over a rectangle of all images and blocks."""
        return columns, rows, *over(self.dx.images, self.together), 1, self.dx.shape.blocks

    def _large(self, tile: Tile, size: int = 1, step: int = 1) -> tuple[int, ...]:
        """Steps of these loops through inputs."""
        s = tile.strides
        return tuple(size * words for words in (
            step * s.column, step * s.row, *past(tile, self.together), 0, s.block))

    def _rest(self, row: int, column: int, rows: int, columns: int,
              into: Stream | None = None) -> list[Operation]:
        """A rectangle of inputs without dy: what x and its coefficients give, else zero."""
        if not (rows and columns):
            return []
        x, dx = self.x, self.dx
        streams = {"o0": into or Stream(dx.buffer, E5M2, self._large(dx), dx.at(row, column))}
        options, t = {}, (ZERO, ZERO, ZERO)
        if self.coefficients:
            streams["x"] = Stream(x.buffer, E4M3, self._large(x), x.at(row, column))
            options, t = self._options, (X, K1, K2)
        return [vector(self.label, self._counts(columns, rows), t, **options, **streams)]

    @property
    def _options(self) -> dict:
        return {"channel": 0b111, "coefficients": self.coefficients.where}

    def _place(self, rows: Stretch, columns: Stretch, fmt, out: Tile, size: int):
        """Operations for the windows of a rectangle, one for each place in a window; to `out`
        directly, or, where errors are summed, added to what is there."""
        step, dy, x, together = self.pool.stride, self.dy, self.x, self.together
        counts = self._counts(columns.count, rows.count)
        streams = {}
        for name, (kind, steps, first), buffer in (
                ("y", _outputs(dy, E5M2, rows, columns, together=together), dy.buffer),
                ("z", _number(self.number, rows, columns, together), self.number.tile.buffer)):
            streams[name] = Stream(buffer, kind, (*steps[:4], 0, steps[4]), first)
        summed, operations = fmt is BINARY32, []
        for place in range(rows.length * columns.length):
            row, column = (side.input + i for side, i in zip(
                (rows, columns), divmod(place, columns.length), strict=True))
            streams["o0"] = Stream(out.buffer, fmt, self._large(out, size, step),
                                   size * out.at(row, column))
            options, t, u = {}, (Y, ONE, ZERO), ()
            if summed:
                streams["x"] = streams["o0"]
                t, u = (X, ONE, ZERO), (Y, K0 if self.coefficients else ONE, T)
            elif self.coefficients:
                streams["x"] = Stream(x.buffer, E4M3, self._large(x, 1, step), x.at(row, column))
                t, u = (X, K1, K2), (Y, K0, T)
            if self.coefficients:
                options = self._options
            operations.append(vector(self.label, counts, t, u, gate=place, **options, **streams))
        return operations
