"""The predicted schedule of straight-line programs: by hand, and a training step on the chip."""

from dataclasses import replace

import numpy as np
import pytest

from isa.assembler import assemble, to_bytes
from isa.config import named
from isa.registers import Unit
from sim.cycles import Memory, move
from sim.registers import defaults
from sim.schedule import schedule
from verif.simulation import Simulation
from winnow.compiler.recipe import Recipe
from winnow.compiler.text import ProgramText
from winnow.compiler.training import TrainingProgram
from winnow.host import Driver
from winnow.network import named as network

SMALL = named("small")
FEW = 4  # cycles that a prediction may miss a short operation by


def of(text: str):
    return schedule(SMALL, assemble(text, "by hand"), Memory(0))


def test_units_work_side_by_side_and_tokens_order_them():
    tensor, vector, second = of("""
        run tensor, post=1
        run vector, wait=1
        run tensor
        halt 0
    """).spans
    assert (tensor.unit, vector.unit, second.unit) == (Unit.TENSOR, Unit.VECTOR, Unit.TENSOR)
    assert tensor.cycles == second.cycles == 25  # stream and tile are the same word
    assert vector.start == second.start == tensor.end + 2


def test_one_operation_may_be_pending():
    first, second, third = of("run tensor\nrun tensor\nset tensor.key\nrun tensor\nhalt 0\n").spans
    assert (second.start, third.start) == (first.end + 2, second.end + 2)
    # A set waits until what is pending has begun; the run comes a cycle later.
    first, second = of("run tensor\nset tensor.key\nrun vector\nhalt 0\n").spans
    assert second.start == first.start + 3


def test_a_fence_waits_and_scalars_reach_registers():
    result = of("li r1, 8\naddi r1, r1, 16\nsetr move.external.base, r1, 40\nrun move\nfence\n"
                "run vector\nhalt 0\n")
    fill, vector = result.spans
    registers = defaults(Unit.MOVE)
    registers["move.external.base"] = {"address": 64}
    assert fill.cycles == move(SMALL, registers, Memory(0))
    assert vector.start == fill.end + 4
    assert result.total == vector.end + 1
    assert result.busy(Unit.VECTOR) == vector.cycles


@pytest.fixture(scope="module")
def program():
    return TrainingProgram(SMALL, network("digits"), Recipe())


def both(program: TrainingProgram, words: list[int]):
    """Of a straight line of a program, the cycles of the whole and those of its operations by unit:
    predicted, and on the chip."""
    plan = schedule(SMALL, words)
    predicted = {unit: np.array([s.cycles for s in plan.spans if s.unit is unit])
                 for unit in Unit}
    with Simulation(SMALL, memory_bytes=program.external.size) as chip:
        code = np.frombuffer(to_bytes(words), np.uint8)
        start = program.address("program")
        chip.memory[start:start + code.size] = code
        chip.trace_units()
        driver = Driver(chip)
        driver.execute(start)
        found = {unit: np.diff(chip.spans(unit))[:, 0] for unit in Unit}
        return (plan.total, predicted), (driver.counters()["cycles"], found)


def off(predicted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Whether an operation takes longer or shorter than predicted by more than 2 %."""
    return np.abs(predicted - found) > np.maximum(FEW, 0.02 * found)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 1])
def test_training_step_on_the_chip(program, share):
    operations = program.training.operations
    text = ProgramText()
    text.operations(operations[:round(share * len(operations))])
    text.line("halt 0")
    (total, predicted), (cycles, found) = both(program, assemble(str(text), "step"))
    assert total == pytest.approx(cycles, rel=0.015)
    for unit in Unit:
        assert predicted[unit].sum() == pytest.approx(found[unit].sum(), rel=0.05), unit
    assert not off(predicted[Unit.TENSOR], found[Unit.TENSOR]).any()


@pytest.mark.slow
def test_training_step_of_a_residual_network():
    """ResNet-8 on 16 x 16 images, whose units often want the same banks."""
    net = network("resnet8")
    program = TrainingProgram(SMALL, net.on(replace(net.input, height=16, width=16)),
                              Recipe(batch=8))
    (total, predicted), (cycles, found) = both(program, program.instructions(1, 0.01))
    print(f"\n{cycles} cycles, {total} predicted")
    assert total == pytest.approx(cycles, rel=0.005)
    for unit in Unit:
        wrong = off(predicted[unit], found[unit])
        print(f"{unit.name.lower()}: {found[unit].size} operations, {wrong.sum()} off by more than "
              f"2 %; {found[unit].sum()} cycles, {predicted[unit].sum()} predicted")
        assert predicted[unit].sum() == pytest.approx(found[unit].sum(), rel=0.02), unit
    assert off(predicted[Unit.TENSOR], found[Unit.TENSOR]).mean() <= 0.03
