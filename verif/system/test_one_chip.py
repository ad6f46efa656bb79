"""Every network is a program: the chip below it is the same."""

import hashlib

import pytest

from isa.config import named
from winnow import network
from winnow.compiler.recipe import recipe_for
from winnow.compiler.training import TrainingProgram
from winnow.verilog import write


def verilog_hash(program: TrainingProgram, folder) -> str:
    """SHA-256 of the Verilog that a program's configuration gives."""
    digest = hashlib.sha256()
    for path in sorted(write(program.config, folder)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@pytest.mark.slow
def test_networks_share_one_verilog(tmp_path):
    programs = [TrainingProgram(named("bench"), network.named(name), recipe_for(name))
                for name in network.NETWORKS]
    assert len({tuple(program.instructions(1, 0.1)) for program in programs}) == len(programs)
    assert len({verilog_hash(program, tmp_path / program.network.name)
                for program in programs}) == 1


def test_maps_larger_than_the_scratchpad():
    """The small chip trains networks whose maps it holds a few images of at a time."""
    program = TrainingProgram(named("small"), network.named("lenet5"), recipe_for("lenet5"))
    forward = [o for o in program.training.operations if o.label == "conv1 FP"]
    assert len(forward) >= program.recipe.batch // 2
