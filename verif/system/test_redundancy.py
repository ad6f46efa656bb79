"""What speculation on outputs that ReLU or a pool will drop could save in FP: VGG-7, CIFAR16.

Live masks whose outputs are known for nothing, or found by a preview, beside leaving out zero
elements; on the maps of a step of real training. A preview is the same convolution of coarser
operands, whose outputs are normalised like the real ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import pytest

from isa.config import LANES, TREES, WORD_BYTES, named
from isa.formats import E4M3
from sim import floats, slots
from verif.reference import convolution
from verif.system.studies import cifar16
from verif.system.test_networks import by_channel
from winnow import datasets, network
from winnow.bench import phases
from winnow.compiler.recipe import recipe_for
from winnow.compiler.training import TrainingProgram
from winnow.graph import Layer
from winnow.session import Session

CONFIG = named("bench")
STEPS = 300
BESIDE = 8, 4  # images and far-apart positions of a block
FALSE_DEAD = 0.01  # of all live outputs, at most
MARGINS = np.linspace(-1, 1, 201)  # in standard deviations
WORTH = 0.9  # of the cycles: no more than that a preview would have to leave
WIDE = 8  # positions that a preview does in the time of one


def power_of_two(x: np.ndarray) -> np.ndarray:
    """Sign and exponent."""
    return np.sign(x) * np.exp2(np.floor(np.log2(np.maximum(np.abs(x), 2.0**-12)))) * (x != 0)


PREVIEWS = {"signs and exponents": lambda x, w: (power_of_two(x), power_of_two(w)),
            "those of weights": lambda x, w: (x, power_of_two(w))}


@dataclass(frozen=True)
class Map:
    """A normalised layer in a step.

    Attributes
    ----------
    read : what it reads, as stored in FP8, (image, channel, row, column)
    weights : (output, channel, row, column)
    y : what it gives, normalised, before the ReLU
    scale, shift : by channel, (channel, 1, 1), in standard deviations: y = scale * x + shift
    pooled : the largest of 2 x 2 outputs stays
    """

    layer: Layer
    read: np.ndarray
    weights: np.ndarray
    y: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    pooled: bool

    def live(self, y: np.ndarray | None = None, margin: float = 0, losers: bool = True):
        """Which outputs are not dropped, by `y` in the place of its own, or by less than a
        margin."""
        y = self.y if y is None else y
        live = y > -margin
        if self.pooled and losers:
            live &= y >= windows(y).max(axis=(3, 5), keepdims=True).repeat(2, 3).repeat(
                2, 5).reshape(y.shape) - max(margin, 0)
        return live


def windows(y: np.ndarray) -> np.ndarray:
    n, c, h, w = y.shape
    return y.reshape(n, c, h // 2, 2, w // 2, 2)


def standard(x: np.ndarray) -> np.ndarray:
    """In standard deviations of its channel."""
    mean, sigma = (f(x, axis=(0, 2, 3), keepdims=True) for f in (np.mean, np.std))
    return (x - mean) / (sigma + 1e-9)


def stored(session: Session, memory: np.ndarray, number: int) -> np.ndarray:
    """What a layer stores, (image, channel, row, column)."""
    kept = session.program.memory.outputs[number]
    shape, strides = kept.shape, kept.layout.strides(kept.shape)
    images, blocks, rows, columns = np.ix_(*map(np.arange, (
        session.program.recipe.batch, shape.blocks, shape.height, shape.width)))
    words = (images * strides.group + blocks * strides.block + rows * strides.row
             + columns * strides.column)
    codes = memory[kept.address:][:WORD_BYTES * (words.max() + 1)].reshape(-1, WORD_BYTES)[words]
    values = np.moveaxis(floats.decode(E4M3, codes), 4, 2)
    return values.reshape(len(images), -1, shape.height, shape.width)[:, :shape.channels]


def maps(session: Session, memory: np.ndarray) -> Iterator[Map]:
    """The normalised layers of a chain, but for the first."""
    program, read = session.program, None
    pooled = {layer.name for layer in network.named("vgg7").layers
              if getattr(layer, "pool", 1) != 1}
    resident, at = {}, program.address("parameters")
    for buffer in program.memory.resident:
        resident[id(buffer)] = memory[at:at + WORD_BYTES * buffer.words].view(np.float32)
        at += WORD_BYTES * buffer.words
    for number, (layer, own) in enumerate(zip(program.layers, program.memory.parameters,
                                              strict=True)):
        if not layer.norm:
            continue
        x, channels = stored(session, memory, number), layer.output.channels
        scale, shift = (resident[id(b)][:channels].reshape(-1, 1, 1)
                        for b in (own.norm.gamma, own.norm.beta))
        y = scale * standard(x) + shift
        codes = memory[own.weights:own.weights + WORD_BYTES * own.weight_words]
        weights = by_channel(layer, floats.decode(E4M3, codes), program.memory.layouts)
        made = Map(layer, read, weights, y, scale, shift, layer.name in pooled)
        if read is not None:
            yield made
        y = np.maximum(y, 0)
        y = windows(y).max(axis=(3, 5)) if made.pooled else y
        read = floats.decode(E4M3, floats.encode(E4M3, y.astype(np.float32))[0])


def masked_time(live: np.ndarray) -> float:
    """Cycles over dense of trees that walk their own live positions in blocks of `BESIDE`."""
    images, positions = BESIDE
    n, c, *_ = live.shape
    blocks = live.reshape(n // images, images, c // TREES, TREES, positions, -1)
    return float(blocks.sum(axis=(1, 4)).max(axis=2).mean() / prod(BESIDE))


def packed_time(made: Map) -> float:
    """Cycles over dense of a stream of what a layer reads in slots of channel blocks. A slot takes
    at least one to be read, those beyond the edge of the map none."""
    x = made.read
    n, c, h, w = x.shape
    size = min(CONFIG.slot, c // LANES)
    words = (x != 0).reshape(n, c // (LANES * size), size, LANES, h * w)
    cycles, _ = slots.spread(words.sum(axis=2).transpose(0, 1, 3, 2).reshape(-1, LANES),
                             CONFIG.reach)
    inside = (convolution.columns(np.ones((1, 1, h, w)), made.layer.kernel, made.layer.stride,
                                  made.layer.padding)).mean()
    return float(np.maximum(cycles, 1).mean() / size * inside)


def previewed(made: Map, how) -> tuple[float, float, float]:
    """Cycles over dense with the smallest margin that takes few enough live outputs for dead, the
    share of these, and the share of dead outputs that are found."""
    read, weights = how(made.read, made.weights)
    y = made.scale * standard(convolution.forward(read, weights, made.layer.stride,
                                                  made.layer.padding)) + made.shift
    live = made.live()
    for margin in MARGINS:
        found = made.live(y, margin)
        missed = float((live & ~found).sum() / live.sum())
        if missed <= FALSE_DEAD:
            return masked_time(found), missed, float((~live & ~found).sum() / (~live).sum())
    raise AssertionError("no margin is wide enough")


@pytest.mark.slow
def test_speculation_beside_zero_elements():
    """All of FP but the first layer: what masks save beside zero elements a preview takes, even one
    eight times as wide as the array; so none is built."""
    data = cifar16()
    session = Session(TrainingProgram(CONFIG, datasets.network_for(network.named("vgg7"), data),
                                      recipe_for("vgg7")), data, 0)
    memory = phases.trained(session, STEPS)
    rows, weights = [], []
    for made in maps(session, memory):
        packed, relu, known = (packed_time(made), masked_time(made.live(losers=False)),
                               masked_time(made.live()))
        row = [packed, relu, known]
        text = f"{made.layer.name}: zero elements {packed:.3f}, ReLU {relu:.3f}, known {known:.3f}"
        for name, how in PREVIEWS.items():
            time, missed, recall = previewed(made, how)
            row.append(min(packed, time + 1 / WIDE))
            text += f"; {name} {time:.3f}, false dead {missed:.1%}, recall {recall:.0%}"
        print("\n" + text)
        rows.append([*row, min(packed, known)])
        weights.append(made.layer.macs)
    packed, relu, known, *charged, best = np.average(rows, axis=0, weights=weights)
    print(f"all: zero elements {packed:.3f}, ReLU {relu:.3f}, known {known:.3f}; the better of the "
          f"first and what is known for nothing {best:.3f}, or a preview {WIDE} times as wide: "
          + ", ".join(f"{name} {time:.3f}"
                      for name, time in zip(PREVIEWS, charged, strict=True)))
    assert best < packed < relu and min(charged) > WORTH * packed
