"""Emission: modules merged and nothing else changed; the Verilog reads without a warning."""

import re
import subprocess

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.chip import Chip
from hdl.emit import emit, emit_design, merge_modules, verilog_files
from hdl.memory.sram import Sram
from isa.config import Config
from synth import yosys
from verif import build
from verif.bench import LINT


class Leaf(wiring.Component):
    def __init__(self, *, constant):
        self.constant = constant
        super().__init__({"a": In(4), "o": Out(4)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.a + self.constant)
        return m


class Pair(wiring.Component):
    """Two leaves fed with expressions, for which Amaranth makes ports without a name."""

    def __init__(self, *, constants):
        self.constants = constants
        super().__init__({"a": In(4), "o": Out(4)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.first = first = Leaf(constant=self.constants[0])
        m.submodules.second = second = Leaf(constant=self.constants[1])
        m.d.comb += [first.a.eq(self.a ^ 3), second.a.eq(first.o ^ 5), self.o.eq(second.o)]
        return m


class Four(wiring.Component):
    def __init__(self, *, constants):
        self.constants = constants
        super().__init__({"a": In(4).array(2), "o": Out(4).array(2)})

    def elaborate(self, platform):
        m = Module()
        for i in range(2):
            m.submodules[f"pair_{i}"] = pair = Pair(constants=self.constants[2 * i:2 * i + 2])
            m.d.comb += [pair.a.eq(self.a[i]), self.o[i].eq(pair.o)]
        return m


def modules(verilog):
    return re.findall(r"(?m)^module (\w+)\(", verilog)


def test_equal_modules_are_merged_with_their_parents():
    design = emit_design(Four(constants=(1, 1, 1, 1)), "four")
    assert len(modules(design.verilog)) == 3
    assert design.names == {
        "four": "four",
        **{f"four.pair_{i}": "four_pair_0" for i in range(2)},
        **{f"four.pair_{i}.{leaf}": "four_pair_0_first"
           for i in range(2) for leaf in ("first", "second")},
    }


def test_different_modules_are_not_merged():
    design = emit_design(Four(constants=(1, 2, 1, 3)), "four")
    assert sorted(modules(design.verilog)) == [
        "four", "four_pair_0", "four_pair_0_first", "four_pair_0_second", "four_pair_1",
        "four_pair_1_second"]
    assert design.names["four.pair_1.first"] == "four_pair_0_first"


def test_merging_keeps_bodies_apart_and_the_top():
    merged = merge_modules({"top": "  cell \\a \\x\n  cell \\b \\y\n", "a": "1\n", "b": "1\n",
                            "other": "2\n"}, "top")
    assert merged == {"top": "  cell \\a \\x\n  cell \\a \\y\n", "a": "1\n", "other": "2\n"}


def test_verilog_is_the_same_each_time_and_names_no_file():
    texts = {emit(Four(constants=(1, 2, 3, 4)), "four") for _ in range(2)}
    assert len(texts) == 1
    assert ".py" not in texts.pop()


class Empty(wiring.Component):
    """Operators on no bits, as a parameter at its smallest makes them."""

    def __init__(self):
        super().__init__({"all": Out(1), "any": Out(1), "equal": Out(1), "odd": Out(1)})

    def elaborate(self, platform):
        m = Module()
        none = Signal(0)
        m.d.comb += [self.all.eq(none.all()), self.any.eq(none.any()), self.equal.eq(none == 0),
                     self.odd.eq(none.xor())]
        return m


def test_operators_on_no_bits():
    verilog = emit(Empty(), "empty")
    for port, value in (("all", 1), ("any", 0), ("equal", 1), ("odd", 0)):
        assert re.search(rf"assign {port} = 1'h{value};", verilog), verilog


CHIP = {
    "small": Config(),
    "least": Config(block=1, tree_stages=0, mode="e4m3", accumulator_bits=64, scratchpad_kib=1),
    "datapaths": Config(vector_datapaths=2),
}


@pytest.fixture(scope="module", params=CHIP)
def chip(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("chip") / "chip.v"
    path.write_text(emit(Chip(config=CHIP[request.param]), "chip"))
    return path


def test_verilator_reads_the_chip_without_a_warning(chip):
    said = subprocess.run(
        [build.verilator(), "--lint-only", "--top-module", "chip", str(LINT),
         *map(str, verilog_files()), str(chip)],
        env=build.environment(), capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert "%" not in said.stderr


def test_verilator_reads_the_bodies_with_every_warning_on():
    for body in verilog_files():
        said = subprocess.run([build.verilator(), "--lint-only", "-Wall", str(LINT), str(body)],
                              env=build.environment(), capture_output=True, text=True)
        assert said.returncode == 0, said.stderr


def test_yosys_reads_the_chip_without_a_warning(chip, tmp_path):
    # The one waiver: a clock gate is a latch.
    yosys.run(['logger -nowarn "Latch inferred for signal .*winnow_clock_gate..open"',
               *(f"read_verilog {body}" for body in verilog_files()), f"read_verilog {chip}",
               "hierarchy -check -top chip", "proc", "check -assert"], tmp_path)
    log = (tmp_path / "run.log").read_text()
    assert not [line for line in log.splitlines() if line.startswith("Warning")]


def test_every_waiver_has_its_reason():
    text = LINT.read_text()
    for block in text.split("\n\n"):
        if "lint_off" in block:
            assert block.startswith("// "), block
            assert all("-rule" in line for line in block.splitlines() if "lint_off" in line)


def test_bodies():
    assert {body.stem for body in verilog_files()} == {
        "winnow_sram", "winnow_regfile", "winnow_clock_gate"}
    assert "winnow_sram" in emit(Sram(width=2, depth=2), "sram")
