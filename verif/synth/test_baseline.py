import pytest

from synth import baseline
from synth.errors import SynthesisError
from winnow import cli


def test_what_moved():
    was = {"same": 100, "near": 1000, "up": 100, "down": 200, "gone": 5, "zero": 0, "none": 0}
    now = {"same": 100, "near": 1009, "up": 102, "down": 150, "come": 7, "zero": 0, "none": 3}
    moved = baseline.moved(was, now)
    assert [each.name for each in moved] == ["come", "down", "gone", "none", "up"]
    text = "\n".join(map(str, moved))
    for part in ("+2.0%", "-25.0%", "200 ->", "none ->            7", "5 ->         none"):
        assert part in text


def test_the_committed_figures_are_those_of_the_runs(tmp_path):
    names = baseline.read()
    for unit, config in baseline.RUNS:
        for figure in baseline.FIGURES:
            assert names[f"{unit} of {config}: {figure}"] >= 0
    assert names["chip of small: cells of vector"] > names["chip of small: cells of control"]
    with pytest.raises(SynthesisError, match=r"gone.json: cannot be read"):
        baseline.read(tmp_path / "gone.json")


def test_the_command_says_what_moved(monkeypatch, capsys, tmp_path):
    path = tmp_path / "baseline.json"
    path.write_text('{"a": 100, "b": 7}')
    monkeypatch.setattr(baseline, "PATH", path)
    monkeypatch.setattr(baseline, "measured", lambda: {"a": 110, "b": 7})
    assert cli.main(["baseline"]) == 1
    assert "+10.0%" in capsys.readouterr().out
    assert cli.main(["baseline", "--write"]) == 0
    assert cli.main(["baseline"]) == 0
    assert "nothing moved" in capsys.readouterr().out
