"""Network descriptions: layers by name, shapes inferred and checked."""

from dataclasses import dataclass

from isa.config import LANES
from winnow.errors import UserError


class NetworkError(UserError):
    """A network that has no meaning; the message names the layer, the value and the rule."""


@dataclass(frozen=True)
class Shape:
    """A feature map of one image."""

    channels: int
    height: int = 1
    width: int = 1

    @property
    def blocks(self) -> int:
        """Channel blocks: words at each pixel."""
        return -(-self.channels // LANES)

    @property
    def pixels(self) -> int:
        return self.height * self.width

    @property
    def words(self) -> int:
        """Words of one image."""
        return self.blocks * self.pixels

    def __str__(self):
        return f"{self.channels}x{self.height}x{self.width}"


@dataclass(frozen=True)
class Conv:
    """A convolution with bias, square kernel, and optionally ReLU."""

    name: str
    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    relu: bool = True


@dataclass(frozen=True)
class Linear:
    """A fully connected layer with bias, over everything that the map before it holds."""

    name: str
    channels: int
    relu: bool = False


@dataclass(frozen=True)
class Taps:
    """The kernel of a first layer that the host unrolls."""

    kernel: int
    stride: int
    padding: int


@dataclass(frozen=True)
class Layer:
    """A layer with its shapes: always a convolution, as the machine sees it.

    A first layer with few channels arrives from the host with its taps side by side as channels
    (`taps_as_channels`), a fully connected layer takes each word of an image as a channel block.
    """

    name: str
    input: Shape
    output: Shape
    kernel: int
    stride: int
    padding: int
    relu: bool
    taps_as_channels: Taps | None = None
    is_linear: bool = False
    source: Shape | None = None  # the map as the network describes it, before such a view

    @property
    def tiles(self) -> int:
        """8x8 weight tiles."""
        return self.input.blocks * self.output.blocks * self.kernel**2

    @property
    def macs(self) -> int:
        """Multiply-adds of one image: outputs x channels x kernel x kernel, padding included."""
        taps = self.taps_as_channels.kernel if self.taps_as_channels else self.kernel
        return self.output.channels * self.output.pixels * self.source.channels * (
            self.source.pixels if self.is_linear else taps**2)


@dataclass(frozen=True)
class Network:
    """A chain of layers, the last giving one score for each class."""

    name: str
    input: Shape
    layers: tuple[Conv | Linear, ...]

    @property
    def classes(self) -> int:
        return self.layers[-1].channels

    def lowered(self) -> tuple[Layer, ...]:
        """The layers as convolutions with shapes; `NetworkError` if they do not fit together."""
        if not self.layers:
            raise NetworkError(f"network {self.name}: has no layers")
        shape, lowered = self.input, []
        for i, layer in enumerate(self.layers):
            lowered.append(_linear(layer, shape) if isinstance(layer, Linear)
                           else _conv(layer, shape, first=i == 0))
            shape = lowered[-1].output
        if shape.pixels != 1:
            raise NetworkError(f"layer {lowered[-1].name}: gives {shape}, the last layer must give "
                               f"one pixel")
        return tuple(lowered)


def _require(holds: bool, layer: Conv | Linear, what: str) -> None:
    if not holds:
        raise NetworkError(f"layer {layer.name}: {what}")


def _linear(layer: Linear, shape: Shape) -> Layer:
    _require(layer.channels > 0, layer, f"channels = {layer.channels}: must be positive")
    flat = Shape(shape.words * LANES)
    return Layer(layer.name, flat, Shape(layer.channels), 1, 1, 0, layer.relu,
                 is_linear=True, source=shape)


def _conv(layer: Conv, shape: Shape, first: bool) -> Layer:
    _require(layer.channels > 0, layer, f"channels = {layer.channels}: must be positive")
    _require(layer.kernel in (1, 3, 5, 7), layer, f"kernel = {layer.kernel}: must be 1, 3, 5 or 7")
    _require(layer.stride in (1, 2), layer, f"stride = {layer.stride}: must be 1 or 2")
    _require(0 <= layer.padding < layer.kernel, layer,
             f"padding = {layer.padding}: must be from 0 to kernel - 1 = {layer.kernel - 1}")
    height, width = ((side + 2 * layer.padding - layer.kernel) // layer.stride + 1
                     for side in (shape.height, shape.width))
    _require(height > 0 and width > 0, layer,
             f"kernel {layer.kernel} with padding {layer.padding} does not fit the map {shape}")
    output = Shape(layer.channels, height, width)
    if first and shape.channels < LANES and layer.kernel > 1:
        taps = Shape(shape.channels * layer.kernel**2, height, width)
        return Layer(layer.name, taps, output, 1, 1, 0, layer.relu,
                     Taps(layer.kernel, layer.stride, layer.padding), source=shape)
    return Layer(layer.name, shape, output, layer.kernel, layer.stride, layer.padding,
                 layer.relu, source=shape)


NETWORKS = {
    "digits": Network("digits", Shape(1, 8, 8), (
        Conv("conv1", 8),
        Conv("conv2", 16, stride=2),
        Conv("conv3", 16),
        Linear("fc", 10),
    )),
}


def named(name: str) -> Network:
    """The network called `name`; `NetworkError` lists those there are."""
    if name not in NETWORKS:
        raise NetworkError(f"network {name!r} is unknown: there are {', '.join(NETWORKS)}")
    return NETWORKS[name]
