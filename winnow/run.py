"""`winnow run`: train a network on the generated Verilog and on the model, and compare."""

import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from isa.config import Config
from verif.build import verilator
from winnow import datasets, files, network, report
from winnow.compiler.recipe import Recipe
from winnow.compiler.training import TrainingProgram
from winnow.errors import UserError
from winnow.host import Device, Driver, ModelDevice
from winnow.session import Round, Session

CYCLES_AT_ONCE = 200_000  # between two looks at the log
INSTRUCTIONS_AT_ONCE = 2_000


class Runner:
    """A device at work on the rounds of a session.

    Parameters
    ----------
    session : Session
    device : Device
    units : of the device's time, between two looks at the log
    name : what the progress bar calls it
    """

    def __init__(self, session: Session, device: Device, units: int, name: str):
        self.session, self.device, self.units, self.name = session, device, units, name
        self.driver = Driver(device)
        self.curve = []
        self.seconds = 0.0
        self.counters: dict[str, int] = {}
        self.tags: list[dict[str, int]] = []

    def run(self, work: Round, bar: tqdm) -> None:
        """One round; training adds to the curve."""
        session, memory = self.session, self.device.memory
        session.load(memory, work)
        began, done = time.monotonic(), 0
        before = len(self.curve)
        bar.set_description(f"{'training' if work.rate else 'testing'} on the {self.name}")
        self.driver.start(session.program.address("program"))
        ended = False
        while not ended:
            ended = self.device.run(self.units)
            known, done = done, session.steps_done(memory, work, done)
            if work.rate is None:
                continue
            for step in range(known + 1, done + 1):
                self.curve.append(session.progress(memory, work, step, before))
            if done > known:
                last = self.curve[-1]
                bar.set_postfix({"loss": f"{last.loss:.3f}", "accuracy": f"{last.accuracy:.1%}"},
                                refresh=False)
            bar.update(done - known)
        self.driver.finish()
        self.seconds += time.monotonic() - began
        self._count()

    def _count(self) -> None:
        """Add the counters, which each program begins at zero."""
        for name, value in self.driver.counters().items():
            self.counters[name] = self.counters.get(name, 0) + value
        tags = self.driver.tag_counters()
        for sums, new in zip(self.tags, tags, strict=bool(self.tags)):
            for name in sums:
                new[name] += sums[name]
        self.tags = tags

    def test_accuracy(self, bar: tqdm) -> float:
        """The share of test images whose highest score is that of their class."""
        right = []
        for work in self.session.test_rounds:
            self.run(work, bar)
            right.append(self.session.right(self.device.memory, work).ravel())
        return float(np.concatenate(right)[:self.session.dataset.test_labels.size].mean())


def run(config: Config, net: str, data: str, recipe: Recipe, *, seed: int, device: str,
        out: Path, waves: Path | None = None) -> report.Report:
    """Train, evaluate, compare; writes report.json and report.png into `out`.

    `device` is ``rtl`` (the Verilog, compared with the model) or ``model`` (the model alone).
    """
    dataset = datasets.load(data)
    program = TrainingProgram(config, network.named(net), recipe)
    session = Session(program, dataset, seed)
    files.check_folder(out)
    if device == "rtl":
        verilator()
    result = report.Report(net, data, device, seed, config, {
        "train": dataset.train_labels.size, "test": dataset.test_labels.size})
    model = Runner(session, ModelDevice(config, program.external.size), INSTRUCTIONS_AT_ONCE,
                   "model")
    if device == "rtl":
        _beside(session, model, result, waves)
    else:
        _together([model], session, result)
    files.write_json(out / "report.json", result.as_json())
    files.write(out / "report.png", report.picture(result))
    return result


def _beside(session: Session, model: Runner, result: report.Report, waves: Path | None) -> None:
    """Train on the model and on the Verilog."""
    from verif.simulation import Simulation, SimulationError

    began = time.monotonic()
    print("generating the Verilog and building the simulation (cached by content)", flush=True)
    try:
        with Simulation(session.program.config, memory_bytes=session.program.external.size,
                        waves=waves) as simulation:
            result.seconds["build"] = time.monotonic() - began
            chip = Runner(session, simulation, CYCLES_AT_ONCE, "rtl")
            _together([model, chip], session, result)
            result.count(session.program, chip.counters, chip.tags)
            result.cycles_per_second = round(result.cycles / chip.seconds)
    except SimulationError as error:
        raise UserError(f"simulation: {error}") from error


def _together(runners: list[Runner], session: Session, result: report.Report) -> None:
    """All rounds on all devices, compared after each."""
    for runner in runners:
        session.place(runner.device.memory)
    # A log file gets a line now and then, a terminal a moving bar.
    interval = 0.2 if sys.stderr.isatty() else 15
    with tqdm(total=len(runners) * session.steps, unit="step", mininterval=interval) as bar:
        epoch = 0
        for work in session.rounds:
            if work.epoch > epoch:
                result.weight_hashes.append(session.weight_hash(runners[0].device.memory))
                epoch = work.epoch
            for runner in runners:
                runner.run(work, bar)
            _compare(runners, session, result)
        result.weight_hashes.append(session.weight_hash(runners[0].device.memory))
        accuracies = {runner.test_accuracy(bar) for runner in runners}
        _compare(runners, session, result)
    result.test_accuracy = accuracies.pop()
    result.curve = runners[0].curve
    for runner in runners:
        result.seconds[runner.name] = runner.seconds


def _compare(runners: list[Runner], session: Session, result: report.Report) -> None:
    if len(runners) > 1 and result.memory_equal is not False:
        model, chip = (runner.device.memory for runner in runners)
        result.first_difference = difference(session.program, chip, model)
        result.memory_equal = result.first_difference is None


def difference(program: TrainingProgram, memory: np.ndarray, model: np.ndarray) -> str | None:
    """Where external memory first differs between device and model, by region; None if nowhere."""
    places = np.flatnonzero(memory != model)
    if not places.size:
        return None
    first = int(places[0])
    for name, (start, size) in program.external.regions.items():
        if start <= first < start + size:
            return (f"{places.size} bytes, first in {name} at byte {first - start}: "
                    f"{memory[first]:#04x}, model {model[first]:#04x}")
    return f"{places.size} bytes, first between regions at byte {first}"
