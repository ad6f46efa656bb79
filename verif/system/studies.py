"""Runs on CIFAR16 that studies of accuracy are made of: which network, data, rates and seeds.

CIFAR-10 is read from the path in WINNOW_CIFAR10.
"""

import os
from dataclasses import replace
from math import cos, pi
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from isa import config
from isa.config import LANES, TREES, WORD_BYTES
from verif.system.paired import late, on_the_model
from winnow import datasets, network
from winnow.compiler.recipe import Recipe, recipe_for
from winnow.compiler.training import TrainingProgram
from winnow.datasets import Dataset
from winnow.session import Session

SEEDS = range(5)
EPOCHS = {"vgg7": 2, "resnet8": 4}
RATE = {"vgg7": 0.015, "resnet8": 0.05}  # in VGG-7 a rate of 0.05 leaves fc1 nearly dead
PATH = "WINNOW_CIFAR10"


def cifar16(train: int | None = None, test: int | None = None) -> Dataset:
    if PATH not in os.environ:
        pytest.skip(f"{PATH} is not set: the path of CIFAR-10, an .npz file or its folder")
    return datasets.load("cifar16", Path(os.environ[PATH]), train, test)


def sessions(dataset: Dataset, net: str, chip: str, recipe: Recipe, seeds) -> list[Session]:
    """On a chip without slots: the model is faster, the bits are the same (test_layouts.py). Gates
    need slots."""
    wanted = config.named(chip)
    program = TrainingProgram(wanted if recipe.gate else wanted.with_(slot=1, reach=0),
                              datasets.network_for(network.named(net), dataset), recipe)
    return [Session(program, dataset, seed) for seed in seeds]


def study(net: str, seeds=SEEDS, **mechanisms) -> list[Session]:
    """All images there are, `EPOCHS`, with some mechanisms of a `Recipe`."""
    recipe = replace(recipe_for(net), epochs=EPOCHS[net], rates=cosine(RATE[net], EPOCHS[net]),
                     **mechanisms)
    return sessions(cifar16(), net, "bench", recipe, seeds)


def cosine(rate: float, epochs: int) -> tuple[tuple[int, float], ...]:
    """Learning rates by epoch: half a wave from `rate` down to nearly nothing."""
    return tuple((epoch, round(rate * (1 + cos(pi * (epoch + 0.5) / epochs)) / 2, 5))
                 for epoch in range(epochs))


class Trained(NamedTuple):
    """What became of a run: test accuracy, loss over the last quarter of the steps, shares of
    zero weights and of zero tiles (8 x 8) in the layers that may be pruned, and the share of the
    multiply-adds of training that were left out because images were skipped."""

    accuracy: float
    loss: float
    zero_weights: float
    zero_tiles: float
    skipped: float


def trained(session: Session) -> Trained:
    """A whole run on the model."""
    with on_the_model(session) as (model, bar):
        done, skipped = model.counters["macs"], model.counters["skipped_images"]
        done += model.counters["skipped_tiles"]
        weights = _words(session, model.device.memory)
        return Trained(model.test_accuracy(bar), late([point.loss for point in model.curve]),
                       _zero(weights.ravel()), _zero(weights.reshape(-1, TREES * LANES)),
                       skipped / (done + skipped))


class Gated(NamedTuple):
    """What became of a run with gates: test accuracy, the share of the gates that were open in the
    last step, and the share of the multiply-adds of training that were done, zeros left out."""

    accuracy: float
    opened: float
    done: float


def gated(session: Session) -> Gated:
    """A whole run on the model."""
    with on_the_model(session) as (model, bar):
        counts = {name: count for name, count in model.counters.items()
                  if name == "macs" or name.startswith("skipped")}
        words = [model.device.memory[g.address:g.address + WORD_BYTES * g.shape.words
                                     * session.program.recipe.batch]
                 for g in session.program.memory.gates if g]
        return Gated(model.test_accuracy(bar), float(np.mean(np.concatenate(words) != 0)),
                     counts["macs"] / sum(counts.values()))


def _words(session: Session, memory: np.ndarray) -> np.ndarray:
    """The E4M3 weights of all layers that may be pruned, without signs, (word, 8)."""
    learning = [p for p in session.program.memory.parameters if p.layer.learns]
    parts = [memory[p.weights:p.weights + WORD_BYTES * p.weight_words] for p in learning[1:-1]]
    return np.concatenate(parts).reshape(-1, LANES) << 1


def _zero(parts: np.ndarray) -> float:
    """The share of rows (or elements) that are wholly zero."""
    return float(1 - np.mean(parts.reshape(len(parts), -1).any(axis=1)))
