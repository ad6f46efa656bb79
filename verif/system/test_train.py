"""`winnow train`: runs that are interrupted anywhere end in the very same bits."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from isa.config import named
from verif import seeds
from verif.simulation import Simulation
from verif.system.networks import random_session
from winnow import checkpoint, cli, network, session
from winnow.host import ModelDevice
from winnow.run import progress_bar, runner
from winnow.session import LASTING
from winnow.train import pieces

SHORT = ("--train-images", "80", "--test-images", "32", "--epochs", "2", "--seed", "3")
STEPS = 10  # of 16 images


def train(out, *arguments) -> int:
    return cli.main(["train", "--out", str(out), *map(str, arguments)])


def outcome(out) -> tuple[dict, bytes]:
    """The report without times, and the bytes that training is about."""
    figures = json.loads((out / "report.json").read_text())
    assert figures.pop("seconds")
    saved = checkpoint.read(out / checkpoint.NAME)
    assert saved.step == len(figures["curve"])
    return figures, saved.memory


def interrupt(monkeypatch, after: int, device=ModelDevice, units: int = 500) -> None:
    """Ctrl-C when the device has been looked at `after` times, every few of its units of time."""
    run, looks = device.run, iter(range(after))

    def interrupted(self, _):
        if next(looks, None) is None:
            raise KeyboardInterrupt
        return run(self, units)

    monkeypatch.setattr(device, "run", interrupted)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run without interruption: its report and the bytes at its end."""
    out = tmp_path_factory.mktemp("whole")
    assert train(out, *SHORT) == 0
    figures, memory = outcome(out)
    assert [point["step"] for point in figures["curve"]] == list(range(1, STEPS + 1))
    assert len(set(figures["weight_hashes"])) == 2
    return figures, memory


def test_low_precision_goes_on(tmp_path, monkeypatch):
    """The key of random bits and the scale of errors come back from the checkpoint."""
    low = (*SHORT, "--masters", "bfloat16", "--moments", "bfloat16", "--rounding", "stochastic",
           "--scaling", "dynamic", "--error-scale", "17", "--clean-steps", "2")
    with monkeypatch.context() as patch:
        interrupt(patch, 10)
        assert train(tmp_path / "cut", *low, "--checkpoint-steps", 1) == 130
    assert 0 < checkpoint.read(tmp_path / "cut" / checkpoint.NAME).step < STEPS
    assert train(tmp_path / "cut", "--resume") == 0
    assert train(tmp_path / "whole", *low) == 0
    (cut, memory), (whole, expected) = (outcome(tmp_path / name) for name in ("cut", "whole"))
    assert memory == expected and cut["curve"] == whole["curve"]


@pytest.mark.parametrize("steps", [1, 3, 4, 100])
def test_rounds_of_any_length_are_the_same_run(steps, whole, tmp_path):
    assert train(tmp_path, *SHORT, "--checkpoint-steps", steps) == 0
    figures, memory = outcome(tmp_path)
    assert memory == whole[1]
    for name in ("curve", "weight_hashes", "test_accuracy"):
        assert figures[name] == whole[0][name]


def test_interrupted_again_and_again(whole, tmp_path, monkeypatch, capsys):
    """Every run is cut off in the middle of a round, a few steps after it began."""
    held = []
    for arguments in ((*SHORT, "--checkpoint-steps", 2), *(("--resume",) for _ in range(20))):
        with monkeypatch.context() as patch:
            interrupt(patch, 5)
            code = train(tmp_path, *arguments)
        if code == 0:
            break
        error = capsys.readouterr().err
        assert code == cli.INTERRUPTED == 130
        place = re.search(rf"winnow: interrupted: {tmp_path / 'checkpoint'} holds step (\d+) of "
                          rf"{STEPS}, go on with winnow train --resume --out {tmp_path}\n", error)
        held.append(int(place[1]))
    assert code == 0 and len(set(held)) >= 3
    # What ran again after an interruption is not counted twice, so that the counters agree too.
    figures, memory = outcome(tmp_path)
    uninterrupted = tmp_path / "uninterrupted"
    assert train(uninterrupted, *SHORT, "--checkpoint-steps", 2) == 0
    assert (figures, memory) == outcome(uninterrupted)
    assert memory == whole[1]


def test_the_chip_is_interrupted(tmp_path, monkeypatch):
    """On the Verilog, in the middle of its second step; then as the model without interruption."""
    short = ("--train-images", "48", "--test-images", "16", "--epochs", "1")
    with monkeypatch.context() as patch:
        interrupt(patch, 10, Simulation, 10_000)
        chip = tmp_path / "rtl"
        assert train(chip, *short, "--device", "rtl", "--checkpoint-steps", "1") == 130
    assert checkpoint.read(chip / checkpoint.NAME).step == 1
    assert train(chip, "--resume") == 0
    assert train(tmp_path / "model", *short) == 0
    (ours, memory), (model, expected) = (outcome(tmp_path / name) for name in ("rtl", "model"))
    assert memory == expected
    for name in ("curve", "weight_hashes", "test_accuracy"):
        assert ours[name] == model[name]
    assert ours["cycles"] > 3 * 50_000  # those before the interruption too


def test_interrupted_before_the_first_checkpoint(tmp_path, monkeypatch, capsys):
    interrupt(monkeypatch, 1)
    assert train(tmp_path, *SHORT) == 130
    assert capsys.readouterr().err.endswith("winnow: interrupted before the first checkpoint\n")
    assert not (tmp_path / checkpoint.NAME).exists()


def test_killed(whole, tmp_path):
    """A process that is killed as soon as it has a checkpoint, and another that goes on."""
    command = [sys.executable, "-m", "winnow.cli", "train", "--out", str(tmp_path)]
    process = subprocess.Popen([*command, *SHORT, "--checkpoint-steps", "1"],
                               stderr=subprocess.DEVNULL)
    give_up = time.monotonic() + 120
    while not (tmp_path / checkpoint.NAME).exists():
        assert process.poll() is None and time.monotonic() < give_up
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert checkpoint.read(tmp_path / checkpoint.NAME).step < STEPS
    subprocess.run([*command, "--resume"], check=True)
    assert outcome(tmp_path)[1] == whole[1]


def test_finished_run_resumes_to_its_report(whole, tmp_path):
    assert train(tmp_path, *SHORT) == 0
    (tmp_path / "report.json").unlink()
    assert train(tmp_path, "--resume") == 0
    assert outcome(tmp_path)[1] == whole[1]
    assert json.loads((tmp_path / "report.json").read_text())["curve"] == whole[0]["curve"]


@pytest.mark.parametrize("case", range(4))
def test_nothing_else_lasts(case):
    """From one round to the next all but the regions of a checkpoint may be lost: here it is
    overwritten at random, and so is the scratchpad."""
    generator = seeds.generator(f"lasting {case}")
    run = random_session(named("bench"), generator, steps=4)
    hashes = []
    for forget in (False, True):
        with runner(run, "model") as model, progress_bar(run.steps) as bar:
            memory = model.device.memory
            run.place(memory)
            for work in pieces(run.rounds, 0, 1):
                if forget:
                    saved = checkpoint.lasting(run, memory)
                    words = model.device.machine.words
                    for part in (memory, words.view(np.uint8)):
                        part[:] = generator.integers(0, 256, part.size, np.uint8)
                    checkpoint.restore(run, memory, saved)
                model.run(work, bar)
            hashes.append((run.weight_hash(memory), model.curve, model.test_accuracy(bar)))
    assert hashes[0] == hashes[1]


# What is refused.


def refused(capsys, out, message, *arguments) -> None:
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    capsys.readouterr()
    assert train(out, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("winnow: ") and error.count("\n") == 1
    assert {path.name: path.read_bytes() for path in out.iterdir()} == files


@pytest.fixture
def begun(tmp_path):
    """A folder with the checkpoint of a run that is over soon."""
    assert train(tmp_path, "--train-images", "16", "--test-images", "16", "--epochs", "1") == 0
    return tmp_path


def test_a_checkpoint_is_not_overwritten(begun, capsys):
    refused(capsys, begun, "has a checkpoint already: go on from it with --resume, or give "
                           "another --out")


@pytest.mark.parametrize(("arguments", "message"), [
    (("--seed", "1"), "was made with seed = 0, not 1"),
    (("--epochs", "2"), "was made with recipe.epochs = 1, not 2"),
    (("--rate", "0.1,3:0.01"), "not [[0, 0.1], [3, 0.01]]"),
    (("--momentum", "0.5"), "was made with recipe.momentum = 0.9, not 0.5"),
    (("--masters", "bfloat16"), "was made with recipe.masters = binary32, not bfloat16"),
    (("--rounding", "stochastic"), "was made with recipe.rounding = nearest, not stochastic"),
    (("--scaling", "dynamic"), "was made with recipe.scaling = static, not dynamic"),
    (("--error-scale", "9"), "was made with recipe.error_scale = 8, not 9"),
    (("--train-images", "32"), "was made with train_images = 16, not 32"),
    (("--set", "block=16"), "was made with config.block = 32, not 16"),
    (("--device", "rtl"), "was made with device = model, not rtl"),
])
def test_a_checkpoint_of_other_settings(arguments, message, begun, capsys, monkeypatch):
    monkeypatch.setattr("winnow.run.verilator", lambda: None)
    refused(capsys, begun, f"{begun / 'checkpoint'}: was made with", "--resume", *arguments)
    refused(capsys, begun, message, "--resume", *arguments)


def test_a_checkpoint_of_other_images_or_weights(begun, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("winnow.datasets.Dataset.content_hash", lambda self: "another")
        refused(capsys, begun, "was made with other images or labels", "--resume")
    initial = session.initial_weights
    monkeypatch.setattr(session, "initial_weights", lambda *given: initial(*given) / 2)
    refused(capsys, begun, "was made by another version of Winnow or numpy", "--resume")


def test_a_checkpoint_of_another_network(begun, capsys, monkeypatch):
    """A network that has changed since, though it is called the same and has as many weights."""
    layers = network.NETWORKS["digits"].layers
    changed = replace(network.NETWORKS["digits"],
                      layers=(replace(layers[0], relu=not layers[0].relu), *layers[1:]))
    monkeypatch.setitem(network.NETWORKS, "digits", changed)
    refused(capsys, begun, "was made with another network of the name digits", "--resume")


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda content: b"", "is not a checkpoint of this version of Winnow"),
    (lambda content: b"PK" + content, "is not a checkpoint of this version of Winnow"),
    (lambda content: content.replace(b"checkpoint 2", b"checkpoint 9", 1), "of this version"),
    (lambda content: content[:-1], "is torn or was changed"),
    (lambda content: content[:25], "is torn or was changed"),
    (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "is torn or was changed"),
    (lambda content: content.replace(b'"step": 1', b'"step": 0', 1), "is torn or was changed"),
])
def test_a_file_that_is_no_checkpoint(spoil, message, begun, capsys):
    path = begun / checkpoint.NAME
    path.write_bytes(spoil(path.read_bytes()))
    refused(capsys, begun, message, "--resume")


def test_pieces_are_the_rounds():
    run = random_session(named("bench"), seeds.generator("pieces"), steps=7)
    (work,) = run.rounds
    for done in range(8):
        for most in (1, 2, 3, 7, 9):
            parts = [part.images for part in pieces(run.rounds, done, most, (0, 2, 5))]
            assert all(0 < len(part) <= most for part in parts)
            assert np.array_equal(np.concatenate([work.images[:done], *parts]), work.images)
            ends = done + np.cumsum([len(part) for part in parts])
            assert {end for end in (2, 5) if end > done} <= set(ends)


def test_lasting_regions_are_written_back():
    run = random_session(named("bench"), seeds.generator("regions"))
    memory = seeds.generator("bytes").integers(0, 256, run.program.external.size, np.uint8)
    again = np.zeros_like(memory)
    checkpoint.restore(run, again, checkpoint.lasting(run, memory))
    kept = np.zeros(memory.size, bool)
    for region in LASTING:
        kept[run.program.external.slice(region)] = True
    assert np.array_equal(again, np.where(kept, memory, 0))
