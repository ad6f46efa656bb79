"""`winnow run`: train a network on the generated Verilog and on the model, and compare."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from isa.config import Config
from verif.build import verilator
from winnow import files, losses, network, probe, progress, report
from winnow.chip import simulated
from winnow.compiler.recipe import Recipe
from winnow.compiler.training import LOSS_WANTED, TrainingProgram
from winnow.datasets import Dataset, network_for
from winnow.host import Device, Driver, ModelDevice
from winnow.session import Progress, Round, Session

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

    Members
    -------
    curve : progress at each training step that was done
    weight_hashes : at the end of each epoch
    skipped : images without BP and WU, of all training steps
    seconds, counters, tags : of all rounds together
    """

    def __init__(self, session: Session, device: Device, units: int, name: str):
        self.session, self.device, self.units, self.name = session, device, units, name
        self.driver = Driver(device)
        self.curve: list[Progress] = []
        self.weight_hashes: list[str] = []
        self.skipped = 0
        self.seconds = 0.0
        self.counters: dict[str, int] = {}
        self.tags: list[dict[str, int]] = []

    def run(self, work: Round, bar: tqdm) -> None:
        """One round; training adds to the curve."""
        session, memory = self.session, self.device.memory
        session.load(memory, work)
        began, done = time.monotonic(), 0
        before = len(self.curve)
        bar.set_description(f"{'testing' if work.rate is None else 'training'} on the {self.name}")
        self.driver.start(session.program.address("program"))
        ended = False
        while not ended:
            ended = self._ended()
            known = done
            done = len(work.images) if ended else session.steps_done(memory, work, done)
            if work.rate is None:
                continue
            for step in range(known + 1, done + 1):
                self.curve.append(session.progress(memory, work, step, before))
            if done > known:
                last = self.curve[-1]
                bar.set_postfix({"loss": f"{last.loss:.3f}", "accuracy": f"{last.accuracy:.1%}"},
                                refresh=False)
            bar.update(done - known)
        self.seconds += time.monotonic() - began
        self._count_skipped(work)
        if work.rate is not None and len(self.curve) % len(session.orders[0]) == 0:
            self.weight_hashes.append(session.weight_hash(memory))

    def _ended(self) -> bool:
        """Let some time pass; True at the end of the program. Where it halts for the loss, the host
        hands in errors."""
        if not self.device.run(self.units):
            return False
        code = self.driver.finish()
        self._count()
        if code != LOSS_WANTED:
            return True
        self.session.hand_in(self.device.memory)
        self.driver.resume()
        return False

    def _count_skipped(self, work: Round) -> None:
        """Of training steps; say so where one had no image left."""
        if work.rate is None:
            return
        images = self.session.live(self.device.memory, len(work.images))
        self.skipped += int(np.sum(~images))
        live = images.any(axis=1)
        if not live.all():
            tqdm.write(f"warning: in {np.sum(~live)} of {live.size} steps every image was skipped "
                       f"(skip_images = {self.session.program.recipe.skip_images}): they changed "
                       f"weights by momentum and decay alone", sys.stderr)

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
        """The share of test images whose highest score is that of their class; where the loss has
        no labels, the accuracy of a linear probe."""
        if self.session.program.recipe.by_host:
            return self._probe(bar)
        right = []
        for work in self.session.test_rounds:
            self.run(work, bar)
            right.append(self.session.right(self.device.memory, work).ravel())
        return float(np.concatenate(right)[:self.session.dataset.test_labels.size].mean())

    def _probe(self, bar: tqdm) -> float:
        session, data = self.session, self.session.dataset
        splits = []
        for rounds, labels in ((session.probe_rounds, data.train_labels),
                               (session.test_rounds, data.test_labels)):
            features = []
            for work in rounds:
                self.run(work, bar)
                features.append(session.features(self.device.memory))
            splits += [np.concatenate(features)[:labels.size], labels]
        return probe.accuracy(*splits)

    def report(self, result: report.Report) -> None:
        """Add what was seen of training, and what the device counted."""
        result.curve, result.weight_hashes = self.curve, self.weight_hashes
        result.live_weights = self.session.live_weights(self.device.memory)
        result.skipped_images = self.skipped / (len(self.curve) * self.session.program.recipe.batch)
        result.seconds[self.name] = self.seconds
        if self.counters["cycles"]:
            result.count(self.session.program, self.counters, self.tags)
            result.cycles_per_second = round(result.cycles / self.seconds)


@contextmanager
def runner(session: Session, device: str, waves: Path | None = None) -> Iterator[Runner]:
    """The runner of the ``model`` or of the ``rtl`` (the Verilog, which is built if need be)."""
    config, size = session.program.config, session.program.external.size
    if device == "model":
        yield Runner(session, ModelDevice(config, size), INSTRUCTIONS_AT_ONCE, device)
        return
    with simulated(config, size, waves=waves) as simulation:
        yield Runner(session, simulation, CYCLES_AT_ONCE, device)


def prepare(session: Session, device: str, out: Path) -> None:
    """Everything that can be refused before work begins, nothing written until it cannot."""
    program = session.program
    for rate, density in ((program.recipe.rate(0), session.density(0)), (None, 1.0)):
        program.instructions(1, rate, density=density)
    files.check_folder(out)
    if device == "rtl":
        verilator()


def report_of(session: Session, net: str, device: str) -> report.Report:
    """The report of a run that is still to come."""
    data = session.dataset
    return report.Report(net, data.name, device, session.seed, session.program.config, {
        "train": data.train_labels.size, "test": data.test_labels.size},
        measure="linear probe" if session.program.recipe.by_host else "test accuracy")


def progress_bar(steps: int, done: int = 0) -> tqdm:
    return progress.bar(total=steps, initial=done, unit="step")


def run(config: Config, net: str, dataset: Dataset, recipe: Recipe, *, seed: int, device: str,
        out: Path, waves: Path | None = None) -> report.Report:
    """Train, evaluate, compare; writes report.json and report.png into `out`.

    `device` is ``rtl`` (the Verilog, compared with the model) or ``model`` (the model alone).
    """
    program = TrainingProgram(config, losses.with_head(
        network_for(network.named(net), dataset), recipe.loss), recipe)
    session = Session(program, dataset, seed)
    prepare(session, device, out)
    result = report_of(session, net, device)
    with runner(session, "model") as model:
        if device == "rtl":
            began = time.monotonic()
            with runner(session, "rtl", waves) as chip:
                result.seconds["build"] = time.monotonic() - began
                _together([model, chip], session, result)
        else:
            _together([model], session, result)
    files.write_json(out / "report.json", result.as_json())
    files.write(out / "report.png", report.picture(result))
    return result


def _together(runners: list[Runner], session: Session, result: report.Report) -> None:
    """All rounds on all devices, compared after each."""
    for each in runners:
        session.place(each.device.memory)
    with progress_bar(len(runners) * session.steps) as bar:
        for work in session.rounds:
            for each in runners:
                each.run(work, bar)
            _compare(runners, session, result)
        accuracies = {each.test_accuracy(bar) for each in runners}
        _compare(runners, session, result)
    result.test_accuracy = accuracies.pop()
    for each in runners:
        each.report(result)


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
