"""`winnow run` as a user calls it, on the chip."""

import json

import pytest

from winnow import cli

MIDDLE = ("conv2", "conv3")  # neither first nor last


def report(tmp_path, *arguments) -> dict:
    assert cli.main(["run", "--out", str(tmp_path), *arguments]) == 0
    assert (tmp_path / "report.png").stat().st_size > 10_000
    return json.loads((tmp_path / "report.json").read_text())


def check(figures: dict, epochs: int) -> None:
    assert figures["memory_equal"] and figures["first_difference"] is None
    assert len(set(figures["weight_hashes"])) == len(figures["weight_hashes"]) == epochs
    assert figures["cycles"] == figures["counters"]["cycles"] > 0
    assert figures["config"]["name"] == "small" and figures["seconds"]["rtl"] > 0
    assert min(figures["utilisation"][phase] for phase in ("FP", "BP", "WU")) >= 0.8
    busy = {(row["layer"], row["phase"]): row["utilisation"] for row in figures["layers"]}
    assert min(busy[layer, phase] for layer in MIDDLE for phase in ("FP", "BP", "WU")) >= 0.8


def test_one_epoch(tmp_path):
    figures = report(tmp_path, "--epochs", "1", "--seed", "7")
    check(figures, 1)
    assert figures["test_accuracy"] > 0.8


def test_exact_sums_do_not_depend_on_the_block(tmp_path):
    """Law 1 over a whole run: blocks of 8 or 32 positions train to the very same weights."""
    figures = [report(tmp_path / str(block), "--epochs", "1", "--device", "model",
                     "--set", f"block={block}") for block in (8, 32)]
    assert figures[0]["weight_hashes"] == figures[1]["weight_hashes"]
    assert [f["cycles"] for f in figures] == [0, 0]  # the model counts none


@pytest.mark.slow
def test_whole_run(tmp_path):
    figures = report(tmp_path)
    check(figures, 6)
    assert figures["test_accuracy"] >= 0.96
    assert figures["cycles"] <= 40_000_000
