"""Digits accuracy of the model in FP8 beside binary32 runs of the same network, paired."""

import numpy as np
import pytest

from isa import config
from verif.reference.float_network import FloatNetwork, plain_weights
from winnow import datasets, network
from winnow.compiler.training import Recipe, TrainingProgram
from winnow.host import Driver, ModelDevice
from winnow.session import Session

LEAST = 0.96
WITHIN = 0.01


def session(seed: int) -> Session:
    small, data = config.named("small"), datasets.load("digits")
    program = TrainingProgram(small, network.named("digits"), Recipe(), data.train_labels.size,
                              data.test_labels.size)
    return Session(program, data, seed)


def fp8_accuracy(run: Session) -> float:
    device = ModelDevice(run.program.config, run.program.external.size)
    run.place(device.memory)
    Driver(device).execute(0)
    hashes = run.weight_hashes(device.memory)
    assert len(set(hashes)) == len(hashes) == run.program.recipe.epochs
    return run.test_accuracy(device.memory)


def binary32_accuracy(run: Session) -> float:
    """The same initial weights, order, rates and momentum."""
    program, data, recipe = run.program, run.dataset, run.program.recipe
    float_network = FloatNetwork(program.network, plain_weights(program.network, run.weights),
                                 np.float32)
    rates = [[rate for epoch, rate in recipe.rates if epoch <= step // program.steps][-1]
             for step in range(run.steps)]
    one_hot = np.eye(program.network.classes, dtype=np.float32)[data.train_labels]
    float_network.train(data.train_images.transpose(0, 3, 1, 2), one_hot, run.order, rates,
                        recipe.momentum)
    scores = float_network.forward(data.test_images.transpose(0, 3, 1, 2))[-1][:, :, 0, 0]
    return float((scores.argmax(axis=1) == data.test_labels).mean())


@pytest.mark.slow
def test_three_seeds_beside_binary32():
    runs = [session(seed) for seed in range(3)]
    ours, theirs = ([accuracy(run) for run in runs]
                    for accuracy in (fp8_accuracy, binary32_accuracy))
    print("FP8", ours, "binary32", theirs)
    assert min(ours) >= LEAST
    assert abs(np.mean(ours) - np.mean(theirs)) <= WITHIN


def test_split_is_fixed():
    data = datasets.load("digits")
    assert (data.train_labels.size, data.test_labels.size) == (1437, 360)
    assert np.bincount(data.test_labels).min() >= 25
    again = datasets.load("digits")
    assert np.array_equal(data.test_images, again.test_images)
