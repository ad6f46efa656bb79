import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hdl import cache
from isa.config import TREES, named
from isa.registers import Skip
from sim import operands, tensor
from synth import energy, gates, liberty, power, timing
from synth.errors import SynthesisError
from verif.synth.designs import LIBRARY
from winnow import cli, datasets, network
from winnow.compiler.recipe import recipe_for
from winnow.energy import accesses, capture, measure, scaling, step, stimuli, work
from winnow.errors import UserError

LIBRARIES = os.environ.get("WINNOW_LIBERTY")  # a folder with the files that are named below
needs_opensta = pytest.mark.skipif(timing.program() is None, reason="OpenSTA is not on PATH")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("energy")
    path = folder / "small.lib"
    path.write_text(LIBRARY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "BUILD", folder / "build")
        yield liberty.load([path])


def test_power_of_the_ground_rail_is_left_out(library):
    text = library.powered.read_text()
    assert "internal_power" in text and "leakage_power" in text
    assert "related_pg_pin" not in text
    assert library.volts == 1


def test_energies_of_cells(library):
    kinds = gates.gates(library.path.read_text(), {"INV", "NAND2", "DFF"})
    wanted = {("INV", 0.004), ("INV", 0.0), ("NAND2", 0.002), ("DFF", 0.01)}
    found = power.cell_energies(library, kinds, wanted, 0.1)
    # pJ of the tables; C V^2 / 2 of 1 pF at 1 V is 500 fJ
    for each, change, net, clock, leakage in (
            (("INV", 0.004), 200, 2, 0, 1), (("INV", 0.0), 200, 0, 0, 1),
            (("NAND2", 0.002), 200, 1, 0, 3), (("DFF", 0.01), 400, 5, 1000, 10)):
        energy = found[each]
        assert energy.change == pytest.approx(change), each
        assert energy.net == pytest.approx(net), each
        assert energy.clock == pytest.approx(clock), each
        assert set(energy.inputs.values()) == {0}, each
        assert energy.leakage == pytest.approx(leakage), each


def _group(pin: str, when: str, low: float, high: float) -> str:
    """Internal power at loads of 0.001 and 0.1 for the fast and twice that for the slow input."""
    table = f'(p) {{ values ("{low}, {high}", "{2 * low}, {2 * high}"); }}'
    return (f"internal_power () {{ {pin and f'related_pin : {pin};'} {when and f'when : {when};'} "
            f"rise_power {table} fall_power {table} }}")


@pytest.mark.parametrize("function, powers, inputs, change", [
    # each of the three inputs has the same part in the changes
    ("A&B&C", [("A", "", 1), ("B", "", 2), ("C", "", 6)], {}, 3),
    # A changes it in half of the states, B and C in a quarter of them
    ("A&(B|C)", [("A", "", 1), ("B", "", 9), ("C", "", 9)], {}, (0.75 * 1 + 0.5 * 9) / 1.25),
    ("A^B", [("A", "B", 1), ("A", "!B", 3), ("B", "A", 5), ("B", "!A", 7)], {}, 4),
    ("A&B&C", [("A", "", 1)], {"A": [("!B&!Y", 4), ("B&!C", 8)]}, 1),
])
def test_causes_and_conditions(library, tmp_path, function, powers, inputs, change):
    pins = "".join(f"pin ({pin}) {{ direction : input; capacitance : 0.001; "
                   + "".join(_group("", f'"{when}"', each, each)
                             for when, each in inputs.get(pin, [])) + "}\n" for pin in "ABC")
    cell = (f'cell (G) {{ {pins} pin (Y) {{ direction : output; function : "{function}"; '
            + "".join(_group(f'"{pin}"', when and f'"{when}"', each, each)
                      for pin, when, each in powers) + "} }\n")
    text = library.powered.read_text()
    path = tmp_path / "more.lib"
    path.write_text(text[:text.rindex("}")] + cell + "}")
    kinds = gates.gates(path.read_text(), {"G"})
    found = power.cell_energies(replace(library, powered=path), kinds, {("G", 0.05)}, 0.01)
    energy = found["G", 0.05]
    assert energy.change == pytest.approx(1000 * change)
    expected = {"A": 1000 * (0.5 * 4 + 0.25 * 8) if inputs else 0, "B": 0, "C": 0}
    assert energy.inputs == pytest.approx(expected)


def test_tables_are_interpolated(library, tmp_path):
    text = library.powered.read_text()
    path = tmp_path / "more.lib"
    path.write_text(text[:text.rindex("}")] + """cell (G) { pin (A) { direction : input; }
        pin (Y) { direction : output; function : "A"; """ + _group("A", "", 1, 3) + "} } }")
    kinds = gates.gates(path.read_text(), {"G"})
    for slew, load, expected in ((0.01, 0.001, 1), (0.01, 0.1, 3), (1, 0.1, 6), (9, 9, 6),
                                 (0.01, 0.0505, 2), (0.505, 0.0505, 3)):
        found = power.cell_energies(replace(library, powered=path), kinds, {("G", load)}, slew)
        assert found["G", load].change == pytest.approx(1000 * expected), (slew, load)


def test_a_library_without_power(library):
    with pytest.raises(SynthesisError, match="without internal power"):
        power.cell_energies(replace(library, powered=library.path), {}, set(), 0.1)


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


def _totals(found: work.Work, positions: int) -> tuple[np.ndarray, np.ndarray]:
    """The sums of a block's work, and which of them it has touched; before each cycle it must know
    them."""
    total, touched = np.zeros((positions, TREES), object), np.zeros((positions, TREES), bool)
    for c, t in zip(*np.nonzero(found.live), strict=True):
        assert found.before[c, t] == total[found.position[c, t], t]
        total[found.position[c, t], t] += found.product[c, t]
        touched[found.position[c, t], t] = True
    return total, touched


def test_sums_of_work_are_the_models(steps):
    seen = set()

    def compare(phase, operation, words):
        sums, _ = operands.product(*operation.parts[0], words)
        number = len(seen) % operation.blocks
        found = work.block(operation, words, number)
        total, touched = _totals(found, operation.positions)
        assert touched.all() and found.cycles * 64 == found.dense
        assert np.array_equal(total, operation._by_block(sums)[number, 0])
        seen.add((phase, operation.blocks))

    steps("small", "none").run(compare)
    assert {phase for phase, _ in seen} == {"FP", "BP", "WU"}


def test_work_that_is_left_out_changes_no_sum(steps):
    seen, shared = set(), 0

    def compare(phase, operation, words):
        nonlocal shared
        mode = operation.mode
        if mode["skip"]:
            whole = tensor.Operation(operation.config, operation.registers | {
                "tensor.mode": mode | {"skip": 0}})
            number = len(seen) % operation.blocks
            found, dense = (work.block(each, words, number) for each in (operation, whole))
            total, touched = _totals(found, operation.positions)
            expected, _ = _totals(dense, operation.positions)
            assert np.array_equal(total[touched], expected[touched])
            assert not mode["skip"] & Skip.ELEMENTS or not expected[~touched].any()
            assert found.dense == dense.dense and found.cycles <= dense.cycles
            seen.add((phase, mode["skip"], found.cycles < dense.cycles))
            shared += np.count_nonzero(found.offset)

    steps("bench", "all").run(compare)
    assert {(skip, less) for _, skip, less in seen} >= {
        (Skip.OUTPUTS | Skip.TILES, True), (Skip.ELEMENTS | Skip.TILES, True)}
    assert shared  # lanes have done elements of others


def test_samples_have_what_was_asked_for(steps):
    found = steps("small", "none").sample(1024)
    assert list(found) == ["FP", "BP", "WU"]
    for works in found.values():
        assert len(works) == 1024 // capture.WINDOW
        assert 0.85 * 1024 <= sum(each.cycles for each in works) <= 1024  # some blocks are shorter
        assert sum(each.dense for each in works) == 64 * sum(each.cycles for each in works)
    with pytest.raises(UserError, match="after 999 steps: must be 0 to"):
        capture.Step(named("small"), network.named("digits"), recipe_for("digits"),
                     datasets.load("digits"), 999)


def test_scaling():
    assert scaling.gate(65, 1.3) == pytest.approx(2.604, abs=1e-3)  # of the paper's erratum
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


def report(name: str, config: str, library, **changes) -> measure.Report:
    return measure.measure(name, named(config), library, network.named("digits"),
                           recipe_for("digits"), datasets.load("digits"), show=False,
                           **({"after": 2, "cycles": 512, "node": 7} | changes))


@needs_opensta
def test_a_tree_end_to_end(library):
    """Gates of the tree, with operands of a step: they compute what the model does."""
    found = report("tree", "bench", library)
    by_skip = {(each.phase, each.skip): each for each in found.phases}
    assert set(by_skip) == {(phase, skip) for phase in ("FP", "BP", "WU")
                            for skip in ("none", "all")}
    for (_, skip), each in by_skip.items():
        assert each.done == pytest.approx(sum(each.parts.values()) + each.leakage)
        assert all(each.parts[part] > 0 for part in measure.PARTS)
        cycles = each.cycles * 64 / each.dense
        assert cycles == 1 if skip == "none" else cycles <= 1
        assert each.effective == pytest.approx(each.done * cycles)
        # 0.2 pJ a change in a gate and 0.4 in a register, of which there are 233: at least the
        # clock takes 1 pJ and 2 fJ each, by 8 multiply-adds
        assert each.parts["clock"] == pytest.approx(233 * 1.002 / 8)
        assert each.settled == pytest.approx(each.effective - each.parts["glitches"] * cycles)
    assert by_skip["WU", "all"].effective < by_skip["WU", "none"].effective
    assert found.as_json()["phases"][0]["tflops_w"] == 2 / found.phases[0].effective
    text = measure.table(found)
    assert len(re.findall(r"(?m)^(?:FP|BP|WU) ", text)) == 12 and "to 28 nm" in text


@needs_opensta
def test_a_wrong_result_is_found(library, steps):
    config = named("small")
    unit = energy.Unit("tree", config, library)
    works = steps("small", "none").sample(512)["FP"]
    given = stimuli.tree(unit, config, works)
    activity, _ = unit.run(given.given, given.counted)
    given.check(activity)
    row = given.given["s_codes[6]"]
    activity, _ = unit.run(given.given | {"s_codes[6]": ~row}, given.counted)
    with pytest.raises(SynthesisError, match=r"differs from the model in \d+ of"):
        given.check(activity)


def test_mistakes(library, tmp_path, capsys):
    for wanted, message in (({"name": "drain"}, "unit 'drain': energy is measured of tree, core"),
                            ({"cycles": 100}, "--cycles 100: must be at least 512"),
                            ({"node": 28}, "--node 28: there are factors of")):
        with pytest.raises(UserError, match=message):
            report(**({"name": "tree", "config": "small", "library": library} | wanted))
    assert cli.main(["energy", "--target", "generic"]) == 2
    assert "target 'generic' has no cell library" in capsys.readouterr().err
    path = tmp_path / "step.json"
    path.write_text("{}")
    assert cli.main(["energy", "--target", "sky130", "--step", str(path)]) == 2
    assert "must be what `winnow bench phases --json` writes" in capsys.readouterr().err


def test_a_whole_step(library, tmp_path):
    counters = dict.fromkeys(step.COUNTERS, 0) | {
        "macs": 700, "skipped_tiles": 100, "skipped_elements": 200, "words_read": 90,
        "words_written": 10, "words_filled": 1, "words_stored": 1}
    path = tmp_path / "step.json"
    path.write_text(json.dumps({"network": "digits", "counters": counters, "phases": [
        {"phase": "FP", "macs": 300}, {"phase": "WU", "macs": 400}, {"phase": "FP", "macs": 300}]}))
    counted = step.read(path)
    assert counted.dense == 1000 and counted.skips
    assert counted.share == pytest.approx({"FP": 0.6, "WU": 0.4})
    found = step.energy(named("small"), counted, {"FP": 1.0, "WU": 2.0}, "HBM2")
    assert found.parts["tensor cores"].low == pytest.approx(1.4)
    assert found.parts["scratchpad"].high == pytest.approx(1.0)
    assert found.parts["HBM2"] == accesses.Range(0.5, 0.9)
    assert (found.total.low, found.total.high) == pytest.approx((2.65, 3.3))
    for name, net in (("tree", "digits"), ("core", "vgg7")):
        with pytest.raises(UserError, match=f"a step of digits beside {name} of {net}"):
            measure.measure(name, named("small"), library, network.named(net),
                            recipe_for("digits"), datasets.load("digits"), after=0, cycles=512,
                            node=None, counted=counted, show=False)


@pytest.mark.slow
@needs_opensta
@pytest.mark.skipif(LIBRARIES is None, reason="WINNOW_LIBERTY names no folder of libraries")
@pytest.mark.parametrize("config", ["small", "bench"])
def test_a_core_in_real_cells(config):
    names = "asap7_invbuf.lib.gz", "asap7_seq.lib.gz", "asap7_simple.lib.gz"
    library = liberty.load([Path(LIBRARIES) / each for each in names], "asap7")
    found = report("core", config, library)
    print(measure.table(found))
    for each in found.phases:
        assert 0.02 < each.done - each.parts["accumulators"] < 0.4
        assert each.parts["accumulators"] < 0.4
