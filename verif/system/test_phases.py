"""A training step on the chip, measured by phase; each byte of memory compared with the model."""

import json
from dataclasses import replace

import pytest

from isa.config import named
from winnow import cli, network
from winnow.bench import phases
from winnow.compiler.recipe import recipe_for
from winnow.errors import UserError


def test_digits(tmp_path, capsys):
    """The counters add up, and the command says what they say."""
    file = tmp_path / "phases.json"
    assert cli.main(["bench", "phases", "--net", "digits", "--config", "small", "--json",
                     str(file)]) == 0
    step = json.loads(file.read_text())
    assert step["equal"] and step["difference"] is None
    assert step["batch"] == 16 and step["cores"] == 1
    macs = {(p["layer"], p["phase"]): p["macs"] for p in step["phases"]}
    assert macs["conv2", "FP"] == macs["conv2", "BP"] == macs["conv2", "WU"] == 16 * 16 * 16 * 72
    assert ("conv1", "BP") not in macs and len(macs) == 11
    spans = sum(p["cycles"] for p in step["phases"])
    assert 0.9 * step["cycles"] < spans <= step["cycles"]  # the rest is before the first
    assert sum(p["busy"] for p in step["phases"]) <= step["cycles"] - step["idle"]
    assert step["utilisation"] == pytest.approx(step["macs"] / 64 / step["cycles"])
    assert step["predicted"] == pytest.approx(step["cycles"], rel=0.02)
    assert "every byte equal" in capsys.readouterr().out


def test_images_of_the_step_are_counted():
    recipe = replace(recipe_for("digits"), batch=8)
    step = phases.measure(named("small"), network.named("digits"), recipe, show=False)
    assert step.equal and step.batch == 8


@pytest.mark.parametrize("after", [-1, 1])
def test_steps_before(after):
    """The random images of a bench are those of one step."""
    with pytest.raises(UserError, match=f"after {after} steps: must be 0 to 0"):
        phases.measure(named("small"), network.named("digits"), recipe_for("digits"), after=after,
                       show=False)


@pytest.mark.slow
@pytest.mark.parametrize(("net", "whole"), [("resnet8", 0.90), ("vgg7", 0.92)])
def test_large_networks(net, whole):
    """Minutes: batch 32 on four cores, nothing left out."""
    recipe = replace(recipe_for(net), skip="none")
    step = phases.measure(named("bench"), network.named(net), recipe, show=False)
    print(phases.table(step))
    assert step.equal
    assert step.predicted == pytest.approx(step.cycles, rel=0.02)
    assert step.utilisation >= whole
    assert min(step.means.values()) >= 0.95
