"""Networks with shapes: what is computed, and from what.

A `Layer` is a convolution as the machine sees it; its output is stored as it leaves the drain. A
`Map` is what layers read: formed from stored outputs by normalisation, shortcut, ReLU and pooling.
"""

from dataclasses import dataclass, field

from isa.config import LANES
from winnow.network import (
    AveragePool,
    Conv,
    Linear,
    MaxPool,
    Network,
    NetworkError,
    Residual,
    Shape,
    Window,
)

MAX_KERNEL = 5  # of a max pooling: the vector unit's gate tells 31 places apart
MAX_SIDE = 2047  # pixels: rows and columns are 12 bits, with sign


@dataclass(frozen=True)
class Taps:
    """The kernel of a first layer that the host unrolls."""

    kernel: int
    stride: int
    padding: int


@dataclass(frozen=True)
class Pool:
    """Windows of a pooling over a map; what is left over beyond the last whole one is not used."""

    rows: int
    columns: int
    stride: int
    padding: int = 0
    largest: bool = True  # else the mean, padding counted as zeros

    def rows_read(self, rows: range, height: int) -> range:
        """Rows of a map of so many rows under the windows of some rows of the output."""
        first = rows.start * self.stride - self.padding
        last = (rows.stop - 1) * self.stride - self.padding + self.rows
        return range(max(0, first), min(last, height))

    def rows_reached(self, rows: range, height: int) -> range:
        """Rows of an output of so many rows whose windows hold some rows of the map; at least
        one."""
        first = -(-(rows.start + self.padding - self.rows + 1) // self.stride)
        last = (rows.stop - 1 + self.padding) // self.stride + 1
        first = max(0, min(first, height - 1))
        return range(first, max(first + 1, min(last, height)))

    def over(self, shape: Shape) -> Shape:
        """What becomes of a map."""
        return Shape(shape.channels, *(
            (side + 2 * self.padding - size) // self.stride + 1
            for side, size in ((shape.height, self.rows), (shape.width, self.columns))))


@dataclass(frozen=True)
class Layer:
    """A layer with its shapes.

    A first layer with few channels arrives from the host with its taps side by side as channels
    (`taps_as_channels`), a fully connected layer takes each word of an image as a channel block.
    """

    name: str
    input: Shape
    output: Shape
    kernel: int
    stride: int
    padding: int
    relu: bool = False  # at the drain
    bias: bool = False
    norm: bool = False  # the stored output is normalised by whoever reads it
    pool: Pool | None = None  # no weights: the largest or the mean of windows
    taps_as_channels: Taps | None = None
    is_linear: bool = False
    is_last: bool = False
    source: Shape | None = None  # the map as the network describes it, before such a view

    @property
    def reads(self) -> Shape:
        """The map that it reads, before the view of a fully connected layer."""
        return self.source if self.is_linear else self.input

    def rows_read(self, rows: range) -> range:
        """Rows of its input that some rows of its output need."""
        if self.is_linear:
            return range(self.reads.height)
        return (self.pool or self._window).rows_read(rows, self.input.height)

    def rows_reached(self, rows: range) -> range:
        """Rows of its output that some rows of its input reach; at least one."""
        if self.is_linear:
            return range(1)
        return (self.pool or self._window).rows_reached(rows, self.output.height)

    @property
    def _window(self) -> Pool:
        return Pool(self.kernel, self.kernel, self.stride, self.padding)

    @property
    def tiles(self) -> int:
        """8x8 weight tiles."""
        return self.input.blocks * self.output.blocks * self.kernel**2

    @property
    def learns(self) -> bool:
        """Whether it has weights."""
        return self.pool is None

    @property
    def weights(self) -> int:
        """Weights that the network describes, without those that fill up channel blocks."""
        return self.macs // self.output.pixels

    @property
    def macs(self) -> int:
        """Multiply-adds of one image: outputs x channels x kernel x kernel, padding included."""
        if self.pool:
            return 0
        taps = self.taps_as_channels.kernel if self.taps_as_channels else self.kernel
        return self.output.channels * self.output.pixels * self.source.channels * (
            self.source.pixels if self.is_linear else taps**2)


@dataclass(eq=False)
class Map:
    """What layers read.

    pool(relu(the stored output of `source`, normalised where its layer says so, + `identity` or
    the output of `shortcut`, normalised likewise)).
    """

    name: str
    shape: Shape
    source: int | None = None  # a layer; None for the images
    relu: bool = False
    pool: Pool | None = None
    identity: "Map | None" = None
    shortcut: int | None = None
    readers: list[int] = field(default_factory=list)  # layers
    added_to: "list[Map]" = field(default_factory=list)

    @property
    def adds(self) -> bool:
        """Whether it is a sum of two maps."""
        return self.identity is not None or self.shortcut is not None


@dataclass
class Graph:
    """All layers in the order of the forward pass, what each reads, and the maps in their order."""

    network: Network
    layers: list[Layer] = field(default_factory=list)
    inputs: list[Map] = field(default_factory=list)
    maps: list[Map] = field(default_factory=list)
    outputs: list[Map | None] = field(default_factory=list)  # of each layer; None for the scores

    def read_by(self, name: str) -> Map | None:
        """The map that the layer of that name reads, if there is such a layer."""
        return next((made for layer, made in zip(self.layers, self.inputs, strict=True)
                     if layer.name == name), None)


def lower(network: Network) -> Graph:
    """The graph of `network`; `NetworkError` if its layers do not fit together."""
    if not network.layers or not isinstance(network.layers[-1], Linear):
        raise NetworkError(f"network {network.name}: must end with a fully connected layer")
    image = network.input
    if image.channels < 1 or not all(1 <= side <= MAX_SIDE for side in (image.height, image.width)):
        raise NetworkError(f"network {network.name}: images of {image}: must have at least one "
                           f"channel, and 1 to {MAX_SIDE} rows and columns")
    return _Lowering(network).graph


class _Lowering:
    def __init__(self, network: Network):
        self.graph = Graph(network)
        here = self._map(Map("images", network.input))
        for layer in network.layers:
            here = self._any(layer, here)

    def _any(self, layer, reads: Map) -> Map | None:
        match layer:
            case Conv():
                return self._conv(layer, reads)
            case Linear():
                return self._linear(layer, reads)
            case Residual():
                return self._residual(layer, reads)
            case MaxPool():
                return self._pooling(layer, reads, _largest(layer, layer.window))
            case AveragePool():
                return self._pooling(layer, reads, _mean(layer, reads.shape))
        raise NetworkError(f"{layer!r}: is no layer")

    def _map(self, made: Map) -> Map:
        self.graph.maps.append(made)
        return made

    def _layer(self, layer: Layer, reads: Map) -> int:
        number = len(self.graph.layers)
        _require(layer.name not in {other.name for other in self.graph.layers}, layer,
                 "has the name of another layer")
        self.graph.layers.append(layer)
        self.graph.inputs.append(reads)
        self.graph.outputs.append(None)
        reads.readers.append(number)
        return number

    def _output(self, number: int, made: Map) -> Map:
        self.graph.outputs[number] = made
        return self._map(made)

    def _conv(self, conv: Conv, reads: Map) -> Map:
        number = self._convolution(conv, reads, relu=conv.relu and not conv.norm)
        output, pool = self.graph.layers[number].output, _fused(conv)
        return self._output(number, Map(
            f"map of {conv.name}", _pooled(conv, pool, output) if pool else output, number,
            conv.relu, pool))

    def _convolution(self, conv: Conv, reads: Map, relu: bool) -> int:
        shape = reads.shape
        _check(conv)
        height, width = ((side + 2 * conv.padding - conv.kernel) // conv.stride + 1
                         for side in (shape.height, shape.width))
        _require(height > 0 and width > 0, conv, f"kernel {conv.kernel} with padding "
                 f"{conv.padding} does not fit the map {shape}")
        output = Shape(conv.channels, height, width)
        options = {"relu": relu, "bias": not conv.norm, "norm": conv.norm, "source": shape}
        if reads.source is None and shape.channels < LANES and conv.kernel > 1:
            taps = Shape(shape.channels * conv.kernel**2, height, width)
            reads.shape = taps
            return self._layer(Layer(conv.name, taps, output, 1, 1, 0, **options,
                                     taps_as_channels=Taps(conv.kernel, conv.stride,
                                                           conv.padding)), reads)
        return self._layer(Layer(conv.name, shape, output, conv.kernel, conv.stride,
                                 conv.padding, **options), reads)

    def _residual(self, block: Residual, reads: Map) -> Map:
        here = reads
        _require(reads.source is not None, block,
                 "cannot come first: images arrive as one layer takes them")
        for layer in block.body:
            _require(not isinstance(layer, Linear), layer, "is fully connected, cannot be in a "
                     "residual body")
        _require(len(block.body) > 0 and isinstance(block.body[-1], Conv), block,
                 "its body must end with a convolution")
        for layer in block.body[:-1]:
            here = self._any(layer, here)
        last = block.body[-1]
        for conv in filter(None, (last, block.shortcut)):
            _require(not conv.relu and not _fused(conv), conv, "the last layer of a residual body, "
                     "and its shortcut, must be without ReLU and pool")
        number = self._convolution(last, here, relu=False)
        output, shortcut, other = self.graph.layers[number].output, None, reads.shape
        if block.shortcut:
            shortcut = self._convolution(block.shortcut, reads, relu=False)
            other = self.graph.layers[shortcut].output
        _require(other == output, block, f"adds maps of unlike shapes: {output} and {other}")
        made = Map(f"map of {block.name}", output, number, relu=True,
                   identity=None if block.shortcut else reads, shortcut=shortcut)
        if made.identity:
            reads.added_to.append(made)
        else:
            self.graph.outputs[shortcut] = made
        return self._output(number, made)

    def _pooling(self, layer: MaxPool | AveragePool, reads: Map, pool: Pool) -> Map:
        shape = reads.shape
        made = _pooled(layer, pool, shape)
        number = self._layer(Layer(layer.name, shape, made, 1, 1, 0, pool=pool, source=shape),
                             reads)
        return self._output(number, Map(f"map of {layer.name}", made, number))

    def _linear(self, linear: Linear, reads: Map) -> Map | None:
        _positive(linear)
        last = linear is self.graph.network.layers[-1]
        _require(not (last and linear.relu), linear, "gives the scores: must be without ReLU")
        flat = Shape(reads.shape.words * LANES)
        layer = Layer(linear.name, flat, Shape(linear.channels), 1, 1, 0, linear.relu,
                      bias=not last, is_linear=True, is_last=last, source=reads.shape)
        number = self._layer(layer, reads)
        if last:
            return None
        return self._output(number, Map(f"map of {linear.name}", layer.output, number,
                                        linear.relu))


def _require(holds: bool, layer, what: str) -> None:
    if not holds:
        raise NetworkError(f"layer {layer.name}: {what}")


def _positive(layer: Conv | Linear) -> None:
    _require(layer.channels > 0, layer, f"channels = {layer.channels}: must be positive")


def _check(conv: Conv) -> None:
    _positive(conv)
    _require(conv.kernel in (1, 3, 5, 7), conv, f"kernel = {conv.kernel}: must be 1, 3, 5 or 7")
    _require(conv.stride in (1, 2), conv, f"stride = {conv.stride}: must be 1 or 2")
    _require(0 <= conv.padding < conv.kernel, conv,
             f"padding = {conv.padding}: must be from 0 to kernel - 1 = {conv.kernel - 1}")


# Pools.


def _fused(conv: Conv) -> Pool | None:
    """The max pooling of a convolution, if it does anything."""
    window = Window(conv.pool) if isinstance(conv.pool, int) else conv.pool
    pool = _largest(conv, window)
    return None if pool == Pool(1, 1, 1) else pool


def _largest(layer, window: Window) -> Pool:
    _require(1 <= window.kernel <= MAX_KERNEL, layer,
             f"max pool of {window.kernel}: must be from 1 to {MAX_KERNEL}")
    return Pool(window.kernel, window.kernel, *_steps(layer, window))


def _mean(layer: AveragePool, shape: Shape) -> Pool:
    window = layer.window
    if window is None:
        return Pool(shape.height, shape.width, 1, largest=False)
    _require(window.kernel >= 1, layer, f"average pool of {window.kernel}: must be positive")
    return Pool(window.kernel, window.kernel, *_steps(layer, window), largest=False)


def _steps(layer, window: Window) -> tuple[int, int]:
    """Stride and padding."""
    stride = window.kernel if window.stride is None else window.stride
    _require(stride >= 1, layer, f"stride {stride} of its pool: must be positive")
    _require(0 <= window.padding < window.kernel, layer, f"padding {window.padding} of its pool: "
             f"must be from 0 to kernel - 1 = {window.kernel - 1}")
    return stride, window.padding


def _pooled(layer, pool: Pool, shape: Shape) -> Shape:
    made = pool.over(shape)
    _require(made.height > 0 and made.width > 0, layer, f"pool of {pool.rows}x{pool.columns} with "
             f"padding {pool.padding} does not fit the map {shape}")
    return made
