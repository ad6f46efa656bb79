"""`winnow run`: train a network on the generated Verilog and on the model, and compare."""

import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from isa.config import Config
from verif.build import verilator
from winnow import datasets, files, network, report
from winnow.compiler.training import Recipe, TrainingProgram
from winnow.errors import UserError
from winnow.host import Device, Driver, ModelDevice
from winnow.session import Session

CYCLES_AT_ONCE = 200_000  # between two looks at the log
INSTRUCTIONS_AT_ONCE = 2_000


def run(config: Config, net: str, data: str, recipe: Recipe, *, seed: int, device: str,
        out: Path, waves: Path | None = None) -> report.Report:
    """Train, evaluate, compare; writes report.json and report.png into `out`.

    `device` is ``rtl`` (the Verilog, compared with the model) or ``model`` (the model alone).
    """
    dataset = datasets.load(data)
    program = TrainingProgram(config, network.named(net), recipe, dataset.train_labels.size,
                              dataset.test_labels.size)
    session = Session(program, dataset, seed)
    files.check_folder(out)
    if device == "rtl":
        verilator()
    result = report.Report(net, data, device, seed, config, {
        "train": dataset.train_labels.size, "test": dataset.test_labels.size})
    model = ModelDevice(config, program.external.size)
    _train(session, model, result, INSTRUCTIONS_AT_ONCE, "model")
    memory = model.memory
    if device == "rtl":
        memory = _simulate(session, result, waves)
        result.first_difference = difference(program, memory, model.memory)
        result.memory_equal = result.first_difference is None
    result.test_accuracy = session.test_accuracy(memory)
    result.weight_hashes = session.weight_hashes(memory)
    files.write_json(out / "report.json", result.as_json())
    files.write(out / "report.png", report.picture(result))
    return result


def _simulate(session: Session, result: report.Report, waves: Path | None) -> np.ndarray:
    """Train on the Verilog; external memory as it is at the end."""
    from verif.simulation import Simulation, SimulationError

    size = session.program.external.size
    began = time.monotonic()
    print("generating the Verilog and building the simulation (cached by content)", flush=True)
    try:
        with Simulation(session.program.config, memory_bytes=size, waves=waves) as simulation:
            result.seconds["build"] = time.monotonic() - began
            driver = _train(session, simulation, result, CYCLES_AT_ONCE, "rtl")
            result.count(session.program, driver)
            result.cycles_per_second = round(result.cycles / result.seconds["rtl"])
            return simulation.memory.copy()
    except SimulationError as error:
        raise UserError(f"simulation: {error}") from error


def _train(session: Session, device: Device, result: report.Report, units: int,
           name: str) -> Driver:
    """Run the program to its end, with a progress bar fed from the log in memory."""
    session.place(device.memory)
    driver = Driver(device)
    began = time.monotonic()
    driver.start(session.program.external.regions["program"][0])
    result.curve = []
    # A log file gets a line now and then, a terminal a moving bar.
    interval = 0.2 if sys.stderr.isatty() else 15
    with tqdm(total=session.steps, desc=f"training on the {name}", unit="step",
              mininterval=interval) as bar:
        done = 0
        while True:
            ended = device.run(units)
            done = session.steps_done(device.memory, done)
            if done > bar.n:
                progress = session.progress(device.memory, done)
                result.curve.append(progress)
                shown = {"loss": f"{progress.loss:.3f}", "accuracy": f"{progress.accuracy:.1%}"}
                if hasattr(device, "cycles"):
                    shown["cycles"] = f"{device.cycles / 1e6:.1f}M"
                bar.set_postfix(shown, refresh=False)
                bar.update(done - bar.n)
            if ended:
                break
    driver.finish()
    result.seconds[name] = time.monotonic() - began
    return driver


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
