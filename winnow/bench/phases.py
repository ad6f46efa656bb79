"""`winnow bench phases`: one training step of a network on the generated Verilog, by phase."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest

import numpy as np

from isa.config import Config
from isa.registers import Unit
from sim.schedule import Schedule, schedule
from winnow import progress
from winnow.chip import CYCLES_AT_ONCE, simulated
from winnow.compiler.recipe import PHASES, Recipe
from winnow.compiler.training import TrainingProgram
from winnow.datasets import Dataset, network_for
from winnow.errors import UserError
from winnow.host import Device, Driver, ModelDevice
from winnow.network import Network
from winnow.session import Round, Session


@dataclass(frozen=True)
class Phase:
    """A layer in a phase. `cycles` run from its first issue to that of the next phase, `busy` are
    those with one of its tensor operations at work; `macs` are outputs x channels x kernel x
    kernel of the batch; `utilisation` is macs over what all cores could do in `cycles`;
    `predicted` are the cycles by the cycle model, if it was asked."""

    layer: str
    phase: str
    cycles: int
    predicted: int | None
    busy: int
    macs: int
    utilisation: float


@dataclass(frozen=True)
class Step:
    """A whole training step, from the start of the program to its halt.

    `idle` are cycles without a tensor operation; `wait_stream`, `wait_stationary` and `wait_drain`
    those of operations in which the first group had no word to work on, by cause.
    """

    network: str
    cores: int
    batch: int
    cycles: int
    predicted: int | None
    macs: int
    utilisation: float
    means: dict[str, float]  # of each phase over all layers but the first, weighted by macs
    first_layer: float
    idle: int
    wait_stream: int
    wait_stationary: int
    wait_drain: int
    conflicts: int
    counters: dict[str, int]
    equal: bool  # every byte of external memory to the model's
    difference: str | None
    weight_hash: str  # of all that training changes, behind the step
    phases: list[Phase]

    def as_json(self) -> dict:
        return asdict(self)


def synthetic(network: Network, batch: int, seed: int = 0) -> Dataset:
    """Random images and labels."""
    generator = np.random.default_rng(seed)
    shape = batch, network.input.height, network.input.width, network.input.channels
    images = generator.standard_normal(shape).astype(np.float32)
    labels = generator.integers(0, network.classes, batch)
    return Dataset("synthetic", images, labels, images, labels)


def measure(config: Config, network: Network, recipe: Recipe, *, dataset: Dataset | None = None,
            after: int = 0, show: bool = True) -> Step:
    """Run one training step on the Verilog and on the model: on `dataset`, by default a synthetic
    one, after so many steps on the model alone."""
    recipe = replace(recipe, epochs=1)
    dataset = dataset or synthetic(network, recipe.batch)
    session = Session(TrainingProgram(config, network_for(network, dataset), recipe), dataset, 0)
    if after not in range(session.steps):
        raise UserError(f"after {after} steps: must be 0 to {session.steps - 1}, data set "
                        f"{dataset.name} has {session.steps} steps of {recipe.batch} images")
    return one_step(session, Round(session.orders[0][after:after + 1], recipe.rate(0)),
                    trained(session, after), show=show)


def one_step(session: Session, work: Round, memory: np.ndarray, *, name: str | None = None,
             predict: bool = True, announce: bool = True, show: bool = True) -> Step:
    """Run one training step on the Verilog and on the model.

    Parameters
    ----------
    work : a round of that step
    memory : external memory before it
    name : what the progress bar calls it, by default as the network
    predict : ask the cycle model too, which knows nothing of programs that choose masks
    announce : say that the simulation may have to be built
    """
    program = session.program
    model = ModelDevice(program.config, program.external.size)
    model.memory[:] = memory
    _run(session, work, model)
    with simulated(program.config, program.external.size, show=show and announce) as chip, \
            progress.bar(show, desc=name or program.network.name, unit="cycle", unit_scale=True,
                         total=program.training.cycles) as bar:
        chip.memory[:] = memory
        driver = _run(session, work, chip, bar.update)
        return _step(session, driver, chip.memory, model.memory, predict)


def trained(session: Session, steps: int) -> np.ndarray:
    """External memory after so many steps, of which nothing is left out: that is faster."""
    program = session.program
    dense = TrainingProgram(program.config, program.network, replace(program.recipe, skip="none"))
    session, model = Session(dense, session.dataset, session.seed), ModelDevice(
        program.config, program.external.size)
    session.place(model.memory)
    for first in range(0, steps, dense.round_steps):
        images = session.orders[0][first:min(first + dense.round_steps, steps)]
        session.load(model.memory, Round(images, dense.recipe.rate(0)))
        Driver(model).execute(dense.address("program"))
    return model.memory


def _run(session: Session, work: Round, device: Device,
         tick: Callable[[int], object] = lambda cycles: None) -> Driver:
    """One training step."""
    session.load(device.memory, work)
    driver = Driver(device)
    driver.execute(session.program.address("program"), CYCLES_AT_ONCE, tick)
    return driver


def _step(session: Session, driver: Driver, memory, model, predict: bool) -> Step:
    from winnow.run import difference

    program, config = session.program, session.program.config
    plan = schedule(config, program.instructions(1, program.recipe.rate(0))) if predict else None
    predicted = _spans(plan) if plan else {}
    counters, tags = driver.counters(), driver.tag_counters()
    batch, lanes = program.recipe.batch, config.macs_per_cycle
    phases = []
    for tag, group in enumerate(program.counted):
        found, macs = tags[tag], batch * sum(program.layers[i].macs for i in group.layers)
        if macs:
            phases.append(Phase(group.name, group.phase, found["span"], predicted.get(tag),
                                found["busy"], macs, macs / (lanes * found["span"])))
    first = program.layers[0].name
    macs = sum(p.macs for p in phases)
    found = difference(program, memory, model)
    return Step(
        program.network.name, config.cores, batch, counters["cycles"], plan and plan.total, macs,
        macs / (lanes * counters["cycles"]),
        {phase: _mean(p for p in phases if p.phase == phase and p.layer != first)
         for phase in PHASES},
        _mean(p for p in phases if p.layer == first),
        counters["cycles"] - counters["tensor_busy"], counters["tensor_wait_stream"],
        counters["tensor_wait_stationary"], counters["tensor_wait_drain"],
        counters["conflicts"], counters, found is None, found, session.weight_hash(memory),
        phases)


def _spans(plan: Schedule) -> dict[int, int]:
    """By tag, the predicted cycles from the start of each tensor operation to that of the next."""
    tensor = sorted((s for s in plan.spans if s.unit is Unit.TENSOR), key=lambda s: s.start)
    spans: dict[int, int] = {}
    for here, there in zip_longest(tensor, tensor[1:]):
        end = there.start if there else plan.total
        spans[here.tag] = spans.get(here.tag, 0) + end - here.start
    return spans


def _mean(phases) -> float:
    """Utilisation weighted by multiply-adds."""
    phases = list(phases)
    return sum(p.macs * p.utilisation for p in phases) / sum(p.macs for p in phases)


def table(step: Step) -> str:
    lines = [f"{'layer':<10} {'phase':<5} {'cycles':>12} {'predicted':>12} {'busy':>12} "
             f"{'macs':>15}  utilisation"]
    lines += [f"{p.layer:<10} {p.phase:<5} {p.cycles:>12,} {p.predicted:>12,} {p.busy:>12,} "
              f"{p.macs:>15,}  {p.utilisation:10.1%}" for p in step.phases]
    lines.append("mean without the first layer: " + "  ".join(
        f"{phase} {value:.1%}" for phase, value in step.means.items())
        + f"; first layer {step.first_layer:.1%}")
    lines.append(f"whole step: {step.cycles:,} cycles ({step.predicted:,} predicted), "
                 f"{step.macs:,} multiply-adds, {step.utilisation:.1%}")
    lines.append(f"without tensor work {step.idle:,}; waiting for stream {step.wait_stream:,}, "
                 f"tile {step.wait_stationary:,}, drain {step.wait_drain:,}")
    lines.append("every byte equal to the model's" if step.equal else
                 f"DIFFERS from the model: {step.difference}")
    return "\n".join(lines)
