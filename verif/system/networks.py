"""Small random networks and data sets, to push odd shapes through compiler, model and chip."""

import numpy as np

from winnow.compiler.training import Recipe, TrainingProgram
from winnow.datasets import Dataset
from winnow.network import Conv, Linear, Network, Shape
from winnow.session import Session

BATCH = 8


def random_network(generator: np.random.Generator) -> Network:
    """One to three convolutions of any kernel and stride, then a fully connected layer."""
    shape = Shape(int(generator.choice([1, 3, 8, 11])), *map(int, generator.integers(3, 10, 2)))
    layers, rows, columns = [], shape.height, shape.width
    for i in range(int(generator.integers(1, 4))):
        kernels = [k for k in (1, 3, 5, 7) if k <= min(rows, columns) + 2 * (k // 2)]
        kernel = int(generator.choice(kernels))
        least = max(0, -(-(kernel - min(rows, columns)) // 2))
        padding = int(generator.integers(least, kernel // 2 + 1))
        stride = int(generator.integers(1, 3))
        channels = int(generator.integers(6, 20))  # fewer, and maps underflow to nothing
        layers.append(Conv(f"conv{i}", channels, kernel, stride, padding,
                           relu=bool(generator.random() < 0.8)))
        rows, columns = ((side + 2 * padding - kernel) // stride + 1 for side in (rows, columns))
    layers.append(Linear("fc", int(generator.integers(2, 12))))
    return Network("random", shape, tuple(layers))


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
    program = TrainingProgram(config, network, Recipe(epochs=1, batch=BATCH, rates=((0, 0.01),)),
                              steps * BATCH, BATCH)
    return Session(program, data, int(generator.integers(1 << 30)))
