"""Accuracy of the model in FP8 beside binary32 runs of the same network, paired by seed.

CIFAR-10 is read from the path in WINNOW_CIFAR10. With -s the figures are shown.
"""

from dataclasses import replace

import numpy as np
import pytest

from hdl import cache
from verif.system import paired
from verif.system.studies import SEEDS, cifar16, sessions, study
from winnow import datasets
from winnow.compiler.recipe import recipe_for
from winnow.session import Session

DIGITS_LEAST = 0.96
DIGITS_LOSS = 0.01  # of accuracy, that FP8 may cost
CIFAR_LOSS = 0.01
CIFAR_LEAST = 0.4  # ten classes
CIFAR_NETWORKS = ("vgg7", "resnet8")


def compare(runs: list[Session], what: str) -> paired.Paired:
    """Seed by seed; runs that were made before are not made again."""
    both = [[paired.kept(precision, run)[0] for precision in (paired.fp8, paired.binary32)]
            for run in runs]
    result = paired.Paired(*(list(column) for column in zip(*both, strict=True)))
    print(f"\n{what}\n{result}")
    return result


@pytest.mark.slow
def test_digits_beside_binary32():
    result = compare(sessions(datasets.load("digits"), "digits", "small", recipe_for("digits"),
                              SEEDS), "digits")
    assert min(result.ours) >= DIGITS_LEAST
    assert result.interval[0] >= -DIGITS_LOSS


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("net", CIFAR_NETWORKS)
def test_small_cifar_trains(net, seed):
    """One seed of the study below, a quarter of an hour: with -n 2 two at a time."""
    (run,) = study(net, [seed])
    for precision in (paired.fp8, paired.binary32):
        assert paired.kept(precision, run)[0] >= CIFAR_LEAST


@pytest.mark.slow
@pytest.mark.parametrize("net", CIFAR_NETWORKS)
def test_small_cifar_beside_binary32(net):
    """All images there are, every seed; it goes on from the runs that are kept in build/accuracy.
    """
    result = compare(study(net, SEEDS), f"{net} on cifar16")
    assert result.interval[0] >= -CIFAR_LOSS


@pytest.mark.slow
@pytest.mark.parametrize("net", CIFAR_NETWORKS)
def test_small_cifar_learns_alike(net):
    """An epoch of 1,000 images: the losses go down together."""
    (run,) = sessions(cifar16(1000, 200), net, "bench", replace(recipe_for(net), epochs=1), [0])
    (ours, our_loss), (theirs, their_loss) = paired.fp8(run), paired.binary32(run)
    print(f"\n{net}: loss FP8 {our_loss:.3f}, binary32 {their_loss:.3f}; "
          f"accuracy {ours:.1%}, {theirs:.1%}")
    assert max(our_loss, their_loss) <= np.log(10) - 0.1
    assert abs(our_loss - their_loss) <= 0.1


def test_interval_is_that_of_student():
    """Differences 1, 2, 3, 4, 5 %: mean 3 %, deviation sqrt(2.5) %, t 2.776 for four degrees."""
    result = paired.Paired([0.91, 0.92, 0.93, 0.94, 0.95], [0.9] * 5)
    half = 0.02776 * np.sqrt(2.5 / 5)
    assert np.allclose(result.interval, [0.03, 0.03 - half, 0.03 + half])
    assert str(result).endswith("FP8 less binary32 +3.00%, 95 % from +1.04% to +4.96%")


@pytest.mark.parametrize("loss", ["mse", "softmax"])
def test_both_begin_at_the_same_loss(loss):
    """The first step has the same weights in both, so that the losses differ by roundings."""
    data = datasets.load("digits", train=16, test=16)
    recipe = replace(recipe_for("digits"), epochs=1, loss=loss)
    (run,) = sessions(data, "digits", "small", recipe, [1])
    assert abs(paired.fp8(run)[1] - paired.binary32(run)[1]) <= 0.02


def test_a_run_is_made_once_and_another_run_anew(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "BUILD", tmp_path)
    made = []

    def precision(session):
        made.append((session.seed, session.program.recipe.momentum))
        return 0.5 + session.seed / 100, 1.0

    data, recipe = datasets.load("digits", train=16, test=16), recipe_for("digits")
    runs = [*sessions(data, "digits", "small", recipe, [0, 0, 1]),
            *sessions(data, "digits", "small", replace(recipe, momentum=0.5), [0])]
    assert [paired.kept(precision, run) for run in runs] == [
        (0.5, 1.0), (0.5, 1.0), (0.51, 1.0), (0.5, 1.0)]
    assert made == [(0, 0.9), (1, 0.9), (0, 0.5)]
