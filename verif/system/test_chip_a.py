"""`winnow bench chip-a`: which runs there are, what stands for a run, and what is compared."""

import json

import pytest

from winnow import cli
from winnow.bench import ablation, chip_a

pytestmark = pytest.mark.usefixtures("one_plan", "counting", "normal")

RUN = ("--config", "small", "--set", "name=wide", "--set", "cores=2", "--set", "slot=4", "--set",
       "reach=2", "--net", "normal", "--train-images", "96", "--test-images", "16", "--epochs", "1",
       "--batch", "16", "--refresh", "2", "--gate", "0.5", "--gate-groups", "2")
STEPS = 6
COMBINATIONS = ("exact", "lasso", "gate", "images", "lasso+gate", "lasso+images", "gate+images",
                "lasso+gate+images")


def bench(file, *arguments) -> int:
    return cli.main(["bench", "chip-a", *RUN, *arguments, "--json", str(file)])


def test_points():
    assert chip_a.points(60, {20}) == (10, 30, 50, 39)
    assert chip_a.points(60, {11}) == (9, 30, 50, 32)  # after 10 steps one chooses
    assert chip_a.points(60, {60}) == (10, 30, 50, 59)
    assert chip_a.points(60, {61}) == (10, 30, 50)
    assert chip_a.points(60, {20, 30}) == (10, 30, 50, 39, 59)
    assert chip_a.points(6, {1}) == (1, 3, 5, 3)  # all of them choose


def test_what_stands_for_a_run():
    mean = chip_a._mean
    assert mean([10, 20], [False, False], 4) == 15
    assert mean([10, 20], [True, True], 4) == 15
    assert mean([10, 30, 40], [False, False, True], 4) == 25  # three quarters of the steps: 20


def test_all_runs(tmp_path, monkeypatch, capsys):
    """On a chip that takes a cycle for each multiply-add; then again, which runs nothing."""
    file = tmp_path / "a.json"
    assert bench(file) == 0
    found = json.loads(file.read_text())
    runs = {run["name"]: run for run in found["runs"]}
    *most, last = runs
    assert tuple(most) == ("none", *COMBINATIONS, "chance", "lasso+gate+chance of all")
    for name in most:
        assert runs[name]["conversion"] == pytest.approx(1) and not runs[name]["differences"]
        own = [s for s in found["steps"] if s["variant"] == name]
        assert [s["step"] for s in own] == [0, 2, 3, 4] and all(s["equal"] for s in own)
        assert bool(sum(s["skipped"]["images"] for s in own)) == (
            "images" in name or "chance" in name)
        assert any(s["chooses"] for s in own) == ("lasso" in name)  # gates alone: after 20 steps
    saved = {name: run["operations_saved"] for name, run in runs.items()}
    assert saved["none"] == 1 < saved["exact"] < saved["images"] < saved["lasso+images"]
    assert runs["none"]["accuracy"] == runs["exact"]["accuracy"]
    # As much as by all three; as many images as by their error.
    short = round(STEPS * saved["exact"] / saved["lasso+gate+images"])
    assert last == f"exact, {short} of 6 steps"
    assert saved[last] == saved["exact"] * STEPS / short
    for name, chance in (("images", "chance"), ("lasso+gate+images", "lasso+gate+chance of all")):
        share = runs[name]["skipped_images"]
        assert 0 < share < 1 and runs[chance]["skipped_images"] == pytest.approx(share, abs=0.2)
        assert found["mechanisms"][chance.removeprefix("lasso+gate+")] == {
            "skip_images": f"random:{share:.4f}"}
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert "every byte equal to the model's" in said and "lasso+gate+chance" in said
    monkeypatch.setattr(ablation.phases, "one_step", None)
    monkeypatch.setattr(ablation.train, "train", None)
    before = file.read_text()
    assert bench(file) == 0 and file.read_text() == before


@pytest.mark.parametrize(("arguments", "message"), [
    ("--skip-images none", "--skip-images none: is without the mechanism that it is of"),
    ("--stream maps", "--stream maps: no mechanism of chip-a has such a setting"),
    ("--set slot=1 --set reach=0", "slot = 1: gates need slots of at least 2 words"),
    ("--steps 6", "--steps 6: must be from 0 to 5, the run has 6 steps of 16 images"),
])
def test_mistakes(arguments, message, tmp_path, capsys):
    assert bench(tmp_path / "a.json", *arguments.split()) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("winnow: ") and message in error
    assert not list(tmp_path.iterdir())
