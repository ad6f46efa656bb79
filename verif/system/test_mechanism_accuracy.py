"""What mechanisms that make work sparse cost in accuracy: CIFAR16, FP8 on the model.

With -s the figures are shown. Runs are kept, so only those that were not made before take time.
"""

import numpy as np
import pytest

from verif.system import paired
from verif.system.studies import SEEDS, Gated, Trained, gated, study, trained
from winnow.compiler.gating.rule import Gating
from winnow.compiler.pruning.rule import Pruning

LASSO = Pruning("group", ((0, 0.36),), shrink=1.0)  # regrown groups are not zero at the end
LEAST_ZERO = 0.6
LASSO_LOSS = 0.015
DENSITIES = (0.5, 0.2, 0.1)
PRUNING_LOSS = 0.05  # with half of the elements pruned
SKIPPING = ("threshold:0.5", "random:0.25", "quantile:0.5", "random:0.5", "quantile:0.75",
            "random:0.75")


def runs(net: str, seeds=SEEDS, **mechanisms) -> list[Trained]:
    return [Trained(*paired.kept(trained, run)) for run in study(net, seeds, **mechanisms)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_group_lasso_trains(seed):
    """One seed of the study below: with -n 2 two at a time."""
    (run,) = runs("vgg7", [seed], prune=LASSO)
    assert run.zero_tiles >= LEAST_ZERO


@pytest.mark.slow
def test_group_lasso():
    """Group Lasso alone, beside FP8 training without it, paired by seed."""
    dense = [paired.kept(paired.fp8, run)[0] for run in study("vgg7")]
    sparse = runs("vgg7", prune=LASSO)
    result = paired.Paired([run.accuracy for run in sparse], dense, ("lasso", "dense"))
    print(f"\n{result}\nzero tiles " + " ".join(f"{run.zero_tiles:.1%}" for run in sparse))
    assert result.interval[0] >= -LASSO_LOSS


@pytest.mark.slow
@pytest.mark.parametrize("granularity", ["element", "vector", "tile"])
def test_pruning(granularity):
    """One seed of ResNet-8 at each density."""
    (dense,) = (paired.kept(paired.fp8, run)[0] for run in study("resnet8", [0]))
    print(f"\n{granularity}, dense {dense:.2%}")
    found = {}
    for density in DENSITIES:
        rule = Pruning(granularity, ((0, density),))
        (run,) = runs("resnet8", [0], prune=rule)
        found[density] = run.accuracy
        print(f"density {density}: {run.accuracy:.2%}, zero weights {run.zero_weights:.1%}, zero "
              f"tiles {run.zero_tiles:.1%}")
        assert run.zero_weights == pytest.approx((1 - density) * (1 - rule.regrow), abs=0.05)
    assert found[0.5] >= dense - PRUNING_LOSS


@pytest.mark.slow
def test_gradient_skipping():
    """One seed of ResNet-8 for each rule, beside skipping by chance."""
    (dense,) = (paired.kept(paired.fp8, run)[0] for run in study("resnet8", [0]))
    found = {how: runs("resnet8", [0], skip_images=how)[0] for how in SKIPPING}
    print(f"\nnone: {dense:.2%}")
    for how, run in found.items():
        print(f"{how}: {run.accuracy:.2%}, {run.skipped:.1%} of the multiply-adds left out")
    assert np.all(np.diff([found[how].skipped for how in SKIPPING if "random" in how]) > 0)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.8, 0.5, 0.3])
def test_gating(rate):
    """One seed of ResNet-8 at each share of open gates."""
    (run,) = study("resnet8", [0], gate=Gating(rate))
    found = Gated(*paired.kept(gated, run))
    print(f"\n{found.opened:.1%} of the gates open: {found.accuracy:.2%}, {found.done:.1%} of the "
          f"multiply-adds done")
    assert found.opened == pytest.approx(rate, abs=0.1)
