from dataclasses import replace

import numpy as np
import pytest

from hdl import cache
from isa.config import TREES, named
from sim import operands
from synth import gates, liberty, power, timing
from synth.errors import SynthesisError
from verif.synth.designs import LIBRARY
from winnow import datasets, network
from winnow.compiler.recipe import recipe_for
from winnow.energy import accesses, capture, scaling, work
from winnow.errors import UserError

needs_opensta = pytest.mark.skipif(timing.program() is None, reason="OpenSTA is not on PATH")


@pytest.fixture
def library(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "BUILD", tmp_path / "build")
    path = tmp_path / "small.lib"
    path.write_text(LIBRARY)
    return liberty.load([path])


def test_power_of_the_ground_rail_is_left_out(library):
    text = library.powered.read_text()
    assert "internal_power" in text and "leakage_power" in text
    assert "related_pg_pin" not in text
    assert library.volts == 1


@needs_opensta
def test_energies_of_cells(library):
    kinds = gates.gates(library.path.read_text(), {"INV", "NAND2", "DFF"})
    wanted = {("INV", 0.004), ("INV", 0.0), ("NAND2", 0.002), ("DFF", 0.01)}
    found = power.cell_energies(library, kinds, wanted, 0.1)
    # rise and fall take turns; C V^2 / 2 of 1 pF at 1 V is 500 fJ
    for each, change, net, clock, leakage in (
            (("INV", 0.004), 200, 2, 0, 1), (("INV", 0.0), 200, 0, 0, 1),
            (("NAND2", 0.002), 200, 1, 0, 3), (("DFF", 0.01), 400, 5, 1000, 10)):
        energy = found[each]
        assert energy.change == pytest.approx(change, rel=1e-4), each
        assert energy.net == pytest.approx(net), each
        assert energy.clock == pytest.approx(clock, rel=1e-4, abs=1e-3), each
        assert energy.inputs == pytest.approx(0, abs=1e-3), each
        assert energy.leakage == pytest.approx(leakage, rel=1e-4), each


@needs_opensta
def test_a_library_without_power(library, tmp_path):
    bare = replace(library, powered=library.path, key="bare")
    with pytest.raises(SynthesisError, match="without internal power"):
        power.cell_energies(bare, {}, set(), 0.1)
    kinds = gates.gates(library.path.read_text(), {"INV"})
    cold = tmp_path / "cold.lib"
    cold.write_text(library.powered.read_text().replace("default_operating_conditions", "other"))
    with pytest.raises(SynthesisError, match="default operating conditions"):
        power.cell_energies(replace(library, powered=cold, key="cold"), kinds, {("INV", 0.1)}, 0.1)


@pytest.fixture(scope="module")
def steps():
    """A step of digits by configuration and by what is left out."""
    digits, kept = datasets.load("digits"), {}

    def step(config: str, skip: str) -> capture.Step:
        if (config, skip) not in kept:
            kept[config, skip] = capture.Step(
                named(config), network.named("digits"),
                replace(recipe_for("digits"), skip=skip), digits, 2)
        return kept[config, skip]

    return step


@pytest.mark.parametrize("config, skip", [("small", "none"), ("bench", "all")])
def test_sums_of_work_are_the_models(steps, config, skip):
    seen = []

    def compare(phase, operation, words):
        if operation.groups > 1 and operation.merge:
            return  # the sum of the first group alone is not in the model
        sums, _ = operands.product(operation.stream, operation.tiles, words)
        expected = operation._by_block(sums)
        number = len(seen) % operation.blocks
        found = work.block(operation, words, number)
        total = np.zeros((operation.positions, TREES), object)
        touched = np.zeros(total.shape, bool)
        for c, t in zip(*np.nonzero(found.live), strict=True):
            assert found.before[c, t] == total[found.position[c, t], t]
            total[found.position[c, t], t] += found.product[c, t]
            touched[found.position[c, t], t] = True
        wanted = expected[number, 0]
        assert np.array_equal(total[touched], wanted[touched])
        assert touched.all() or operation.mode["skip"]
        seen.append((phase, operation.mode["skip"], found.cycles * 64 / found.dense))

    steps(config, skip).run(compare)
    assert {phase for phase, _, _ in seen} == {"FP", "BP", "WU"}
    skips = {skip for _, skip, _ in seen}
    assert skips == {0} if skip == "none" else len(skips) > 1
    assert all(share == 1 for _, skip, share in seen if skip == 0)
    assert skip == "none" or min(share for _, _, share in seen) < 0.8


def test_samples_have_what_was_asked_for(steps):
    found = steps("small", "none").sample(1024)
    assert list(found) == ["FP", "BP", "WU"]
    for works in found.values():
        assert len(works) == 1024 // capture.WINDOW
        assert sum(each.dense for each in works) == 64 * sum(each.cycles for each in works)
    with pytest.raises(UserError, match="after 999 steps: must be 0 to"):
        capture.Step(named("small"), network.named("digits"), recipe_for("digits"),
                     datasets.load("digits"), 999)


def test_scaling():
    # the example of the paper's erratum for these processes: a2 V^2 + a1 V + a0
    assert scaling.gate(65, 1.3) == pytest.approx(3.755 * 1.69 - 4.398 * 1.3 + 1.975)
    scale = scaling.to_28(7, 0.7)
    assert scale.low < scale.factor < scale.high
    assert scaling.to_28(32, 0.9).high == 1
    with pytest.raises(UserError, match="--node 28: there are factors of 7, 10"):
        scaling.to_28(28, 0.9)


def test_accesses():
    small, bench = named("small"), named("bench")
    banks = {8: (small, 7.5, 10), 32: (bench, 8.5, 20),
             16: (small.with_(scratchpad_kib=256), 63.75**0.5, 200**0.5)}
    for kib, (config, low, high) in banks.items():
        found = accesses.scratchpad(config)
        assert (found.low, found.high) == pytest.approx((low, high)), kib
    counters = {"words_read": 10, "words_written": 2, "words_filled": 1, "words_stored": 3}
    found = accesses.of_step(small, counters, "DDR")
    assert found["scratchpad"].high == pytest.approx(120)
    assert found["DDR"] == accesses.Range(5200, 10400)
