"""Synthesis to generic gates: what a unit costs, independent of any library.

Two-input gates and multiplexers, as in published comparisons. ABC's own script for such gates
(`published`) saves cells by turning prefix adders into ripple ones; ours keeps the depth, and finds
fewer cells (docs/results.md).
"""

import json
import sys
import time
from pathlib import Path

from hdl.cache import digest
from hdl.emit import Emitted
from isa.config import Config
from synth import depth
from synth.design import emitted
from synth.figures import figures
from synth.mapping import Mapped, Mapping, map_design
from synth.memories import Memory
from synth.units import unit

GATES = "AND,NAND,OR,NOR,XOR,XNOR,MUX"
_ABC = "strash;&get,-n;&fraig,-x;&put;scorr;&get,-n;&nf,-D,1;&put"
_CLEAN = ("opt_clean", "clean -purge")


def mapping(*, published: bool = False) -> Mapping:
    """The generic mapping; with `published` by ABC's own script, as peers were measured."""
    abc = f"abc -g {GATES}" + ("" if published else f" -script +{_ABC}")
    return Mapping("published" if published else "generic",
                   ("synth -noabc -run coarse:check", abc, *_CLEAN), json=True)


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
    """The longest paths, with register files as black boxes and as flip-flops."""
    kept = mapped.directory / f"depth-{digest([Path(depth.__file__)])}.json"
    if not kept.exists():
        begin = time.monotonic()
        print("synth: longest paths", file=sys.stderr)
        modules = {}
        for path in mapped.directory.glob("mapped*.json"):
            modules |= json.loads(path.read_text())["modules"]
        closed, whole = (depth.longest(modules, mapped.hierarchy.top, boxed) for boxed in
                         (lambda name: Memory.of(name) is not None, lambda name: False))
        kept.write_text(json.dumps({
            "depth": closed.length, "deepest": (closed.begin, closed.end),
            "depth_with_register_files": whole.length,
            "deepest_with_register_files": (whole.begin, whole.end),
            "depth_seconds": round(time.monotonic() - begin, 1)}))
    return json.loads(kept.read_text())
