"""Table, picture, memories by shape, paths of the timing report, resources, harness."""

import struct
from collections import Counter

import pytest

from synth import fpga, nextpnr, table, timing, treemap
from synth.errors import SynthesisError
from synth.hierarchy import Total
from synth.memories import Memory, by_shape
from winnow import synthesis

FIGURES = {
    "unit": "top", "config": "small", "target": "generic", "cells": 1000, "depth": 3,
    "cells_per_mac": 12.5, "deepest": ["a", "b"], "with_register_files": {"cells": 1200},
    "cells_by_type": {"$_AND_": 1000},
    "units": {"top": {"cells": 1000}, "top.big": {"cells": 700}, "top.big.inner": {"cells": 600},
              "top.small": {"cells": 296}, "top.tiny": {"cells": 4}, "top.none": {"cells": 0}},
}


@pytest.mark.parametrize("sizes", [[1.0], [6, 6, 4, 3, 2, 2, 1], [100, 1, 1, 1], [5, 5]])
def test_rectangles_fill_the_whole_and_do_not_overlap(sizes):
    boxes = treemap.squarified([float(size) for size in sizes], 1, 2, 6, 4)
    assert len(boxes) == len(sizes)
    for size, (x, y, width, height) in zip(sizes, boxes, strict=True):
        assert width * height == pytest.approx(24 * size / sum(sizes))
        assert x >= 1 - 1e-9 and y >= 2 - 1e-9
        assert x + width <= 7 + 1e-9 and y + height <= 6 + 1e-9
    for i, (x, y, width, height) in enumerate(boxes):
        for u, v, w, h in boxes[:i]:
            wide, high = min(x + width, u + w) - max(x, u), min(y + height, v + h) - max(y, v)
            assert wide <= 1e-9 or high <= 1e-9


def test_parts_of_a_picture():
    root = treemap.parts({name: of["cells"] for name, of in FIGURES["units"].items()}, "top")
    assert [(part.name, part.size) for part in root.parts] == [
        ("big", 700), ("small", 296), ("tiny", 4)]
    assert [(part.name, part.size) for part in root.parts[0].parts] == [("inner", 600), ("", 100)]
    assert treemap.parts({"top": 5, "top.a": 3}, "top", depth=0).parts == []


def test_figures_table_and_picture_are_written(tmp_path):
    paths = synthesis.write(FIGURES, tmp_path / "new" / "figures.json")
    assert [path.name for path in paths] == ["figures.json", "figures.txt", "figures.png"]
    lines = paths[1].read_text().splitlines()
    assert "cells_per_mac                  12.5" in lines
    assert any(line.split() == ["big", "700", "70.0%"] for line in lines)
    assert not any("tiny" in line for line in lines)
    picture = paths[2].read_bytes()
    assert picture.startswith(b"\x89PNG") and min(struct.unpack(">II", picture[16:24])) > 500
    assert table.text(FIGURES, "cells").count("$_AND_") == 0


def test_memories_are_named_by_their_shape():
    text = ("  winnow_sram #(\n    .ADDRESS_BITS(32'd4),\n    .DEPTH(32'd10),\n"
            "    .WIDTH(32'd3)\n  ) body (\n    .clk(clk));\n"
            "  winnow_regfile #(\n    .ADDRESS_BITS(32'd1),\n    .DEPTH(32'd2),\n"
            "    .WIDTH(32'd4)\n  ) body_0 (\n    .clk(clk));\n")
    shaped, memories = by_shape(text)
    assert memories == [Memory("regfile", 4, 2), Memory("sram", 3, 10)]
    assert "winnow_sram_3x10 body (" in shaped and "winnow_regfile_4x2 body_0 (" in shaped
    assert Memory.of("winnow_sram_3x10") == memories[1] and Memory.of("winnow_sram") is None
    for part in ("module winnow_sram_3x10 ", "WIDTH = 3", "DEPTH = 10", "ADDRESS_BITS = 4"):
        assert part in memories[1].body


def test_path_of_a_timing_report():
    said = """Startpoint: core.word_reg (rising edge-triggered flip-flop clocked by clock)
Endpoint: core.sum_reg (rising edge-triggered flip-flop clocked by clock)
   0.04000    0.10000    0.10000 ^ core.word_reg/Q (DFF)
    2                        core.word[3] (net)
   0.02000    0.20000    0.30000 v _12_/Y (NAND2)
    1                        _17_ (net)
   999996.5000   slack (MET)
"""
    assert timing._path(said, 1.0) == {"critical_path_ns": 3.5, "from": "core.word_reg",
                                       "to": "core.sum_reg", "critical_path_cells": 2,
                                       "critical_path_nets": ["core.word[3]"],
                                       "slew_ns": 0.03}
    assert timing._path(said, 1e-3)["critical_path_ns"] == 0.0035
    with pytest.raises(SynthesisError, match="found no path:\nNo paths found"):
        timing._path("No paths found.", 1.0)


def test_resources():
    total = Total(Counter({"LUT4": 10, "CCU2C": 3, "TRELLIS_FF": 7, "TRELLIS_DPR16X4": 2,
                           "DP16KD": 4, "MULT18X18D": 1, "PFUMX": 9}))
    assert fpga.resources(fpga.FAMILIES["ecp5"], total) == {
        "lut4": 10 + 6 + 12, "flip_flops": 7, "carry": 3, "lut_memories": 2, "block_memories": 4,
        "multipliers": 1}
    total = Total(Counter({"LUT6": 5, "LUT2": 1, "FDRE": 4, "RAMB36E1": 2, "RAMB18E1": 1}))
    found = fpga.resources(fpga.FAMILIES["xilinx"], total)
    assert (found["lut"], found["flip_flops"], found["block_memories_18k"]) == (6, 4, 5)


def test_harness_takes_every_port():
    verilog = ("module unit(clk, rst, a, o, p);\n  input clk;\n  input rst;\n  input [6:0] a;\n"
               "  output o;\n  output [2:0] p;\nendmodule\n")
    text = nextpnr._harness("unit", verilog)
    for part in (".clk(clk)", ".rst(rst)", ".a(held[6:0])", ".o(shown[0:0])", ".p(shown[3:1])",
                 "(* blackbox *)\nmodule unit (input [0:0] clk"):
        assert part in text
