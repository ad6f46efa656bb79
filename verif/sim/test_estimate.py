"""The quick estimate beside the cycle model, on the operations of a training step."""

import numpy as np
import pytest

from isa.config import named
from isa.registers import Unit
from sim import cycles
from sim.estimate import estimate
from sim.registers import defaults
from winnow import network
from winnow.compiler.recipe import recipe_for
from winnow.compiler.text import resolve
from winnow.compiler.training import TrainingProgram


@pytest.mark.parametrize("unit", Unit)
def test_near_the_cycle_model(unit):
    """Within a tenth for nine in ten of the longer operations."""
    config = named("small")
    program = TrainingProgram(config, network.named("digits"), recipe_for("digits"))
    ratios = []
    for operation in program.training.operations:
        if operation.unit is unit:
            registers = defaults(unit)
            for name, values in resolve(operation).items():
                registers[name] = registers[name] | values
            exact = cycles.of(config, unit, registers)
            if exact >= 250:
                ratios.append(estimate(config, unit, operation.registers) / exact)
    assert len(ratios) >= 3
    assert np.mean(np.abs(np.array(ratios) - 1) <= 0.1) >= 0.9
