"""Pruned networks on the chip: the same masks, limits and weights as on the model."""

import pytest

from isa.config import Config, named
from verif import seeds
from verif.system.networks import BATCH, LOW_PRECISION, random_session
from verif.system.test_chip import on_both
from winnow.compiler.pruning.rule import Pruning
from winnow.network import Conv, Linear, Network, Residual, Shape

NETWORK = Network("pruned", Shape(3, 9, 8), (
    Conv("a", 16, norm=True), Conv("b", 32, 3, 2, norm=True),
    Residual("r", (Conv("c", 32, relu=False, norm=True),)), Linear("hidden", 24, relu=True),
    Linear("fc", 10)))
WIDE = Config("wide", cores=2, scratchpad_kib=128, slot=4, reach=2)
RULES = {
    "element": (Pruning("element", ((0, 0.3),), refresh=2), {"skip_images": "quantile:0.5"}),
    "vector": (Pruning("vector", ((0, 0.3),), refresh=1, regrow=0.2), LOW_PRECISION),
    "tile": (Pruning("tile", ((0, 0.3),), refresh=1), {}),
    "lasso": (Pruning("group", ((0, 0.5),), refresh=1, shrink=40.0), LOW_PRECISION),
}


def equal(config: Config, rule: str) -> None:
    """Memory and exact counters after each of two programs of two steps, with stalls."""
    prune, options = RULES[rule]
    made = random_session(config, seeds.generator(f"pruned {rule}"), 4 * 16 // BATCH, NETWORK,
                          batch=16, prune=prune, **options)
    *_, (_, model) = on_both(made, 2, stalls=0.2)
    assert any(0 < share < 0.9 for share in made.live_weights(model.device.memory).values())


@pytest.mark.parametrize("rule", RULES)
def test_chip(rule):
    equal(named("small"), rule)


@pytest.mark.slow
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "element"])
def test_chip_with_slots(rule):
    """Gradients of pruned weights are dead outputs there."""
    equal(WIDE, rule)
