"""Networks that exceed the scratchpad: the same bits as where all fits, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from isa.config import Config, named
from verif import seeds
from verif.system.networks import LOW_PRECISION, random_session
from winnow.compiler.cuts import Cuts
from winnow.compiler.placement import PlacementError
from winnow.compiler.recipe import recipe_for
from winnow.compiler.scaling import State
from winnow.compiler.step import Step, TileError
from winnow.compiler.training import TrainingProgram
from winnow.host import Driver, ModelDevice
from winnow.network import Conv, Linear, Network, Shape

LARGE = Config(scratchpad_kib=1024)
KEPT = "parameters", "weights", "masters", "moments", "log", "state"


def trained(session) -> dict[str, np.ndarray]:
    """What is in external memory after training and evaluation."""
    program = session.program
    device = ModelDevice(program.config, program.external.size)
    session.place(device.memory)
    for work in (*session.rounds, *session.test_rounds):
        session.load(device.memory, work)
        Driver(device).execute(program.address("program"))
    return {name: device.memory[program.external.slice(name)] for name in KEPT}


@pytest.fixture
def cuts(monkeypatch) -> list:
    """All cuts that are made."""
    made, choose = [], Step.choose

    def recorded(self, *arguments):
        chosen = choose(self, *arguments)
        made.append(chosen[0])
        return chosen

    monkeypatch.setattr(Step, "choose", recorded)
    return made


@pytest.mark.parametrize("recipe", [{}, LOW_PRECISION], ids=["nearest", "stochastic"])
@pytest.mark.parametrize("slot", [1, 4])
@pytest.mark.parametrize("case", range(6))
def test_same_bits_whatever_the_scratchpad(case, slot, recipe, cuts):
    """Random networks on 16 KiB, in groups of cores and blocks of all sizes; random bits too follow
    the place in a tensor, and a dynamic scale what is stored."""
    tiny = Config(scratchpad_kib=16, cores=(1, 2, 4)[case % 3], block=(8, 16, 32, 64)[case % 4],
                  slot=slot)
    for i in range(100):
        name = f"cuts {case} {slot} {i}"
        small, large = (random_session(config, seeds.generator(name), steps=1, **recipe)
                        for config in (tiny, LARGE.with_(slot=slot)))
        try:
            assert small.program.training.operations
        except (PlacementError, TileError):
            continue  # it does not fit at all
        if cuts:
            break
    found = trained(small)
    cuts.clear()
    expected = trained(large)
    assert not cuts
    for kept in KEPT:
        assert np.array_equal(found[kept], expected[kept]), kept
    assert np.count_nonzero(expected["moments"])


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("live", [False, True])
def test_masked_errors_do_not_lower_a_scale(live, pieces, monkeypatch):
    """Errors that only a map of zeros clears are far too large: in pieces as in one part they are
    no errors."""
    cut = Step.cut

    def forced(self, label, *arguments):
        if label == "map of first BP":
            return Cuts(pieces=pieces), [range(self.batch)]
        return cut(self, label, *arguments)

    monkeypatch.setattr(Step, "cut", forced)
    net = Network("scale", Shape(8, 8, 8), (
        Conv("first", 16), Conv("last", 16, relu=False), Linear("fc", 10)))
    session = random_session(LARGE, seeds.generator("scale"), steps=1, network=net,
                             rates=((0, 0.0),), **LOW_PRECISION | {"error_scale": 14})
    first, last, _ = session.weights
    first *= live
    last *= 2**12
    expected = State(1, 13, 2) if live else State(1, 14, 1)
    assert State.read(trained(session)["state"]) == expected


def program(config: Config, *layers, shape: Shape) -> TrainingProgram:
    network = Network("large", shape, (*layers, Linear("fc", 10)))
    return TrainingProgram(config, network, replace(recipe_for("large"), batch=8))


def test_all_kinds_of_cuts(cuts):
    """On 16 KiB: rows where a map is large, blocks where there are many, parts of a reduction where
    the kernel is large."""
    tiny = Config(scratchpad_kib=16)
    assert program(tiny, Conv("rows", 8, norm=True, pool=2),
                   shape=Shape(8, 16, 16)).training.operations
    assert max(c.bands for c in cuts) > 1
    cuts.clear()
    assert program(tiny, Conv("blocks", 64), shape=Shape(16, 4, 4)).training.operations
    assert max(c.chunks for c in cuts) > 1
    cuts.clear()
    assert program(tiny, Conv("kernel", 16, kernel=7, padding=3),
                   shape=Shape(16, 8, 8)).training.operations
    assert max(c.pieces for c in cuts) > 1


def test_wide_rows_are_refused():
    """7 rows of 1 channel block that do not fit, with the layer and the numbers."""
    with pytest.raises(TileError) as raised:
        _ = program(Config(scratchpad_kib=16), Conv("wide", 8, kernel=7, padding=3),
                    shape=Shape(8, 8, 512)).training
    assert "wide" in str(raised.value)
    assert "bytes of scratchpad" in str(raised.value)
    assert "16384" in str(raised.value)


def test_parameters_by_channel_are_refused():
    """They stay in the scratchpad for the whole run."""
    with pytest.raises((TileError, PlacementError), match="16384"):
        _ = program(Config(scratchpad_kib=16), Conv("a", 1024, kernel=1, padding=0, norm=True),
                    shape=Shape(8, 2, 2)).training


@pytest.mark.slow
def test_small_takes_large_maps():
    """A map of 64 x 96 x 96 on the chip with 128 KiB."""
    assert program(named("small"), Conv("a", 64), Conv("b", 64, norm=True),
                   shape=Shape(3, 96, 96)).training.operations
