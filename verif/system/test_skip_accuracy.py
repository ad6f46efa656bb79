"""Gradient skipping on the digits: multiply-adds saved against accuracy, beside skipping by chance.

With -s the figures are shown. Runs are kept, so only those that were not made before take time.
"""

from dataclasses import replace

import numpy as np
import pytest

from isa.config import named
from verif.system import paired
from winnow import datasets, network
from winnow.compiler.recipe import recipe_for
from winnow.compiler.training import TrainingProgram
from winnow.session import Session

SEEDS = range(3)
HOWS = ("none", "threshold:0.1", *(f"{kind}:{level}" for kinds, level in (
    (("quantile", "random"), 0.5), (("threshold",), 0.4), (("quantile", "random"), 0.75),
    (("quantile", "random"), 0.25)) for kind in kinds))
LOSS = 0.01  # of accuracy, that skipping half of the images by their errors may cost


def skipping(session: Session) -> tuple[float, float]:
    """Train on the model: test accuracy, and the share of the multiply-adds of training (FP, BP
    and WU) that were not done because images were skipped."""
    with paired.on_the_model(session) as (model, bar):
        done, skipped = (model.counters[name] for name in ("macs", "skipped_images"))
        return model.test_accuracy(bar), skipped / (done + skipped)


@pytest.mark.slow
def test_digits():
    data = datasets.load("digits")
    net = datasets.network_for(network.named("digits"), data)
    means = {}
    print("\nhow             saved   accuracy  by seed")
    for how in HOWS:
        recipe = replace(recipe_for("digits"), skip_images=how)
        program = TrainingProgram(named("small"), net, recipe)
        runs = [paired.kept(skipping, Session(program, data, seed)) for seed in SEEDS]
        accuracy, saved = np.mean(runs, axis=0)
        means[how] = accuracy
        print(f"{how:<15} {saved:6.1%}   {accuracy:.2%}    "
              + " ".join(f"{each:.2%}" for each, _ in runs), flush=True)
    assert means["quantile:0.5"] >= means["none"] - LOSS
