"""Synthesis to generic gates: what a unit costs, independent of any library.

Two-input gates and multiplexers, as in published comparisons. ABC's own script for such gates
(`published`) saves cells by turning prefix adders into ripple ones; ours keeps the depth, and finds
fewer cells (docs/results.md).
"""

import json
import re
import time

from hdl.emit import Emitted
from isa.config import Config
from synth import yosys
from synth.design import emitted
from synth.figures import figures
from synth.mapping import Mapped, Mapping, map_design
from synth.units import unit

GATES = "AND,NAND,OR,NOR,XOR,XNOR,MUX"
_ABC = "strash;&get,-n;&fraig,-x;&put;scorr;&get,-n;&nf,-R,10;&put"
_CLEAN = ("opt_clean", "clean -purge")


def mapping(*, published: bool = False) -> Mapping:
    """The generic mapping; with `published` by ABC's own script, as peers were measured."""
    abc = f"abc -g {GATES}" + ("" if published else f" -script +{_ABC}")
    return Mapping("published" if published else "generic",
                   ("synth -noabc -run coarse:check", abc, *_CLEAN))


def run(name: str, config: Config, *, published: bool = False) -> dict:
    """The cost of the unit `name` in `config`.

    Returns
    -------
    dict
        What `figures.figures` says, and
        depth : cells on the longest path between registers, memories and ports
        depth_with_register_files : the same, where register files are flip-flops
        deepest, deepest_with_register_files : the nets where these paths begin and end

    Raises
    ------
    SynthesisError : an unknown unit, or Yosys is missing or failed
    """
    chosen = unit(name)
    return measure(emitted(name, config), mapping(published=published), flat=chosen.flat,
                   about={"unit": name, "config": config.name}, macs=chosen.macs(config))


def measure(design: Emitted, how: Mapping, *, flat: bool, about: dict, macs: int) -> dict:
    """The figures of `run`, of any design."""
    mapped = map_design(design, how, flat=flat)
    return {**about, "target": how.name, **figures(mapped, macs), **_depth(mapped),
            "flow": "flat" if flat else "hierarchical"}


def _depth(mapped: Mapped) -> dict:
    """The longest paths, of the whole design as one module."""
    directory, top = mapped.directory, mapped.hierarchy.top
    begin = time.monotonic()
    if not (directory / "depth.json").exists():
        yosys.run_all({name: [
            "read_verilog -lib boxes.v",
            *(f"read_rtlil {path.name}" for path in mapped.netlists),
            *boxes,
            f"hierarchy -top {top}",
            "flatten -noscopeinfo",
            f"tee -q -o {name}.txt ltp -noff * t:winnow_* %d",
        ] for name, boxes in (("depth", ["blackbox winnow_regfile_*"]), ("depth_files", []))},
            directory)
        paths = [_longest((directory / f"{name}.txt").read_text())
                 for name in ("depth", "depth_files")]
        (directory / "depth.json").write_text(json.dumps({
            "depth": paths[0][0], "deepest": paths[0][1:],
            "depth_with_register_files": paths[1][0],
            "deepest_with_register_files": paths[1][1:],
            "depth_seconds": round(time.monotonic() - begin, 1)}))
    return json.loads((directory / "depth.json").read_text())


def _longest(text: str) -> tuple[int, str, str]:
    """Length of the path that `ltp` shows, and the nets where it begins and ends."""
    found = re.search(r"\(length=(\d+)\)", text)
    nets = re.findall(r"(?m)^ *\d+: (\S+)", text)
    return (int(found[1]), nets[0], nets[-1]) if found and nets else (0, "", "")
