"""`winnow bench ablation`: what is on in each variant, what is compared, what an interruption and
a rerun cost, and what is refused. Where cycles are of no matter the chip is a model that counts."""

import json
import shutil
from dataclasses import replace

import pytest

from isa.config import named
from verif.system.test_train import interrupt
from winnow import cli, datasets, network
from winnow.bench import ablation, phases
from winnow.bench.mechanisms import variants
from winnow.compiler.recipe import recipe_for

WIDE = tuple(a for change in ("name=wide", "cores=2", "slot=4", "reach=2")
             for a in ("--set", change))
SHORT = ("--config", "small", "--train-images", "96", "--test-images", "16", "--epochs", "1")
STEPS = 6  # of 16 images

pytestmark = pytest.mark.usefixtures("one_plan")


def bench(file, *arguments) -> int:
    return cli.main(["bench", "ablation", *SHORT, *map(str, arguments), "--json", str(file)])


def results(file) -> dict[tuple[str, int], dict]:
    return {(r["variant"], r["step"]): r for r in json.loads(file.read_text())["results"]}


def sets(*mechanisms: str) -> dict[str, str]:
    return {v.name: "+".join(v.mechanisms) for v in variants(mechanisms)}


def test_variants():
    assert sets("tiles") == {"none": "", "tiles": "tiles"}
    assert sets("tiles", "prune") == {
        "none": "", "tiles": "tiles", "prune": "prune", "all": "tiles+prune"}
    assert sets("tiles", "outputs", "prune") == {
        "none": "", "tiles": "tiles", "outputs": "outputs", "prune": "prune",
        "all": "tiles+outputs+prune", "all but tiles": "outputs+prune",
        "all but outputs": "tiles+prune", "all but prune": "tiles+outputs"}
    # What all, and all without a third, are compared with: the same training, nothing left out.
    found = sets("tiles", "outputs", "prune", "images")
    assert found["prune+images"] == "prune+images" and len(found) == 11


def test_each_mechanism_by_itself(counting, tmp_path, capsys):
    """Elements, outputs and pruned weights, alone and together."""
    file = tmp_path / "ablation.json"
    assert bench(file, *WIDE, "--mechanisms", "elements,outputs,prune", "--density", "0.2",
                 "--refresh", "2", "--steps", "4") == 0
    found = {name: r for (name, _), r in results(file).items()}
    assert list(found) == ["none", "elements", "outputs", "prune", "all", "all but elements",
                           "all but outputs", "all but prune"]
    dense = found["none"]["macs"]
    for name, r in found.items():
        assert r["equal"] and r["step"] == 4
        assert r["macs"] + sum(r["skipped"].values()) == dense
        pruned = "prune" in r["mechanisms"]
        assert bool(r["skipped"]["outputs"]) == ("outputs" in r["mechanisms"]), name
        # WU of a pruned layer leaves out dead outputs instead, if it may.
        assert bool(r["skipped"]["elements"]) == ("elements" in r["mechanisms"] and not (
            pruned and "outputs" in r["mechanisms"]))
        assert r["saved"]["over"] == "none"
        assert r["saved"]["operations"] == pytest.approx(dense / r["macs"])
        assert r["saved"]["conversion"] == pytest.approx(1)  # of a chip that counts
        own = found["prune" if pruned else "none"]
        assert r["saved_of_own"]["over"] == own["variant"]
        assert r["accuracy"] == own["accuracy"]
        assert bool(r["live_weights"]) == pruned
        assert r["utilisation"] == pytest.approx(1 / named("small").with_(cores=2).macs_per_cycle)
    assert found["prune"]["saved"]["operations"] == 1  # who leaves nothing out saves nothing
    # Weights that are not there make dead outputs of WU.
    assert found["all"]["macs"] < found["all but prune"]["macs"] < dense
    assert (tmp_path / "ablation.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert "every byte equal" in said and "all but outputs" in said and "after 4 training" in said


def test_weights_stream_for_elements(counting, normal, tmp_path):
    """Where weights stream there are passes of statistics, which who leaves out no elements does
    not do; the run is the same."""
    file = tmp_path / "ablation.json"
    assert bench(file, *WIDE, "--net", "normal", "--batch", 16, "--mechanisms",
                 "elements,outputs,prune", "--density", "0.1", "--refresh", "2", "--steps",
                 "4") == 0
    found = {name: r for (name, _), r in results(file).items()}
    dense = {name: r["macs"] + sum(r["skipped"].values()) for name, r in found.items()}
    assert dense["prune"] == dense["all but elements"] == dense["none"]
    assert dense["all"] == dense["all but outputs"] > dense["none"]
    assert all(r["equal"] for r in found.values())


def test_the_verilog(tmp_path):
    """A step is that of `winnow bench phases`, which trains by itself; choosing masks costs."""
    file = tmp_path / "ablation.json"
    assert bench(file, "--mechanisms", "prune", "--prune", "vector", "--refresh", "2",
                 "--steps", "2,5") == 0
    found = results(file)
    assert all(r["equal"] for r in found.values())
    expected = phases.measure(named("small"), network.named("digits"), recipe_for("digits"),
                              dataset=datasets.load("digits", None, 96, 16), after=5, show=False)
    here = json.loads((tmp_path / "ablation.parts" / "step 5 none.json").read_text())["measured"]
    assert here["weight_hash"] == expected.weight_hash
    assert here["cycles"] == found["none", 5]["cycles"] == expected.cycles
    assert here["counters"] == expected.counters
    assert found["prune", 5]["cycles"] > found["prune", 2]["cycles"] + 1000
    assert [r["chooses"] for r in found.values()] == [False, False, False, True]


def count_steps(monkeypatch, cut: int | None = None) -> list[str]:
    """The variants that are run from now on; Ctrl-C instead of number `cut`."""
    one_step, run = ablation.phases.one_step, []

    def counted(*given, name, **options):
        if len(run) == cut:
            raise KeyboardInterrupt
        run.append(name)
        return one_step(*given, name=name, **options)

    monkeypatch.setattr(ablation.phases, "one_step", counted)
    return run


def test_interrupted_bench_goes_on(counting, tmp_path, monkeypatch, capsys):
    """In training, then between steps; then a finished one runs nothing more."""
    arguments = *WIDE, "--mechanisms", "elements,prune", "--refresh", "2"
    cut, whole = tmp_path / "cut.json", tmp_path / "whole.json"
    monkeypatch.setattr(ablation, "CHECKPOINT_STEPS", 1)
    with monkeypatch.context() as patch:
        interrupt(patch, 5)
        assert bench(cut, *arguments) == 130
    assert f"interrupted: {cut.with_suffix('.parts')} holds what is done" in capsys.readouterr().err
    assert not cut.exists()
    with monkeypatch.context() as patch:
        run, goes_on, begun = count_steps(patch, 2), ablation.train.train, []
        patch.setattr(ablation.train, "train", lambda *given, saved, **options: begun.append(
            saved and saved.step) or goes_on(*given, saved=saved, **options))
        assert bench(cut, *arguments) == 130 and run == ["1/4 none", "2/4 elements"]
        assert 0 < begun[0] < STEPS and begun[1:] == [None]
    with monkeypatch.context() as patch:
        run = count_steps(patch)
        assert bench(cut, *arguments) == 0
        assert run == ["3/4 prune", "4/4 all"]
    assert "holds 2 of 4 measured steps, goes on from there" in capsys.readouterr().err
    assert bench(whole, *arguments) == 0
    assert cut.read_text() == whole.read_text()
    with monkeypatch.context() as patch:
        patch.setattr(ablation.train, "train", None)
        run = count_steps(patch)
        assert bench(cut, *arguments) == 0 and not run
    assert "holds 4 of 4 measured steps, no more is run" in capsys.readouterr().err


def test_another_step_of_the_same_run(counting, tmp_path):
    """Before one that is there: the model trains again; the figures are those of both at once."""
    one, both = tmp_path / "one.json", tmp_path / "both.json"
    for steps in ("4", "0,3,4"):
        assert bench(one, "--mechanisms", "prune", "--refresh", 2, "--steps", steps) == 0
    assert bench(both, "--mechanisms", "prune", "--refresh", 2, "--steps", "4,3,0,3") == 0
    assert one.read_text() == both.read_text()
    assert [step for _, step in results(one)] == [0, 0, 3, 3, 4, 4]


@pytest.mark.parametrize(("change", "message"), [
    ({"difference": "1 bytes"}, "elements after 5: memory differs from the model: 1 bytes"),
    ({"weight_hash": "other"}, "elements after 5: weights are not those of none"),
    ({"counters": {"macs": 64}}, "multiply-adds are done or left out, its operations have"),
])
def test_what_must_not_be_is_told(change, message, counting, tmp_path, monkeypatch, capsys):
    one_step = ablation.phases.one_step

    def changed(*given, name, **options):
        step = one_step(*given, name=name, **options)
        if name != "2/2 elements":
            return step
        return replace(step, **change | ({"counters": step.counters | change["counters"]}
                                         if "counters" in change else {}))

    monkeypatch.setattr(ablation.phases, "one_step", changed)
    assert bench(tmp_path / "a.json", *WIDE, "--mechanisms", "elements") == 1
    assert message in capsys.readouterr().out
    assert [r["equal"] for r in results(tmp_path / "a.json").values()] == [True, False]


def refused(capsys, file, message, *arguments) -> None:
    capsys.readouterr()
    assert bench(file, *arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("winnow: ") and message in error


def test_what_does_not_belong_together(counting, tmp_path, monkeypatch, capsys):
    file = tmp_path / "a.json"
    arguments = *WIDE, "--mechanisms", "elements,prune"
    assert bench(file, *arguments) == 0
    refused(capsys, file, "was made with seed = 0, not 1", *arguments, "--seed", 1)
    refused(capsys, file, "was made with recipe.prune = {'granularity': 'element', "
            "'density': [[0, 0.5]]", *arguments, "--density", 0.25)
    refused(capsys, file, "was made with config.block = 32, not 16", *arguments, "--set",
            "block=16")
    with monkeypatch.context() as patch:
        patch.setattr(ablation, "_version", lambda: "new")
        refused(capsys, file, "was measured with another version of Winnow", *arguments)
    # Before anything is measured, and where what was trained is gone.
    trained, measured = file.with_suffix(".parts"), tmp_path / "b.parts"
    shutil.copytree(trained, measured)
    for path in trained.glob("step *"):
        path.unlink()
    refused(capsys, file, "was made with seed = 0, not 1", *arguments, "--seed", 1)
    shutil.rmtree(measured / "trained none")
    refused(capsys, tmp_path / "b.json", "was made with seed = 0, not 1", "--mechanisms",
            "elements", *WIDE, "--seed", 1)
    assert not (measured / "trained none").exists()
    path = measured / "step 5 elements.json"
    path.write_text(path.read_text()[:-9])
    refused(capsys, tmp_path / "b.json", f"{path}: is not of this bench, or was changed",
            "--mechanisms", "elements", *WIDE)


@pytest.mark.parametrize(("arguments", "message"), [
    ("--mechanisms tiles,lanes", "must be some of tiles, elements, outputs, errors, gradients, "
                                 "prune, lasso, gate, images with commas between, not 'lanes'"),
    ("--mechanisms tiles,tiles", "--mechanisms tiles,tiles: has tiles twice"),
    ("--mechanisms prune,lasso", "prune and lasso are two rules for the same weights"),
    ("--set slot=1 --set reach=0", "training leaves out no tiles with slot = 1"),
    ("--steps 6", f"--steps 6: must be from 0 to {STEPS - 1}, the run has {STEPS} steps of 16"),
    ("--steps 1,-1", f"--steps -1: must be from 0 to {STEPS - 1}"),
    ("--steps late", "--steps late: must be N,N,... with whole numbers"),
    ("--mechanisms prune --density 0", "--density 0: must be R or R,EPOCH:R,... with numbers "),
    ("--mechanisms prune --density 2", "density = 2.0 from epoch 0: must be above 0, at most 1"),
    ("--mechanisms prune --refresh 0", "refresh = 0: must be at least 1 step"),
    ("--mechanisms prune --prune none", "--prune none: is without the mechanism"),
    ("--mechanisms prune --shrink 1", "--shrink 1.0: no mechanism of prune has such a setting"),
    ("--mechanisms lasso --shrink 0", "--shrink 0.0: is without the mechanism"),
    ("--mechanisms lasso --prune element", "granularity = 'element' has no groups to shrink"),
    ("--mechanisms tiles --skip-images none", "--skip-images none: no mechanism of tiles has such"),
    ("--net alexnet", "network 'alexnet' is unknown"),
])
def test_mistakes(arguments, message, counting, tmp_path, capsys):
    refused(capsys, tmp_path / "a.json", message, *WIDE, *arguments.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_chip(tmp_path):
    """Cycles of a chip with slots, and groups of weights that shrink away."""
    file = tmp_path / "ablation.json"
    assert bench(file, *WIDE, "--train-images", 384, "--batch", 64, "--mechanisms",
                 "tiles,elements,outputs,lasso", "--shrink", 400, "--density", 0.2, "--refresh",
                 4) == 0
    found = {name: r for (name, _), r in results(file).items()}
    assert all(r["equal"] for r in found.values())
    assert found["elements"]["cycles"] < 0.95 * found["none"]["cycles"]
    assert found["all"]["saved_of_own"]["cycles"] > 1.02
    assert found["all"]["skipped"]["tiles"] > found["all but lasso"]["skipped"]["tiles"]
    assert min(found["all"]["live_weights"].values()) < 0.9
