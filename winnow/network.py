"""Network descriptions: what a user writes. `winnow.graph` gives them shapes."""

from dataclasses import dataclass, replace

from isa.config import LANES
from winnow.errors import UserError

# Names of the first layer of a head, which reads the features, and of the first of a predictor,
# which reads the embeddings.
PROJECTION, PREDICTION = "projection", "prediction"


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
class Window:
    """Square windows of a pooling, side by side without `stride`. What is left over beyond the last
    whole window is not used."""

    kernel: int
    stride: int | None = None
    padding: int = 0


@dataclass(frozen=True)
class Conv:
    """A convolution with a square kernel; then batch normalisation or a bias; then perhaps ReLU
    and a max pooling over windows (a number: windows of that side)."""

    name: str
    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    relu: bool = True
    norm: bool = False
    pool: int | Window = 1


@dataclass(frozen=True)
class Linear:
    """A fully connected layer over everything that the map before it holds. The last one gives the
    scores and has no bias."""

    name: str
    channels: int
    relu: bool = False


@dataclass(frozen=True)
class Residual:
    """ReLU of the sum of `body` and what goes in, or `shortcut` of it.

    `body` ends with a convolution; neither it nor `shortcut` has ReLU or pool.
    """

    name: str
    body: "tuple[Conv | Residual | MaxPool | AveragePool, ...]"
    shortcut: Conv | None = None


@dataclass(frozen=True)
class MaxPool:
    """The largest pixel of each window; padding is never the largest."""

    name: str
    window: Window = Window(2)


@dataclass(frozen=True)
class AveragePool:
    """The mean over each window, padding counted as zeros, or without windows over all pixels."""

    name: str
    window: Window | None = None


@dataclass(frozen=True)
class Network:
    """A chain of layers, the last a fully connected one with a score for each class."""

    name: str
    input: Shape
    layers: tuple[Conv | Linear | Residual | MaxPool | AveragePool, ...]

    @property
    def classes(self) -> int:
        return self.layers[-1].channels

    def on(self, shape: Shape) -> "Network":
        """The same layers on images of another shape."""
        return replace(self, input=shape)

    def with_layers(self, layers: tuple) -> "Network":
        """Other layers on the same images."""
        return replace(self, layers=layers)


def _normalised(name: str, channels: int, **options) -> Conv:
    return Conv(name, channels, norm=True, **options)


def _residual(name: str, channels: int, stride: int = 1) -> Residual:
    shortcut = None if stride == 1 else _normalised(
        f"{name}s", channels, kernel=1, stride=stride, padding=0, relu=False)
    return Residual(name, (_normalised(f"{name}a", channels, stride=stride),
                           _normalised(f"{name}b", channels, relu=False)), shortcut)


NETWORKS = {network.name: network for network in (
    Network("digits", Shape(1, 8, 8), (
        Conv("conv1", 8),
        Conv("conv2", 16, stride=2),
        Conv("conv3", 16),
        Linear("fc", 10),
    )),
    Network("digits64", Shape(1, 8, 8), (
        Conv("conv1", 16),
        Conv("conv2", 32, stride=2),
        Conv("conv3", 64),
        Linear("fc", 10),
    )),
    Network("lenet5", Shape(3, 32, 32), (
        Conv("conv1", 6, kernel=5, padding=0, pool=2),
        Conv("conv2", 16, kernel=5, padding=0, pool=2),
        Linear("fc1", 120, relu=True),
        Linear("fc2", 84, relu=True),
        Linear("fc3", 10),
    )),
    Network("vgg7", Shape(3, 32, 32), (
        _normalised("conv1", 32),
        _normalised("conv2", 64, pool=2),
        _normalised("conv3", 128),
        _normalised("conv4", 128, pool=2),
        _normalised("conv5", 128, pool=2),
        Linear("fc1", 128, relu=True),
        Linear("fc2", 10),
    )),
    Network("resnet8", Shape(3, 32, 32), (
        _normalised("conv1", 16),
        _residual("block1", 16),
        _residual("block2", 32, stride=2),
        _residual("block3", 64, stride=2),
        AveragePool("pool"),
        Linear("fc", 10),
    )),
)}


def named(name: str) -> Network:
    """The network called `name`; `NetworkError` lists those there are."""
    if name not in NETWORKS:
        raise NetworkError(f"network {name!r} is unknown: there are {', '.join(NETWORKS)}")
    return NETWORKS[name]
