"""Small random networks and data sets, to push odd shapes through compiler, model and chip."""

import numpy as np

from isa.formats import E4M3
from sim import floats
from verif.reference.float_network import FloatNetwork, plain_weights
from winnow.compiler.recipe import Recipe
from winnow.compiler.training import TrainingProgram
from winnow.datasets import Dataset
from winnow.network import AveragePool, Conv, Linear, Network, Residual, Shape
from winnow.session import Session

BATCH = 8


class _Random:
    """Makes layers that fit one another."""

    def __init__(self, generator: np.random.Generator):
        self.generator = generator
        self.shape = Shape(int(generator.choice([1, 3, 8, 11])),
                           *(2 * int(side) for side in generator.integers(2, 6, 2)))
        self.input = self.shape
        self.layers = []

    def chance(self, share: float) -> bool:
        return bool(self.generator.random() < share)

    def conv(self, name: str, **options) -> Conv:
        rows, columns = self.shape.height, self.shape.width
        kernels = [k for k in (1, 3, 5, 7) if k <= min(rows, columns) + 2 * (k // 2)]
        kernel = int(self.generator.choice(kernels))
        least = max(0, -(-(kernel - min(rows, columns)) // 2))
        padding = int(self.generator.integers(least, kernel // 2 + 1))
        conv = Conv(name, int(self.generator.integers(6, 20)), kernel,
                    int(self.generator.integers(1, 3)), padding, **options)
        self.after(conv)
        return conv

    def after(self, conv: Conv) -> None:
        rows, columns = ((side + 2 * conv.padding - conv.kernel) // conv.stride + 1
                         for side in (self.shape.height, self.shape.width))
        self.shape = Shape(conv.channels, rows, columns)

    def residual(self, name: str) -> Residual:
        into, stride = self.shape, int(self.generator.integers(1, 3))
        channels = into.channels if stride == 1 and self.chance(0.5) else int(
            self.generator.integers(6, 20))
        body = (Conv(f"{name}a", channels, stride=stride, norm=True),
                Conv(f"{name}b", channels, norm=True, relu=False))
        for conv in body:
            self.after(conv)
        shortcut = None if self.shape == into else Conv(
            f"{name}s", channels, 1, stride, 0, norm=True, relu=False)
        return Residual(name, body, shortcut)


def random_network(generator: np.random.Generator) -> Network:
    """One to three convolutions or residual blocks, perhaps pools, then fully connected layers."""
    make = _Random(generator)
    for i in range(int(generator.integers(1, 4))):
        if i and make.chance(0.3):
            make.layers.append(make.residual(f"block{i}"))
            continue
        conv = make.conv(f"conv{i}", relu=make.chance(0.8), norm=make.chance(0.5))
        if not make.shape.height % 2 and not make.shape.width % 2 and make.chance(0.5):
            conv = Conv(**{**vars(conv), "pool": 2})
            make.shape = Shape(make.shape.channels, make.shape.height // 2, make.shape.width // 2)
        make.layers.append(conv)
    if make.shape.pixels in (2, 4, 8, 16) and make.chance(0.5):
        make.layers.append(AveragePool("pool"))
    if make.chance(0.3):
        make.layers.append(Linear("hidden", int(generator.integers(6, 20)), relu=True))
    make.layers.append(Linear("fc", int(generator.integers(2, 12))))
    return Network("random", make.input, tuple(make.layers))


def random_data(network: Network, generator: np.random.Generator, images: int) -> Dataset:
    """Images of small numbers and labels at random; a test set of one batch."""
    shape = images + BATCH, network.input.height, network.input.width, network.input.channels
    pixels = (generator.integers(0, 17, shape) / 8).astype(np.float32)
    labels = generator.integers(0, network.classes, shape[0])
    return Dataset("random", pixels[:images], labels[:images], pixels[images:], labels[images:])


def random_session(config, generator: np.random.Generator, steps: int = 2) -> Session:
    """A session of one epoch of a random network."""
    network = random_network(generator)
    data = random_data(network, generator, steps * BATCH)
    recipe = Recipe(epochs=1, batch=BATCH, rates=((0, 0.01),), error_scale=8,
                    loss=str(generator.choice(["mse", "softmax"])))
    return Session(TrainingProgram(config, network, recipe), data, int(generator.integers(1 << 30)))


def float_network(session: Session, dtype=np.float64) -> FloatNetwork:
    """The network of a session in floating point, with the weights as the machine stores them."""
    weights = {layer.name: plain_weights(layer, floats.decode(E4M3, floats.encode(E4M3, w)[0]))
               for layer, w in zip(session.program.layers, session.weights, strict=True)
               if w is not None}
    return FloatNetwork(session.program.network, weights, dtype, session.program.recipe.loss)
