"""The chip against the model: whole training programs, each byte of memory, each exact counter."""

import numpy as np
import pytest

from isa.config import Config, named
from isa.memmap import COUNTERS
from verif import seeds
from verif.simulation import Simulation
from verif.system.networks import random_session
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

CONFIGS = {
    "small": named("small"),
    "groups": Config(cores=4, block=16, tree_stages=1, axi_words=4, scratchpad_kib=64,
                     banks=32, vector_datapaths=2),
    "cores": Config(cores=2, block=8, tree_stages=0, axi_words=2),
    "wide": Config(mode="e5m2", accumulator_bits=88, block=128, tree_stages=3, banks=32,
                   vector_datapaths=4),
}
CYCLES = 200_000


def fitting_session(config: Config, name: str) -> Session:
    """The first random session of that name that fits the configuration."""
    generator = seeds.generator(name)
    for _ in range(100):
        session = random_session(config, generator)
        try:
            assert session.program.training.operations and session.program.evaluation.operations
            return session
        except (PlacementError, TileError):
            continue
    raise AssertionError("no network fits")


def work(session: Session, device, units: int):
    """Train and evaluate; yields the driver after each program."""
    driver = Driver(device)
    session.place(device.memory)
    for part in (*session.rounds, *session.test_rounds):
        session.load(device.memory, part)
        driver.execute(session.program.address("program"), units)
        yield driver


@pytest.mark.parametrize("case", range(6))
@pytest.mark.parametrize("name", [
    "small", *(pytest.param(name, marks=pytest.mark.slow) for name in CONFIGS if name != "small")])
def test_training_program(name, case):
    config = CONFIGS[name]
    check(config, fitting_session(config, f"chip {case}"), case)


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
    config = named("small")
    session = random_session(config, seeds.generator("every kind"), network=network)
    check(config, session, case=1)


def check(config: Config, session: Session, case: int) -> None:
    """Train and test on the chip and on the model, with memory stalls in odd cases."""
    size = session.program.external.size
    model = ModelDevice(config, size)
    stalls = 0.3 if case % 2 else 0.0
    with Simulation(config, memory_bytes=size, seed=seeds.seed(), stalls=stalls,
                    latency=case) as chip:
        for on_chip, on_model in zip(work(session, chip, CYCLES), work(session, model, CYCLES),
                                     strict=True):
            assert difference(session.program, chip.memory, model.memory) is None
            chip_counters, model_counters = on_chip.counters(), on_model.counters()
            for counter in COUNTERS:
                if counter.exact:
                    assert chip_counters[counter.name] == model_counters[counter.name], \
                        counter.name
            assert [tag["words"] for tag in on_chip.tag_counters()] == [
                tag["words"] for tag in on_model.tag_counters()]
        assert np.count_nonzero(chip.memory[session.program.external.slice("masters")])
