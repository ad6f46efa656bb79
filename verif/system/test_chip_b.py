"""`winnow bench chip-b`: what is on at which density, and over what it is compared."""

import json

import pytest

from winnow import cli
from winnow.bench import ablation, chip_b

pytestmark = pytest.mark.usefixtures("one_plan", "counting", "normal")

RUN = ("--config", "small", "--set", "name=wide", "--set", "cores=2", "--set", "slot=4", "--set",
       "reach=2", "--net", "normal", "--train-images", "64", "--test-images", "16", "--epochs", "1",
       "--batch", "16", "--refresh", "2")
PRUNED = ("maps", "weights", "chosen", "R2", "R3", "R2+R3")


def bench(file, *arguments) -> int:
    return cli.main(["bench", "chip-b", *RUN, *arguments, "--json", str(file)])


def test_variants():
    found = chip_b.variants((1.0, 0.2))
    assert list(found) == [(1.0, "none"), (1.0, "maps"), (1.0, "R2"),
                           *((0.2, on) for on in PRUNED)]
    assert found[0.2, "maps"].program == {"skip": "tiles,elements", "stream": "maps"}
    assert found[0.2, "R2"].program == {"skip": "tiles,elements,errors"}
    assert {v.training for v in found.values()} == {(), ("prune 0.2",)}


def test_all_rows(tmp_path, monkeypatch, capsys):
    """On a chip that takes a cycle for each multiply-add; then again, which runs nothing."""
    file = tmp_path / "b.json"
    assert bench(file, "--densities", "1,0.1") == 0
    found = json.loads(file.read_text())
    rows = {(row["density"], row["on"]): row for row in found["rows"]}
    skipped = {s["variant"]: s["skipped"] for s in found["steps"]}
    assert list(rows) == [(1.0, "none"), (1.0, "maps"), (1.0, "R2"),
                          *((0.1, on) for on in PRUNED)]
    dense = rows[1.0, "none"]
    for (density, on), row in rows.items():
        assert row["over_none"] == dense["cycles"] / row["cycles"]
        if on != "none":
            fixed = [rows[density, on]["cycles"] for on in ("maps", "weights")
                     if (density, on) in rows]
            assert row["over_fixed"] == min(fixed) / row["cycles"]
            outputs = skipped[f"{density} {on}"]["outputs"]
            # Where weights stream, and they do at a tenth, BP leaves out these.
            assert bool(outputs) == (on.endswith("R3") or (density, on) == (1, "R2"))
        if on.startswith("R"):
            base = rows[density, "chosen" if density < 1 else "maps"]
            assert row["over_chosen"] == base["cycles"] / row["cycles"]
            assert row["accuracy"] == base["accuracy"]
    assert rows[0.1, "R3"]["cycles"] < rows[0.1, "chosen"]["cycles"] < rows[0.1, "maps"]["cycles"]
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    assert "every byte equal to the model's" in capsys.readouterr().out
    monkeypatch.setattr(ablation.phases, "one_step", None)
    monkeypatch.setattr(ablation.train, "train", None)
    before = file.read_text()
    assert bench(file, "--densities", "1,0.1") == 0 and file.read_text() == before


@pytest.mark.parametrize(("arguments", "message"), [
    ("--densities 1,0", "--densities 1,0: must be D,D,... with numbers above 0, at most 1"),
    ("--densities 0.5,0.5", "--densities 0.5,0.5: must be D,D,..."),
    ("--density 0.5", "--density 0.5: not of this bench (--densities)"),
    ("--stream maps", "--stream maps: not of this bench (both ways are measured)"),
    ("--set slot=1 --set reach=0", "training leaves out no tiles with slot = 1"),
])
def test_mistakes(arguments, message, tmp_path, capsys):
    assert bench(tmp_path / "b.json", *arguments.split()) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("winnow: ") and message in error
    assert not list(tmp_path.iterdir())
