"""Small random networks and data sets, to push odd shapes through compiler, model and chip."""

from dataclasses import replace

import numpy as np

from isa.formats import E4M3
from sim import floats
from verif.reference.float_network import FloatNetwork, plain_weights
from verif.system.self_supervised import SelfSupervisedNetwork
from winnow.compiler.recipe import Recipe
from winnow.compiler.training import TrainingProgram
from winnow.datasets import Dataset
from winnow.network import AveragePool, Conv, Linear, MaxPool, Network, Residual, Shape, Window
from winnow.session import Session

BATCH = 8
LEAST_PIXELS = 8  # that a normalisation is over, of each image


class _Random:
    """Makes layers that fit one another."""

    def __init__(self, generator: np.random.Generator):
        self.generator = generator
        sides = generator.integers(1, 14, 2)
        if generator.random() < 0.1:
            sides[0] = 1
        self.shape = Shape(self.pick(1, 2, 3, 4, 5, 7, 8, 13, 17), *map(int, sides))
        self.input = self.shape
        self.layers = []
        self.count = 0

    def chance(self, share: float) -> bool:
        return bool(self.generator.random() < share)

    def pick(self, *choices) -> int:
        return int(self.generator.choice(choices))

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def window(self, most: int, stride: int) -> tuple[int, int]:
        """A kernel and a padding that fit the map."""
        while True:
            kernel = self.pick(*range(1, most + 1, 2)) if stride else self.pick(*range(1, most + 1))
            padding = self.pick(kernel // 2, *range(kernel))
            if min(self.shape.height, self.shape.width) + 2 * padding >= kernel:
                return kernel, padding

    def to(self, channels: int, kernel: int, stride: int, padding: int) -> None:
        """The shape after windows of this kind."""
        self.shape = Shape(channels, *((side + 2 * padding - kernel) // stride + 1
                                       for side in (self.shape.height, self.shape.width)))

    def conv(self) -> Conv:
        kernel, padding = self.window(7, 1)
        channels, stride = self.pick(5, 6, 8, 11, 13, 17, 19, 29), self.pick(1, 2)
        self.to(channels, kernel, stride, padding)
        conv = Conv(self.name("conv"), channels, kernel, stride, padding, relu=self.chance(0.8),
                    norm=self.norm())
        return replace(conv, pool=self.pool(5)) if self.chance(0.4) else conv

    def norm(self) -> bool:
        """Whether the layer that gives the present shape is normalised: not over so few values
        that roundings decide."""
        return self.shape.pixels >= LEAST_PIXELS and self.chance(0.6)

    def pool(self, most: int) -> Window:
        """Windows with or without overlap, gaps and padding."""
        kernel, padding = self.window(most, 0)
        stride = None if self.chance(0.5) else self.pick(*range(1, kernel + 2))
        self.to(self.shape.channels, kernel, stride or kernel, padding)
        return Window(kernel, stride, padding)

    def mean_window(self) -> Window:
        """Windows that padding does not fill: means must not vanish."""
        side = min(self.shape.height, self.shape.width)
        kernel = self.pick(*range(1, min(side, 7) + 1))
        window = Window(kernel, self.pick(*range(1, kernel + 2)),
                        self.pick(*range(kernel // 2 + 1)))
        self.to(self.shape.channels, kernel, window.stride, window.padding)
        return window

    def same(self, channels: int, stride: int, **options) -> Conv:
        """A convolution that keeps the size of the map, or halves it."""
        kernel = self.pick(1, 3, 3, 5)
        self.to(channels, kernel, stride, kernel // 2)
        return Conv(self.name("conv"), channels, kernel, stride, kernel // 2,
                    norm=self.norm(), **options)

    def residual(self, may_halve: bool = True) -> Residual:
        """A block of one to three convolutions, any of which may halve the map, perhaps with
        another block or a pool inside."""
        into, length, body = self.shape, self.pick(1, 2, 3), []
        halves = self.pick(-1, 0, 1, 2) if may_halve else -1
        if may_halve and self.chance(0.15):
            body.append(self.residual(False))
        if self.chance(0.15):
            body.append(MaxPool(self.name("max"), Window(3, 1, 1)))
        if self.chance(0.15):
            body.append(AveragePool(self.name("mean"), Window(3, 1, 1)))
        for i in range(length):
            last = i == length - 1
            keep = last and self.chance(0.5)
            body.append(self.same(into.channels if keep else self.pick(6, 8, 13, 16),
                                  2 if i == halves else 1, relu=not last))
        made, self.shape = self.shape, into
        shortcut = None
        if made != into or self.chance(0.3):
            stride = 2 if halves in range(length) else 1
            shortcut = self.same(made.channels, stride, relu=False)
        self.shape = made
        return Residual(self.name("block"), tuple(body), shortcut)

    def layer(self, first: bool):
        """Any layer but a fully connected one."""
        kind = self.generator.random()
        if kind < 0.25 and not first:
            return self.residual()
        if kind < 0.35:
            return MaxPool(self.name("max"), self.pool(5))
        if kind < 0.45:
            return AveragePool(self.name("mean"), self.mean_window())
        return self.conv()


def random_network(generator: np.random.Generator) -> Network:
    """One to three layers of any kind, perhaps an average over all pixels, then fully connected
    layers."""
    make = _Random(generator)
    for i in range(make.pick(1, 2, 3)):
        make.layers.append(make.layer(not i))
    if make.chance(0.3):
        make.layers.append(AveragePool("mean"))
    if make.chance(0.3):
        make.layers.append(Linear("hidden", int(generator.integers(6, 20)), relu=True))
    make.layers.append(Linear("fc", int(generator.integers(2, 12))))
    return Network("random", make.input, tuple(make.layers))


def random_data(network: Network, generator: np.random.Generator, images: int) -> Dataset:
    """Normal images that E4M3 holds and labels at random; a test set of one batch."""
    shape = images + BATCH, network.input.height, network.input.width, network.input.channels
    pixels = floats.decode(E4M3, floats.encode(E4M3, generator.standard_normal(shape).astype(
        np.float32))[0])
    labels = generator.integers(0, network.classes, shape[0])
    return Dataset("random", pixels[:images], labels[:images], pixels[images:], labels[images:])


LOW_PRECISION = {"masters": "bfloat16", "moments": "bfloat16", "rounding": "stochastic",
                 "scaling": "dynamic", "error_scale": 17, "clean_steps": 2}


def random_session(config, generator: np.random.Generator, steps: int = 2,
                   network: Network | None = None, **recipe) -> Session:
    """A session of one epoch of a network, by default a random one, with a recipe changed by
    `recipe`."""
    network = network or random_network(generator)
    data = random_data(network, generator, steps * BATCH)
    recipe = Recipe(**{"epochs": 1, "batch": BATCH, "rates": ((0, 0.01),), "error_scale": 8,
                       "loss": str(generator.choice(["mse", "softmax"]))} | recipe)
    return Session(TrainingProgram(config, network, recipe), data, int(generator.integers(1 << 30)))


def float_network(session: Session, dtype=np.float64,
                  kind: type[FloatNetwork] | None = None) -> FloatNetwork:
    """The network of a session in floating point, with the weights as the machine stores them."""
    weights = {layer.name: plain_weights(layer, floats.decode(E4M3, floats.encode(E4M3, w)[0]))
               for layer, w in zip(session.program.layers, session.weights, strict=True)
               if w is not None}
    recipe = session.program.recipe
    kind = kind or (SelfSupervisedNetwork if recipe.by_host else FloatNetwork)
    return kind(session.program.network, weights, dtype, recipe.loss)
