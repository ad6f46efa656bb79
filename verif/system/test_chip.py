"""The chip against the model: whole training programs, each byte of memory, each exact counter."""

from collections.abc import Iterator

import numpy as np
import pytest

from isa.config import Config, named
from isa.memmap import COUNTERS
from verif import seeds
from verif.simulation import Simulation
from verif.system.networks import LOW_PRECISION, random_session
from winnow.compiler.placement import PlacementError
from winnow.compiler.step import TileError
from winnow.host import Driver, ModelDevice
from winnow.network import (
    AveragePool,
    Conv,
    Linear,
    MaxPool,
    Network,
    Residual,
    Shape,
    Window,
)
from winnow.run import difference
from winnow.session import Session
from winnow.train import pieces

CONFIGS = {
    "small": named("small"),
    "groups": Config(cores=4, block=16, tree_stages=1, axi_words=4, scratchpad_kib=64,
                     banks=32, vector_datapaths=2, slot=4, reach=2),
    "tiny": Config(scratchpad_kib=16, cores=2),  # bands, chunks and pieces everywhere
    "cores": Config(cores=2, block=8, tree_stages=0, axi_words=2),
    "wide": Config(mode="e5m2", accumulator_bits=88, block=128, tree_stages=3, banks=32,
                   vector_datapaths=4),
}
CYCLES = 200_000


def fitting_session(config: Config, name: str, **options) -> Session:
    """The first random session of that name that fits the configuration."""
    generator = seeds.generator(name)
    for _ in range(100):
        session = random_session(config, generator, **options)
        try:
            assert session.program.training.operations and session.program.evaluation.operations
            return session
        except (PlacementError, TileError):
            continue
    raise AssertionError("no network fits")


def work(session: Session, device, units: int, most: int = CYCLES):
    """Train, at most so many steps a program, and evaluate; yields the driver after each."""
    driver = Driver(device)
    session.place(device.memory)
    for part in (*pieces(session.rounds, 0, most), *session.test_rounds):
        session.load(device.memory, part)
        driver.execute(session.program.address("program"), units)
        yield driver


def compare(session: Session, chip: Driver, model: Driver) -> None:
    """Memory and exact counters after a program."""
    assert difference(session.program, chip.device.memory, model.device.memory) is None
    on_chip, on_model = chip.counters(), model.counters()
    for counter in COUNTERS:
        if counter.exact:
            assert on_chip[counter.name] == on_model[counter.name], counter.name
    assert [tag["words"] for tag in chip.tag_counters()] == [
        tag["words"] for tag in model.tag_counters()]


def on_both(session: Session, most: int = CYCLES, **memory) -> Iterator[tuple[Driver, Driver]]:
    """`work` on the chip, whose external memory is as `Simulation` has it, and on the model: both
    drivers after each program, which has left the same."""
    config, size = session.program.config, session.program.external.size
    with Simulation(config, memory_bytes=size, seed=seeds.seed(), **memory) as chip:
        for drivers in zip(work(session, chip, CYCLES, most),
                           work(session, ModelDevice(config, size), CYCLES, most), strict=True):
            compare(session, *drivers)
            yield drivers


@pytest.mark.parametrize("case", range(6))
@pytest.mark.parametrize("name", [
    "small", *(pytest.param(name, marks=pytest.mark.slow) for name in CONFIGS if name != "small")])
def test_training_program(name, case):
    check(fitting_session(CONFIGS[name], f"chip {case}"), case)


def test_every_kind_of_layer():
    """Pools of all kinds, strides that differ, a map that is added to two others, biases and
    normalisation."""
    network = Network("everything", Shape(3, 13, 11), (
        Conv("a", 8, norm=True, pool=Window(5, 2, 2)),
        MaxPool("max", Window(2, 1, 1)),
        Residual("outer", (
            Residual("inner", (Conv("b", 8, relu=False),)),
            AveragePool("mean", Window(3, 1, 1)),
            Conv("c", 13, 3, 2, norm=True),
            Conv("d", 16, relu=False, norm=True)), Conv("e", 16, 1, 2, 0, relu=False)),
        MaxPool("ragged", Window(3)),
        AveragePool("all"),
        Linear("fc", 10)))
    session = random_session(named("small"), seeds.generator("every kind"), network=network)
    check(session, case=1)


def check(session: Session, case: int) -> None:
    """Train and test on the chip and on the model, with memory stalls in odd cases."""
    for chip, _ in on_both(session, stalls=0.3 if case % 2 else 0.0, latency=case):
        assert np.count_nonzero(chip.device.memory[session.program.external.slice("masters")])


@pytest.mark.parametrize("case", range(2))
def test_low_precision_training(case):
    """16-bit masters and moments, stochastic rounding, and a scale of errors that falls and rises:
    several steps a program, and the state that goes from one to the next."""
    session = fitting_session(CONFIGS["small"], f"low precision {case}", steps=8, **LOW_PRECISION)
    scales = [session.state(chip.device.memory).scale
              for chip, _ in on_both(session, 1 + case, stalls=0.3 * case)]
    steps = np.diff([LOW_PRECISION["error_scale"], *scales])
    assert steps.min() < 0 < steps.max(), scales
