"""Maps and errors formed from what is stored (docs/training.md): one vector operation each. What
has to do with pools is in pools.py."""

from dataclasses import dataclass

from isa.formats import FormatCode
from isa.registers import Activation
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


def counts(tile: Tile) -> tuple[int, ...]:
    """Loops over all words of a tile, channel blocks outermost."""
    shape = tile.shape
    return shape.width, shape.height, tile.images, 1, 1, shape.blocks


def steps(tile: Tile) -> tuple[int, ...]:
    """Steps of these loops."""
    return 1, tile.shape.width, tile.image_words, 0, 0, tile.map_words


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
    return vector(label, counts(a), (X, ONE, ZERO), (Y, ONE, T), activation=RELU if relu else PLAIN,
                  **{name: Stream(tile.buffer, fmt, steps(tile))
                     for name, tile in (("x", a), ("y", b), ("o0", out))})


def error(label: str, dy: Tile, x: Tile, coefficients: Coefficients,
          backwards: bool) -> Operation:
    """dy becomes dx = K0 * dy + K1 * x + K2, in place."""
    return vector(label, counts(dy), (X, K1, K2), (Y, K0, T), channel=0b111,
                  backwards=backwards, coefficients=coefficients.where,
                  x=Stream(x.buffer, E4M3, steps(x)), y=Stream(dy.buffer, E5M2, steps(dy)),
                  o0=Stream(dy.buffer, E5M2, steps(dy)))
