"""Maps and errors formed from what is stored (docs/training.md): one vector operation each, but for
the errors behind a pool."""

from dataclasses import dataclass

from isa.registers import Activation, Reduce
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.tiles import Tile
from winnow.compiler.vector import E4M3, E5M2, K0, K1, K2, ONE, ZERO, Stream, T, X, Y, vector
from winnow.network import Shape

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


def _counts(tile: Tile) -> tuple[int, ...]:
    shape = tile.shape
    return shape.width, shape.height, tile.images, 1, 1, shape.blocks


def _steps(tile: Tile) -> tuple[int, ...]:
    return 1, tile.shape.width, tile.image_words, 0, 0, tile.map_words


def normalised(label: str, x: Tile, y: Tile, coefficients: Coefficients, relu: bool,
               other: Tile | None = None, scaled: bool = False) -> Operation:
    """y = relu(K0 * x + K1 + other), in E4M3; `other` times K2 if it is `scaled`."""
    streams = {"x": Stream(x.buffer, E4M3, _steps(x)), "o0": Stream(y.buffer, E4M3, _steps(y))}
    u = ()
    if other:
        streams["y"] = Stream(other.buffer, E4M3, _steps(other))
        u = (Y, K2 if scaled else ONE, T)
    return vector(label, _counts(x), (X, K0, K1), u, activation=RELU if relu else PLAIN,
                  channel=0b111 if scaled else 0b011,
                  coefficients=coefficients.where, **streams)


def pooled(label: str, x: Tile, pool: int, relu: bool, coefficients: Coefficients | None,
           y: Tile | None = None, winner: Tile | None = None,
           number: Tile | None = None) -> Operation:
    """The largest relu(K0 * x + K1) of each window, its x and its number in the window; those of
    the three that are wanted. Without coefficients it is the largest x."""
    shape, out = x.shape, (y or winner or number).shape
    counts = pool, pool, out.width, out.height, x.images, shape.blocks
    steps = 1, shape.width, pool, pool * shape.width, x.image_words, x.map_words
    streams = {"x": Stream(x.buffer, E4M3, steps)}
    for name, tile in (("o0", y), ("o1", winner), ("o2", number)):
        if tile:
            streams[name] = Stream(tile.buffer, E4M3, (0, 0, 1, out.width, tile.image_words,
                                                       tile.map_words))
    t = (X, K0, K1) if coefficients else (X, ONE, ZERO)
    return vector(label, counts, t, activation=RELU if relu and coefficients else PLAIN,
                  reduce=Reduce.MAX, channel=0b011 if coefficients else 0,
                  coefficients=coefficients.where if coefficients else None,
                  **streams)


def error(label: str, dy: Tile, x: Tile, coefficients: Coefficients) -> Operation:
    """dy becomes dx = K0 * dy + K1 * x + K2, in place."""
    steps = _steps(dy)
    return vector(label, _counts(dy), (X, K1, K2), (Y, K0, T), channel=0b111,
                  coefficients=coefficients.where,
                  x=Stream(x.buffer, E4M3, _steps(x)), y=Stream(dy.buffer, E5M2, steps),
                  o0=Stream(dy.buffer, E5M2, steps))


def unpooled_error(label: str, dy: Tile, number: Tile, x: Tile, pool: int,
                   coefficients: Coefficients | None) -> list[Operation]:
    """x becomes dx = K0 * dy + K1 * x + K2, in place; dy counts where its window's winner is.

    Without coefficients it is dy there and zero elsewhere.
    """
    out: Shape = dy.shape
    counts = out.width, out.height, dy.images, 1, 1, out.blocks
    small = 1, out.width, dy.image_words, 0, 0, dy.map_words
    large = pool, pool * x.shape.width, x.image_words, 0, 0, x.map_words
    operations = []
    for place in range(pool * pool):
        offset = place // pool * x.shape.width + place % pool
        streams = {"y": Stream(dy.buffer, E5M2, small), "z": Stream(number.buffer, E4M3, small),
                   "o0": Stream(x.buffer, E5M2, large, offset)}
        if coefficients:
            streams["x"] = Stream(x.buffer, E4M3, large, offset)
            options = {"channel": 0b111, "coefficients": coefficients.where}
            t, u = (X, K1, K2), (Y, K0, T)
        else:
            options, t, u = {}, (Y, ONE, ZERO), ()
        operations.append(vector(label, counts, t, u, gate=place, **options, **streams))
    return operations
