"""Training without labels: a linear probe of FP8, dense and sparse, beside binary32, by seed.

With -s the figures are shown. Runs are kept, so only those that were not made before take time.
"""

from dataclasses import replace

import pytest

from isa.config import named
from verif.system import paired
from verif.system.paired import Paired
from verif.system.studies import SEEDS
from winnow import datasets, losses, network
from winnow.compiler.pruning.rule import Pruning
from winnow.compiler.recipe import recipe_for
from winnow.compiler.training import TrainingProgram
from winnow.session import Session

NET = "digits64"
PRUNED = Pruning("element", ((0, 0.5),))
LOSS = 0.02  # of the probe's accuracy, that FP8 and pruning may cost
GAIN = 0.01  # over random weights, that training brings at least


CHIP = named("bench").with_(slot=1, reach=0)  # the model is faster, the bits are those of `small`


def runs(loss: str, **mechanisms) -> list[Session]:
    """One of each seed; with a head where the loss has no labels."""
    data, recipe = datasets.load("digits"), replace(recipe_for(NET, loss), **mechanisms)
    program = TrainingProgram(CHIP, losses.with_head(network.named(NET), loss), recipe)
    return [Session(program, data, seed) for seed in SEEDS]


def accuracies(precision, sessions: list[Session]) -> list[float]:
    return [paired.kept(precision, session)[0] for session in sessions]


def beside(ours: list[float], theirs: list[float], *names: str) -> float:
    """The mean difference, shown with its interval."""
    result = Paired(ours, theirs, names)
    print(f"\n{result}", flush=True)
    return result.interval[0]


@pytest.mark.slow
@pytest.mark.parametrize("loss", losses.LOSSES)
def test_probe_beside_binary32(loss):
    dense, sparse = runs(loss), runs(loss, prune=PRUNED)
    print(f"\n{loss}")
    theirs = accuracies(paired.binary32, dense)
    pruned, plain = (accuracies(paired.fp8, sessions) for sessions in (sparse, dense))
    assert beside(pruned, theirs, "FP8, half pruned", "binary32") >= -LOSS
    assert beside(plain, theirs, "FP8", "binary32") >= -LOSS
    assert beside(pruned, accuracies(paired.untrained, dense), "trained", "untrained") >= GAIN


@pytest.mark.slow
def test_with_labels():
    """The same network with labels, for scale."""
    print("\n" + " ".join(f"{a:.2%}" for a in accuracies(paired.fp8, runs("mse"))))
