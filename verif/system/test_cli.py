"""The command: what a user's mistakes are answered with, and that they leave nothing behind."""

import json
import re
import subprocess
import sys

import pytest

from isa import config
from isa.assembler import assemble, to_bytes
from verif import build
from winnow import cli, datasets, files
from winnow.compiler.recipe import Recipe
from winnow.compiler.training import TrainingProgram
from winnow.errors import UserError
from winnow.graph import lower
from winnow.network import NETWORKS, Conv, Linear, Network, Shape
from winnow.session import Session

PROGRAM = "li r1, 5\nhalt 3\n"


def run(capsys, *arguments):
    """Exit code and stderr of the command."""
    code = cli.main([str(a) for a in arguments])
    return code, capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "message"), [
    (["run", "--net", "alexnet"], "network 'alexnet' is unknown: there are digits"),
    (["run", "--data", "mnist"], "data set 'mnist' is unknown: there are digits"),
    (["run", "--config", "huge"], "configuration 'huge' is unknown: there are small"),
    (["run", "--set", "cores=3"], "cores = 3: must be 1, 2, 4 or 8"),
    (["run", "--set", "cores=two"], "cores must be an integer"),
    (["run", "--set", "colour=red"], "NAME one of name, cores"),
    (["run", "--epochs", "0"], "epochs = 0: must be at least 1"),
    (["run", "--set", "scratchpad_kib=2"], "of scratchpad"),
    (["run", "--set", "block=4"], "block = 4: training needs at least 8"),
    (["run", "--set", "mode=e4m3"], "mode = 'e4m3': training needs mixed or e5m2"),
    (["run", "--seed", "-1"], "seed = -1: must not be negative"),
    (["run", "--data", "cifar10"], "CIFAR-10: needs --data-path with an .npz file or"),
    (["run", "--data-path", "x"], "the data set digits comes with Winnow, without path"),
    (["run", "--train-images", "0"], "--train-images 0: must be at least 1"),
    (["run", "--test-images", "361"], "--test-images 361: data set digits has 360"),
    (["run", "--net", "resnet8"], "data set digits: images of (8, 8, 1), network resnet8 takes"),
    (["train", "--resume"], "has no checkpoint to resume from"),
    (["train", "--epochs", "0"], "epochs = 0: must be at least 1"),
    (["train", "--batch", "12"], "batch = 12: must be a power of two"),
    (["train", "--momentum", "1"], "momentum = 1.0: must be from 0 to 1"),
    (["train", "--masters", "fp16"], "masters = 'fp16': must be one of binary32, bfloat16"),
    (["train", "--moments", "fp8"], "moments = 'fp8': must be one of binary32, bfloat16"),
    (["train", "--rounding", "up"], "rounding = 'up': must be one of nearest, stochastic"),
    (["train", "--scaling", "auto"], "scaling = 'auto': must be one of static, dynamic"),
    (["train", "--clean-steps", "0"], "clean_steps = 0: must be from 1 to 1048576"),
    (["train", "--error-scale", "64"], "error_scale = 64: must be from 0 to 32"),
    (["train", "--decay", "nan"], "decay = nan: must be a number from 0 on"),
    (["train", "--rate", "fast"], "--rate fast: must be R or R,EPOCH:R"),
    (["train", "--rate", "0.1,2:0"], "--rate 0.1,2:0: must be"),
    (["train", "--rate", "0.1,2:0.01,2:0.02"], "epochs that rise"),
    (["train", "--checkpoint-steps", "0"], "--checkpoint-steps 0: must be at least 1"),
    (["train", "--seed", "-1"], "seed = -1: must not be negative"),
    (["train", "--net", "vgg7"], "network vgg7 takes (32, 32, 3)"),
    (["run", "--waves", "x.vcd"], "--waves: the model has none"),
    (["verilog", "--set", "accumulator_bits=8", "-o", "OUT"], "accumulator_bits = 8"),
    (["asm", "absent.s", "-o", "OUT"], "absent.s: cannot be read: No such file"),
    (["disasm", "absent.bin"], "absent.bin: cannot be read"),
])
def test_mistakes_are_one_line(capsys, tmp_path, arguments, message):
    out = tmp_path / "out"
    arguments = [out if a == "OUT" else a for a in arguments]
    if arguments[0] in ("run", "train"):
        arguments += ["--device", "model", "--out", out]
    code, error = run(capsys, *arguments)
    assert code == 2
    assert message in error
    assert error.startswith("winnow: ") and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_network_that_does_not_fit_names_layer_and_sizes(capsys):
    _, error = run(capsys, "run", "--device", "model", "--set", "scratchpad_kib=2")
    assert re.search(r"(conv\d|fc).*: the smallest part needs \d+ bytes of scratchpad", error)
    assert "configuration small has 2048" in error


def test_assembler_mistake_names_the_place_and_leaves_no_file(capsys, tmp_path):
    source, out = tmp_path / "bad.s", tmp_path / "bad.bin"
    source.write_text("nop\n  li r1, oops\n")
    code, error = run(capsys, "asm", source, "-o", out)
    assert code == 2
    assert f"{source}:2:10: 'oops' is not defined" in error
    assert not out.exists()


def test_assemble_and_back(capsys, tmp_path):
    source, binary = tmp_path / "p.s", tmp_path / "p.bin"
    source.write_text(PROGRAM)
    assert cli.main(["asm", str(source), "-o", str(binary)]) == 0
    assert binary.read_bytes() == to_bytes(assemble(PROGRAM))
    assert cli.main(["disasm", str(binary)]) == 0
    assert assemble(capsys.readouterr().out) == assemble(PROGRAM)


def test_disassembler_refuses_a_torn_file(capsys, tmp_path):
    torn = tmp_path / "torn.bin"
    torn.write_bytes(bytes(13))
    code, error = run(capsys, "disasm", torn)
    assert code == 2 and "13 bytes, must be a multiple of 8" in error


def test_unwritable_output(capsys, tmp_path):
    source, wall = tmp_path / "p.s", tmp_path / "wall"
    source.write_text(PROGRAM)
    wall.write_text("a file, not a folder")
    code, error = run(capsys, "asm", source, "-o", wall / "p.bin")
    assert code == 2 and "cannot be written" in error


def test_files_are_whole_or_absent(tmp_path):
    target = tmp_path / "figure.json"
    with pytest.raises(TypeError):
        files.write_json(target, {"bad": object()})
    assert list(tmp_path.iterdir()) == []
    files.write_json(target, {"good": 1})
    assert json.loads(target.read_text()) == {"good": 1}


def test_help_of_every_command():
    listed = subprocess.run([sys.executable, "-m", "winnow.cli", "--help"],
                            capture_output=True, text=True, check=True).stdout
    for command in ("run", "train", "verilog", "synth", "program", "asm", "disasm", "isa"):
        assert command in listed
        text = subprocess.run([sys.executable, "-m", "winnow.cli", command, "--help"],
                              capture_output=True, text=True, check=True).stdout
        assert "usage: winnow" in text


def test_networks_that_no_data_set_takes():
    small, data = config.named("small"), datasets.load("digits")
    for shape, classes, message in ((Shape(1, 7, 8), 10, "network n takes"),
                                    (Shape(1, 8, 8), 5, "labels from 0 to 9")):
        network = Network("n", shape, (Conv("c", 8), Linear("fc", classes)))
        with pytest.raises(UserError, match=message):
            Session(TrainingProgram(small, network, Recipe()), data, 0)


@pytest.mark.parametrize("layers", [1, 11, 12, 40])
def test_layers_beyond_the_counters_share_them(layers):
    network = Network("n", Shape(1, 8, 8), (*(Conv(f"c{i}", 8) for i in range(layers - 1)),
                                            Linear("fc", 10)))
    program = TrainingProgram(config.named("small"), network, Recipe())
    assert len(program.tags) == 3 * layers - 1  # no BP of the first
    assert len(program.counted) == max(program.tags.values()) + 1 <= 32
    names = [group.name for group in program.counted]
    assert names.count("c0") == (2 if layers > 1 else 0)
    assert names.count("others") == (3 if layers > 11 else 0)
    shared = sum(len(group.layers) for group in program.counted)
    assert shared == len(program.tags)


def test_missing_tool_is_named(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    build.verilator.cache_clear()
    code, error = run(capsys, "run", "--out", tmp_path / "out")
    build.verilator.cache_clear()
    assert code == 2 and "g++ is not on PATH: install it" in error


def test_multiply_adds_are_those_of_the_definition():
    layers = {layer.name: layer for layer in lower(NETWORKS["digits"]).layers}
    assert layers["conv1"].macs == 64 * 8 * 1 * 9
    assert layers["conv2"].macs == 16 * 16 * 8 * 9
    assert layers["fc"].macs == 10 * 16 * 16
