"""Maps and errors formed from what is stored (docs/training.md): one vector operation each. What
has to do with pools is in pools.py."""

from dataclasses import dataclass

from isa.formats import FormatCode
from isa.registers import Activation
from winnow.compiler.drains import GROUP_WORDS
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.tiles import Tile
from winnow.compiler.vector import E4M3, E5M2, K0, K1, K2, ONE, ZERO, Stream, T, X, Y, vector

COEFFICIENT_WORDS = 12  # K0, K1, K2 of a channel block


@dataclass(frozen=True)
class Coefficients:
    """K0, K1 and K2 of the channel blocks from `first` on."""

    buffer: Buffer
    first: int = 0

    @property
    def where(self) -> tuple[Buffer, int, int]:
        return self.buffer, self.first * COEFFICIENT_WORDS, COEFFICIENT_WORDS


RELU, PLAIN = Activation.RELU, Activation.NONE


def counts(tile: Tile, together: int = 1) -> tuple[int, ...]:
    """Loops over all words of a tile, channel blocks outermost; images are two loops where so many
    of a tile of the operation lie side by side."""
    shape = tile.shape
    return shape.width, shape.height, *over(tile.images, together), 1, shape.blocks


def over(images: int, together: int) -> tuple[int, int]:
    """Loops over images: those that lie side by side, and groups of them."""
    return (images, 1) if together == 1 else (together, images // together)


def steps(tile: Tile, together: int = 1) -> tuple[int, ...]:
    """Steps of these loops."""
    s = tile.strides
    return s.column, s.row, *past(tile, together), 0, s.block


def past(tile: Tile, together: int) -> tuple[int, int]:
    """Steps of the loops over images."""
    return tile.past(1), 0 if together == 1 else tile.past(together)


def normalised(label: str, x: Tile, y: Tile, coefficients: Coefficients, relu: bool,
               other: Tile | None = None, scaled: bool = False) -> Operation:
    """y = relu(K0 * x + K1 + other), in E4M3; `other` times K2 if it is `scaled`."""
    streams = {"x": Stream(x.buffer, E4M3, steps(x)), "o0": Stream(y.buffer, E4M3, steps(y))}
    u = ()
    if other:
        streams["y"] = Stream(other.buffer, E4M3, steps(other))
        u = (Y, K2 if scaled else ONE, T)
    return vector(label, counts(x), (X, K0, K1), u, activation=RELU if relu else PLAIN,
                  channel=0b111 if scaled else 0b011,
                  coefficients=coefficients.where, **streams)


def added(label: str, a: Tile, b: Tile, out: Tile, fmt: FormatCode,
          relu: bool = False) -> Operation:
    """out = relu(a + b), all in one format."""
    side = out.layout.together
    return vector(label, counts(a, side), (X, ONE, ZERO), (Y, ONE, T),
                  activation=RELU if relu else PLAIN,
                  **{name: Stream(tile.buffer, fmt, steps(tile, side))
                     for name, tile in (("x", a), ("y", b), ("o0", out))})


def copied(label: str, x: Tile, y: Tile, fmt: FormatCode) -> Operation:
    """y = x, which may lie differently."""
    side = y.layout.together
    return vector(label, counts(y, side), (X, ONE, ZERO), x=Stream(x.buffer, fmt, steps(x, side)),
                  o0=Stream(y.buffer, fmt, steps(y, side)))


def masked(label: str, sums: Buffer, mask: Tile, out: Tile) -> Operation:
    """out = sums where the mask is not zero, in E5M2; sums in binary32 that lie like it."""
    side = out.layout.together
    return vector(label, counts(out, side), (X, ONE, ZERO), activation=Activation.MASK,
                  x=Stream(sums, FormatCode.BINARY32,
                           tuple(GROUP_WORDS * s for s in steps(out, side))),
                  z=Stream(mask.buffer, E4M3, steps(mask, side)),
                  o0=Stream(out.buffer, E5M2, steps(out, side)))


def gated(label: str, dy: Tile, gates: Tile, both: Tile) -> Operation:
    """Errors twice as many channel blocks deep, their channels last: dy, and behind it dy where the
    gates are open."""
    side, blocks = dy.layout.together, dy.shape.blocks
    return vector(label, counts(dy, side), (X, ONE, ZERO), activation=Activation.MASK,
                  x=Stream(dy.buffer, E5M2, steps(dy, side)),
                  z=Stream(gates.buffer, E4M3, steps(gates, side)),
                  o0=Stream(both.buffer, E5M2, steps(both, side), u=False),
                  o1=Stream(both.buffer, E5M2, steps(both, side), blocks))


def opened(label: str, dy: Tile, gates: Tile, out: Tile) -> Operation:
    """out = dy where the gates are open, else 0."""
    side = dy.layout.together
    return vector(label, counts(dy, side), (X, ONE, ZERO), activation=Activation.MASK,
                  x=Stream(dy.buffer, E5M2, steps(dy, side)),
                  z=Stream(gates.buffer, E4M3, steps(gates, side)),
                  o0=Stream(out.buffer, E5M2, steps(out, side)))


def error(label: str, dy: Tile, x: Tile, coefficients: Coefficients,
          backwards: bool) -> Operation:
    """dy becomes dx = K0 * dy + K1 * x + K2, in place."""
    side = dy.layout.together
    return vector(label, counts(dy, side), (X, K1, K2), (Y, K0, T), channel=0b111,
                  backwards=backwards, coefficients=coefficients.where,
                  x=Stream(x.buffer, E4M3, steps(x, side)),
                  y=Stream(dy.buffer, E5M2, steps(dy, side)),
                  o0=Stream(dy.buffer, E5M2, steps(dy, side)))
