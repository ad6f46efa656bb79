"""Synthesis to generic gates: what a unit costs, independent of any library.

The script is that of published comparisons: `synth -flatten -noabc`, then `abc` with two-input
gates and multiplexers. Memories and clock gates are black boxes; the bits of memories are counted
apart.
"""

import json
import re
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from hdl.emit import emit, verilog_files
from isa.config import LANES, TREES, Config
from synth import yosys
from synth.units import UNITS

GATES = "AND,NAND,OR,NOR,XOR,XNOR,MUX"
_BODIES = "t:winnow_*"
_FLIP_FLOP = re.compile(r"\$_(S|A|AL)?DFFS?R?(CE|E)?_|\$_DLATCH")


def run(unit: str, config: Config) -> dict:
    """The cost of `unit` in `config`.

    Parameters
    ----------
    unit : str
        tree (one tree with its accumulator's adder), core or chip.
    config : Config

    Returns
    -------
    dict
        cells : mapped cells, flip-flops included; cells_by_type : the same, by type
        combinational_cells, flip_flops
        cells_per_mac : combinational cells over the multiply-adds of a cycle
        memory_bits : bits of the memories, which are in no other figure
        depth : cells on the longest path between registers, memories and ports
        fast_depth, fast_combinational_cells : before abc, which saves cells and makes the prefix
            adders ripple; of flat flows only
        flow : flat, or hierarchical (each module mapped once, by itself); seconds

    Raises
    ------
    ValueError : an unknown unit
    synth.yosys.SynthesisError : Yosys is missing or failed
    """
    if unit not in UNITS:
        raise ValueError(f"unit {unit!r} is unknown: there are {', '.join(UNITS)}")
    macs = {"tree": LANES, "core": LANES * TREES, "chip": config.macs_per_cycle}[unit]
    print(f"synth: {unit} of {config.name}", file=sys.stderr)
    figures = measure(UNITS[unit](config=config), unit, flat=unit != "chip")
    figures["cells_per_mac"] = figures["combinational_cells"] / macs
    return {"unit": unit, "config": config.name, "target": "generic"} | figures


def measure(component, name: str, *, flat: bool = True) -> dict:
    """The figures of `run` but `cells_per_mac`, of any component."""
    begin = time.monotonic()
    with TemporaryDirectory(prefix="winnow-synth-") as place:
        directory = Path(place)
        (directory / "unit.v").write_text(emit(component, name))
        yosys.run([
            *(f"read_verilog -lib {path}" for path in verilog_files()),
            "read_verilog unit.v",
            f"hierarchy -check -top {name}",
            f"synth {'-flatten ' if flat else ''}-noabc -top {name}",
            "tee -q -o stat_fast.json stat -json",
            f"tee -q -o depth_fast.txt ltp -noff * {_BODIES} %d",
            f"abc -g {GATES}",
            "flatten -noscopeinfo",
            "tee -q -o stat.json stat -json",
            f"tee -q -o depth.txt ltp -noff * {_BODIES} %d",
            f"dump -o memories.il {_BODIES}",
        ], directory)
        said = {path.name: path.read_text() for path in directory.iterdir()}
    cells, flip_flops = _cells(said["stat.json"])
    total = sum(cells.values())
    fast = {}
    if flat:
        fast_cells, _ = _cells(said["stat_fast.json"])
        fast = {"fast_depth": _depth(said["depth_fast.txt"]),
                "fast_combinational_cells": sum(fast_cells.values()) - flip_flops}
    return {
        "cells": total,
        "combinational_cells": total - flip_flops,
        "flip_flops": flip_flops,
        "memory_bits": _memory_bits(said["memories.il"]),
        "depth": _depth(said["depth.txt"]),
        **fast,
        "cells_by_type": dict(sorted(cells.items())),
        "flow": "flat" if flat else "hierarchical",
        "seconds": round(time.monotonic() - begin, 1),
    }


def _cells(text: str) -> tuple[dict[str, int], int]:
    """Counts by type, without black boxes, and how many of them are flip-flops."""
    cells = {kind: count
             for kind, count in json.loads(text)["design"]["num_cells_by_type"].items()
             if not kind.startswith("winnow_") and kind != "$scopeinfo"}
    return cells, sum(count for kind, count in cells.items() if _FLIP_FLOP.match(kind))


def _depth(text: str) -> int:
    """The longest of all modules' paths; a module without any cell has none."""
    return max((int(length) for length in re.findall(r"\(length=(\d+)\)", text)), default=0)


def _memory_bits(text: str) -> int:
    """Bits of the memories in an RTLIL dump of their instances."""
    widths, depths = (re.findall(rf"parameter (?:signed )?\\{name} (\S+)", text)
                      for name in ("WIDTH", "DEPTH"))
    return sum(_constant(w) * _constant(d) for w, d in zip(widths, depths, strict=True))


def _constant(text: str) -> int:
    """An RTLIL constant: decimal, or width'bits."""
    return int(text.split("'")[1], 2) if "'" in text else int(text)
