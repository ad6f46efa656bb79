"""`winnow energy`: what a unit takes in a training step, phase by phase."""

from dataclasses import asdict, dataclass, replace

import numpy as np

from isa.config import LANES, TREES, Config
from synth import energy
from synth.liberty import Library
from winnow import progress
from winnow.compiler.recipe import Recipe
from winnow.datasets import Dataset
from winnow.energy import accesses, scaling, stimuli
from winnow.energy.capture import Step
from winnow.energy.step import Counted, StepEnergy
from winnow.energy.step import energy as step_energy
from winnow.energy.work import Work
from winnow.errors import UserError
from winnow.network import Network

UNITS = {"tree": (stimuli.tree, TREES), "core": (stimuli.core, 1)}  # and how many a core has
PARTS = "logic", "nets", "glitches", "registers", "clock", "ports"
FILES = "accumulators", "their glitches"  # of a core


@dataclass(frozen=True)
class Phase:
    """A phase of the step, in pJ a multiply-add.

    Attributes
    ----------
    phase : FP, BP or WU
    skip : what was left out, "none" or those of `Recipe.skip`
    cycles, dense : of the sample: cycles of a core, and multiply-adds with nothing left out
    zeros : share of the elements of the stream's words, as they are worked on, that are zero
    parts : of a multiply-add that is done, by `synth.energy.Energy`, and `FILES`
    leakage : of a multiply-add that is done, at the clock of the critical path
    done : all of it, for each lane and cycle
    effective : all of it, over the multiply-adds of the dense operation
    settled : the same as `effective` without glitches
    """

    phase: str
    skip: str
    cycles: float
    dense: float
    zeros: float
    parts: dict[str, float]
    leakage: float
    done: float
    effective: float
    settled: float

    @property
    def tflops_w(self) -> float:
        """Effective; a multiply-add is two operations."""
        return 2 / self.effective


@dataclass(frozen=True)
class Report:
    """Of a unit; `scale` is None where the process of the library is not known."""

    unit: str
    config: str
    target: str
    network: str
    data: str
    after: int
    area: float
    critical_path_ns: float
    volts: float
    scale: scaling.Scale | None
    phases: list[Phase]
    steps: list[StepEnergy]

    def as_json(self) -> dict:
        return asdict(self) | {"phases": [
            asdict(phase) | {"tflops_w": phase.tflops_w} for phase in self.phases],
            "accesses": accesses.as_json()}


def measure(name: str, config: Config, library: Library, network: Network, recipe: Recipe,
            dataset: Dataset, *, after: int, cycles: int, node: int | None,
            counted: Counted | None = None, show: bool = True) -> Report:
    """The energy of the unit `name` in the step after `after` others.

    Parameters
    ----------
    cycles : of the sample of each phase, where nothing is left out
    node : of the library, in nm
    counted : of a step of the same network on the same configuration, for what a step takes

    Raises
    ------
    UserError
        Such a unit is not measured, or too few cycles, or no such step
    SynthesisError
        A tool is missing or failed, or something is wrong with the library
    """
    if name not in UNITS:
        raise UserError(f"unit {name!r}: energy is measured of {', '.join(UNITS)}")
    if cycles < 512:
        raise UserError(f"--cycles {cycles}: must be at least 512")
    if counted and (name != "core" or counted.network != network.name):
        raise UserError(f"a step of {counted.network} beside {name} of {network.name}: must be of "
                        "the same network, beside --unit core")
    scale = None if node is None else scaling.to_28(node, library.volts)
    progress.say(f"mapping and weighing {name} of {config.name}", show)
    unit, files = energy.Unit(name, config, library), None
    if name == "core":
        progress.say("mapping and weighing the accumulators of a tree", show)
        files = energy.Unit("accumulators", config, library, held=True)
    found = []
    for skip in dict.fromkeys(("none", recipe.skip)):
        progress.say(f"a step of {network.name} on the model, skipping {skip}", show)
        step = Step(config, network, replace(recipe, skip=skip), dataset, after)
        for phase, works in step.sample(cycles).items():
            found.append(_phase(unit, files, name, config, phase, skip, works))
    steps = []
    if counted:
        skip = recipe.skip if counted.skips else "none"
        effective = {each.phase: each.effective for each in found if each.skip == skip}
        steps = [step_energy(config, counted, effective, memory) for memory in ("HBM2", "DDR")]
    return Report(name, config.name, library.name, network.name, dataset.name, after,
                  unit.figures["area"], unit.figures["critical_path_ns"], library.volts, scale,
                  found, steps)


def _phase(unit: energy.Unit, files: energy.Unit | None, name: str, config: Config, phase: str,
           skip: str, works: list[Work]) -> Phase:
    make, units = UNITS[name]
    took = _took(unit, make(unit, config, works))
    lanes = LANES * TREES
    # fJ of a unit and cycle to pJ of a multiply-add
    parts = {part: getattr(took, part) * units / lanes / 1e3 for part in PARTS}
    leakage = took.leakage * units
    if files:
        held = _took(files, stimuli.accumulators(files, config, works))
        # Of the rows only the one that is written is clocked.
        fj = held.settled - held.clock + held.clock / (2 * config.block)
        parts |= {name: each * TREES / lanes / 1e3
                  for name, each in zip(FILES, (fj, held.glitches), strict=True)}
        leakage += held.leakage * TREES
    # nW times ns is 1e-18 J, a millionth of a pJ
    leakage *= unit.figures["critical_path_ns"] / lanes / 1e6
    done = sum(parts.values()) + leakage
    cycles, dense = (sum(getattr(each, name) for each in works) for name in ("cycles", "dense"))
    share = cycles * lanes / dense
    glitches = sum(parts.get(name, 0.0) for name in ("glitches", "their glitches"))
    return Phase(phase, skip, cycles, dense,
                 float(np.mean(np.concatenate([each.word for each in works]) & 0x7F == 0)),
                 parts, leakage, done, done * share, (done - glitches) * share)


def _took(unit: energy.Unit, given: stimuli.Stimuli) -> energy.Energy:
    activity, took = unit.run(given.given, given.counted)
    given.check(activity)
    return took


def table(report: Report) -> str:
    parts = report.phases[0].parts
    lines = [f"{report.unit} of {report.config}, {report.target}: {report.area:,.0f} um2, critical "
             f"path {report.critical_path_ns} ns, {report.volts} V",
             f"{report.network} on {report.data}, the step after {report.after}; pJ a multiply-add "
             "before layout",
             f"{'':<5} {'skipping':<10} {'zeros':>6} {'cycles':>7} "
             + " ".join(f"{part:>9}" for part in parts)
             + f" {'done':>8} {'effective':>9} {'settled':>8} {'TFLOPS/W':>9}"]
    for p in report.phases:
        lines.append(f"{p.phase:<5} {p.skip:<10} {p.zeros:6.1%} "
                     f"{p.cycles * LANES * TREES / p.dense:7.3f} "
                     + " ".join(f"{p.parts[part]:{max(9, len(part))}.4f}" for part in parts)
                     + f" {p.done:8.4f} {p.effective:9.4f} {p.settled:8.4f} {p.tflops_w:9.1f}")
    if report.scale:
        s = report.scale
        lines.append(f"to 28 nm, {scaling.VOLTS} V (Stillmaker and Baas): times {s.factor:.3g} "
                     f"({s.low:.3g} to {s.high:.3g})")
        lines += [f"{p.phase:<5} {p.skip:<10} {p.effective * s.factor:.4f} pJ "
                  f"({p.effective * s.low:.4f} to {p.effective * s.high:.4f}), "
                  f"{p.tflops_w / s.factor:.2f} TFLOPS/W" for p in report.phases]
    for step in report.steps:
        lines.append(f"the whole step with {step.external}: " + ", ".join(
            f"{name} {_range(each)}" for name, each in step.parts.items())
            + f"; {_range(step.total)} pJ, {2 / step.total.high:.2f} to "
            f"{2 / step.total.low:.2f} TFLOPS/W")
    return "\n".join(lines)


def _range(each: accesses.Range) -> str:
    return f"{each.low:.3f}" + (f" to {each.high:.3f}" if each.high > each.low else "")
