import gzip
import os
from pathlib import Path

import pytest

from hdl.emit import emit_design
from isa.config import Config
from synth import cells, liberty, timing
from synth.errors import SynthesisError
from synth.fanout import Buffer
from synth.mapping import map_design
from verif.synth.designs import FLIP_FLOP, GATES, HEAD, LIBRARY, Chain

LIBRARIES = os.environ.get("WINNOW_LIBERTY")  # a folder with the files that are named below


def test_cells_are_told_apart(library):
    assert library.held == {"DFF"}
    assert library.outputs == {"INV": {"Y"}, "BUF": {"Y"}, "NAND2": {"Y"}, "DFF": {"Q"}}
    assert library.buffer == Buffer("BUF", "A", "Y")
    assert library.areas == {"INV": 1, "BUF": 2, "NAND2": 3, "DFF": 10}
    text = library.path.read_text()
    assert "internal_power" not in text and "comment" not in text
    assert text.count("{") == text.count("}")
    assert all(f"cell ({name})" in text for name in ("INV", "BUF", "NAND2", "DFF"))


def test_several_files_and_gzip_are_one_library(tmp_path, library):
    gates, flip_flops = tmp_path / "gates.lib.gz", tmp_path / "flip_flops.lib"
    gates.write_bytes(gzip.compress((HEAD + GATES + "}").encode()))
    flip_flops.write_text(HEAD + FLIP_FLOP + "}")
    text = liberty.load([gates, flip_flops]).path.read_text()
    for each in ("cell (", "lu_table_template", "library ("):
        assert text.count(each) == library.path.read_text().count(each)


def test_area_of_a_small_design(library):
    mapped = map_design(emit_design(Chain(length=8), "chain"), cells.mapping(library), flat=True)
    figures = cells.measured(mapped, library, 1)
    kinds = figures["cells_by_type"]
    assert kinds["DFF"] == figures["flip_flops"] == 2
    areas = {"INV": 1, "BUF": 2, "NAND2": 3, "DFF": 10}
    assert figures["area"] == sum(areas[kind] * count for kind, count in kinds.items())
    assert figures["with_register_files"]["area"] >= figures["area"] + 8 * 10
    assert figures["units"]["chain"]["register_file_area"] >= 80
    if timing.program() is None:
        assert figures["critical_path_ns"] is None and figures["critical_path_missing"]
    else:
        # through seven exclusive-ors, at least three of them in a row and each two NANDs deep
        assert 6 * 0.1 < figures["critical_path_ns"] < 4
        assert figures["critical_path_cells"] >= 6
        assert figures["from"].startswith(("a[", "\\a["))


@pytest.mark.parametrize("content, said", [
    (None, "cannot be read: No such file"),
    (b"\x1f\x8b\x08\x00damaged", "a gzip file that is damaged or truncated"),
    (gzip.compress(LIBRARY.encode())[:-20], "a gzip file that is damaged or truncated"),
    (b"\xff\xfe\x00\x01", "not a Liberty file: it is not text"),
    (b"module a; endmodule", r"not a Liberty file: it has no library\(\)"),
    (LIBRARY[:len(LIBRARY) // 2].encode(), r"truncated: \d+ groups begin and \d+ end"),
    ((HEAD + "}").encode(), "a Liberty file without cells"),
    ((HEAD + GATES + "}").encode(), "no flip-flop; needed is a file with cells that have ff"),
    ((HEAD + FLIP_FLOP + "}").encode(), "only flip-flops, latches and clock gates"),
])
def test_bad_files(tmp_path, content, said):
    path = tmp_path / "bad.lib"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SynthesisError, match=f"bad.lib: {said}"):
        liberty.load([path])


def test_files_of_two_libraries(tmp_path):
    paths = tmp_path / "a.lib", tmp_path / "b.lib"
    paths[0].write_text(LIBRARY)
    paths[1].write_text(LIBRARY.replace("1ns", "1ps"))
    with pytest.raises(SynthesisError, match=r"units differ, \"1ns\" and \"1ps\""):
        liberty.load(list(paths))
    with pytest.raises(SynthesisError, match="give at least one file"):
        liberty.load([])


@pytest.mark.parametrize("above", ["", "ciel/sky130/versions/0123"])
def test_sky130_is_found_by_pdk_root(tmp_path, above):
    folder = tmp_path / above / "sky130A/libs.ref/sky130_fd_sc_hd/lib"
    with pytest.raises(SynthesisError, match="PDK_ROOT is not set"):
        liberty.sky130(None)
    with pytest.raises(SynthesisError, match="must be laid out as ciel does"):
        liberty.sky130(str(tmp_path))
    folder.mkdir(parents=True)
    path = folder / "sky130_fd_sc_hd__tt_025C_1v80.lib"
    path.write_text(LIBRARY)
    assert liberty.sky130(str(tmp_path)) == path


@pytest.mark.slow
@pytest.mark.skipif(LIBRARIES is None, reason="WINNOW_LIBERTY names no folder of libraries")
@pytest.mark.parametrize("name, names, area, slowest", [
    ("sky130", ["sky130hd_tt.lib.gz"], 36_000, 8.0),
    ("asap7", ["asap7_invbuf.lib.gz", "asap7_seq.lib.gz", "asap7_simple.lib.gz"], 560, 1.0),
])
def test_tree_in_real_cells(name, names, area, slowest):
    library = liberty.load([Path(LIBRARIES) / each for each in names], name)
    figures = cells.run("tree", Config(), library)
    print({each: figures[each] for each in ("area", "cells", "critical_path_ns", "from", "to")})
    assert figures["flip_flops"] == 233
    assert figures["area"] < area
    assert figures["critical_path_ns"] < slowest
