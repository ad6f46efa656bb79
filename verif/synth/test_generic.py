import pytest

from hdl import cache
from hdl.emit import emit_design
from isa.config import Config
from synth import generic, yosys
from synth import hierarchy as counted
from synth.errors import SynthesisError
from verif.synth.designs import Chain


@pytest.mark.parametrize("flat", [True, False])
def test_figures_of_a_small_unit(flat, capfd):
    figures = generic.measure(emit_design(Chain(length=8), "chain"), generic.mapping(), flat=flat,
                              about={"unit": "chain"}, macs=5)
    assert figures["flip_flops"] == 2
    assert figures["combinational_cells"] == 7 + 3
    assert figures["cells"] == 12
    assert figures["cells_per_mac"] == 2
    assert (figures["sram_bits"], figures["register_file_bits"]) == (3 * 10, 4 * 2)
    assert figures["memory_bits"] == 3 * 10 + 4 * 2
    assert sum(figures["cells_by_type"].values()) == 12
    assert 3 <= figures["depth"] <= 7
    assert figures["flow"] == ("flat" if flat else "hierarchical")
    # a row of the register file is chosen by a multiplexer of two, and written by 2 x 4 enables
    both = figures["with_register_files"]
    assert both["flip_flops"] == 2 + 8
    assert both["combinational_cells"] >= 10 + 4
    assert both["cells_per_mac"] == both["combinational_cells"] / 5
    assert figures["depth_with_register_files"] >= 1
    if not flat:
        assert figures["units"]["chain"]["cells"] == 12
        assert figures["units"]["chain.sram"] == {
            "cells": 0, "combinational_cells": 0, "flip_flops": 0, "register_file_cells": 0,
            "sram_bits": 30, "register_file_bits": 0}
    assert capfd.readouterr().out == ""


def test_a_result_is_kept_and_shown_progress_is_of_the_first_time(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(cache, "BUILD", tmp_path)
    design = emit_design(Chain(length=3), "chain")

    def measured():
        return generic.measure(design, generic.mapping(), flat=True, about={}, macs=0)

    first = measured()
    assert "abc" in capfd.readouterr().err
    assert measured() == first
    assert capfd.readouterr().err == ""
    assert "cells_per_mac" not in first


def test_equal_instances_count_each_time():
    modules = {"top": counted.Module({"a": 2, "$_DFF_P_": 1}),
               "a": counted.Module({"b": 3, "$_XOR_": 1, "winnow_sram_8x16": 1}),
               "b": counted.Module({"$_MUX_": 5, "winnow_clock_gate": 1,
                                    "winnow_regfile_4x2": 2}),
               "winnow_regfile_4x2": counted.Module({"$_DFFE_PP_": 8, "$_MUX_": 4})}
    hierarchy = counted.Hierarchy("top", modules, {"top": "top", "top.a": "a", "top.a.b": "b"})
    total = hierarchy.total("top")
    assert total.cells == {"$_DFF_P_": 1, "$_XOR_": 2, "$_MUX_": 30}
    assert total.clock_gates == 6
    assert total.area({"$_DFF_P_": 4.0, "$_XOR_": 1.5, "$_MUX_": 2.0}) == 4 + 3 + 60
    assert (total.bits("sram"), total.bits("regfile")) == (2 * 128, 12 * 8)
    files = hierarchy.register_files(total)
    assert files.cells == {"$_DFFE_PP_": 96, "$_MUX_": 48}
    whole = counted.Hierarchy("top", modules, {}, whole=True).total("top")
    assert whole.cells["$_DFFE_PP_"] == 96


def test_tree_is_within_its_bars():
    figures = generic.run("tree", Config())
    shown = ("cells", "flip_flops", "cells_per_mac", "depth")
    print({name: figures[name] for name in shown})
    assert figures["cells_per_mac"] <= 500
    assert figures["cells_per_mac"] == figures["combinational_cells"] / 8
    assert 0 < figures["depth"] <= 45
    assert figures["memory_bits"] == 0


def test_errors(tmp_path):
    with pytest.raises(SynthesisError, match="unit 'core2' is unknown: there are tree, core, accu"):
        generic.run("core2", Config())
    with pytest.raises(SynthesisError, match="no_such_command"):
        yosys.run(["no_such_command"], tmp_path)
