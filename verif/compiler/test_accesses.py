"""What batch normalisation moves: every element of a normalised output and of its gradient."""

from collections import Counter
from math import prod

import pytest

from isa.config import named
from isa.registers import Unit
from winnow import network
from winnow.compiler.recipe import recipe_for
from winnow.compiler.training import TrainingProgram

TEXTBOOK = 14


@pytest.fixture(scope="module")
def moved() -> Counter:
    """Elements of a training step of VGG-7 that each move takes, over those of the tensor, on a
    chip without slots: with them jobs take 4 or 8 images, which do not all fit at once."""
    config = named("bench").with_(slot=1, reach=0)
    program = TrainingProgram(config, network.named("vgg7"), recipe_for("vgg7"))
    words = Counter()
    for operation in program.training.operations:
        if operation.unit is Unit.MOVE:
            counts = operation.registers["move.counts"]
            words[operation.label] += prod(counts.values())
    sizes = {stored.name: stored.shape.words * program.recipe.batch
             for stored in (*program.memory.outputs[:-1], *program.memory.gradients.values())}
    return Counter({label: total / sizes[label.split(" ", 1)[1]] for label, total in words.items()
                    if label.split(" ", 1)[1] in sizes})


def test_eight_accesses_and_the_refills_of_the_next_layer(moved):
    """Forward: x is stored, and filled where it is normalised. Backward: x is filled for the mask
    and the sums, dy stored; then both are filled for the error, once for BP and once for WU. The
    weight gradient of the next layer fills x again as its operand, once for each part."""
    x, dy = "output of conv3", "gradient of map of conv3"
    assert moved[f"store {x}"] == 1
    assert moved[f"store {dy}"] == 1
    assert moved[f"fill {dy}"] == 2
    parts = 4  # of the weight gradient of conv4
    assert moved[f"fill {x}"] == 4 + parts
    normalisation = 8
    assert sum(moved[f"{verb} {name}"] for verb in ("fill", "store") for name in (x, dy)) == \
        normalisation + parts
    assert normalisation < TEXTBOOK


def test_no_pass_of_its_own(moved):
    """Nothing but the outputs of convolutions and gradients of maps is stored whole."""
    stored = {label for label in moved if label.startswith("store")}
    assert stored == {f"store output of {name}" for name in
                      ("conv1", "conv2", "conv3", "conv4", "conv5", "fc1")} | {
        f"store gradient of map of {name}" for name in
        ("conv1", "conv2", "conv3", "conv4", "conv5", "fc1")}
