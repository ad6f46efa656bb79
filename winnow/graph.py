"""Networks with shapes: what is computed, and from what.

A `Layer` is a convolution as the machine sees it; its output is stored as it leaves the drain. A
`Map` is what layers read: formed from stored outputs by normalisation, shortcut, ReLU and pooling.
"""

from dataclasses import dataclass, field

from isa.config import LANES
from winnow.network import AveragePool, Conv, Linear, Network, NetworkError, Residual, Shape


@dataclass(frozen=True)
class Taps:
    """The kernel of a first layer that the host unrolls."""

    kernel: int
    stride: int
    padding: int


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
    average: bool = False  # constant weights: the mean over the pixels
    taps_as_channels: Taps | None = None
    is_linear: bool = False
    is_last: bool = False
    source: Shape | None = None  # the map as the network describes it, before such a view

    @property
    def tiles(self) -> int:
        """8x8 weight tiles."""
        return self.input.blocks * self.output.blocks * self.kernel**2

    @property
    def macs(self) -> int:
        """Multiply-adds of one image: outputs x channels x kernel x kernel, padding included."""
        if self.average:
            return 0
        taps = self.taps_as_channels.kernel if self.taps_as_channels else self.kernel
        return self.output.channels * self.output.pixels * self.source.channels * (
            self.source.pixels if self.is_linear else taps**2)


@dataclass(eq=False)
class Map:
    """What layers read.

    pool(relu(the stored output of `source`, normalised where its layer says so, + `identity` or
    the normalised output of `shortcut`)).
    """

    name: str
    shape: Shape
    source: int | None = None  # a layer; None for the images
    relu: bool = False
    pool: int = 1
    identity: "Map | None" = None
    shortcut: int | None = None
    readers: list[int] = field(default_factory=list)  # layers
    added_to: "list[Map]" = field(default_factory=list)


@dataclass
class Graph:
    """All layers in the order of the forward pass, what each reads, and the maps in their order."""

    network: Network
    layers: list[Layer] = field(default_factory=list)
    inputs: list[Map] = field(default_factory=list)
    maps: list[Map] = field(default_factory=list)
    outputs: list[Map | None] = field(default_factory=list)  # of each layer; None for the scores


def lower(network: Network) -> Graph:
    """The graph of `network`; `NetworkError` if its layers do not fit together."""
    if not network.layers or not isinstance(network.layers[-1], Linear):
        raise NetworkError(f"network {network.name}: must end with a fully connected layer")
    return _Lowering(network).graph


class _Lowering:
    def __init__(self, network: Network):
        self.graph = Graph(network)
        here = self._map(Map("images", network.input))
        for layer in network.layers:
            _positive(layer)
            match layer:
                case Conv():
                    here = self._conv(layer, here)
                case Linear():
                    here = self._linear(layer, here, layer is network.layers[-1])
                case Residual():
                    here = self._residual(layer, here)
                case AveragePool():
                    here = self._average(layer, here)

    def _map(self, made: Map) -> Map:
        self.graph.maps.append(made)
        return made

    def _layer(self, layer: Layer, reads: Map) -> int:
        number = len(self.graph.layers)
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
        output = self.graph.layers[number].output
        return self._output(number, Map(f"map of {conv.name}", _pooled(conv, output), number,
                                        conv.relu, conv.pool))

    def _convolution(self, conv: Conv, reads: Map, relu: bool) -> int:
        shape = reads.shape
        _check(conv, shape)
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
        _require(len(block.body) > 0, block, "has no layers")
        for conv in block.body[:-1]:
            here = self._conv(conv, here)
        last = block.body[-1]
        for conv in filter(None, (last, block.shortcut)):
            _require(conv.norm and not conv.relu and conv.pool == 1, conv,
                     "the last layer of a residual body, and its shortcut, must be normalised and "
                     "without ReLU and pool")
        _require(reads.source is not None, block, "cannot come first")
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

    def _average(self, pool: AveragePool, reads: Map) -> Map:
        shape = reads.shape
        _require(shape.pixels & (shape.pixels - 1) == 0 and shape.pixels <= 64, pool,
                 f"{shape.pixels} pixels: must be a power of two, at most 64")
        number = self._layer(Layer(pool.name, shape, Shape(shape.channels), 1, 1, 0, average=True,
                                   source=shape), reads)
        return self._output(number, Map(f"map of {pool.name}", Shape(shape.channels), number))

    def _linear(self, linear: Linear, reads: Map, last: bool) -> Map | None:
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


def _positive(layer) -> None:
    if isinstance(layer, Conv | Linear):
        _require(layer.channels > 0, layer, f"channels = {layer.channels}: must be positive")


def _check(conv: Conv, shape: Shape) -> None:
    _positive(conv)
    _require(conv.kernel in (1, 3, 5, 7), conv, f"kernel = {conv.kernel}: must be 1, 3, 5 or 7")
    _require(conv.stride in (1, 2), conv, f"stride = {conv.stride}: must be 1 or 2")
    _require(0 <= conv.padding < conv.kernel, conv,
             f"padding = {conv.padding}: must be from 0 to kernel - 1 = {conv.kernel - 1}")
    _require(1 <= conv.pool <= 3, conv, f"pool = {conv.pool}: must be 1, 2 or 3")


def _pooled(conv: Conv, output: Shape) -> Shape:
    for side in (output.height, output.width):
        _require(side % conv.pool == 0, conv, f"pool = {conv.pool}: must divide the map {output}")
    return Shape(output.channels, output.height // conv.pool, output.width // conv.pool)
