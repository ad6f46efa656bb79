"""Synthesis to the cells of a library: area and the slowest path before layout."""

import json
import sys
from pathlib import Path

from hdl.cache import digest
from isa.config import Config
from synth import fanout, timing
from synth.design import emitted
from synth.figures import figures
from synth.liberty import Library
from synth.mapping import Mapped, Mapping, map_design
from synth.units import unit

# By delay: against mapping by area (`&nf`) a tree of ASAP7 is 2 % larger and takes 0.53 ns, not
# 0.78; of sky130 14 % larger and 2.4 ns, not 3.4.
_ABC = ("strash;&get,-n;&fraig,-x;&put;scorr;strash;map,-B,0.9;"
        "topo;buffer,-p,-N,16;upsize;dnsize;stime,-p")


def mapping(library: Library) -> Mapping:
    """The mapping to the cells of `library`."""
    return Mapping(library.name, (
        "synth -noabc -run coarse:check",
        f"dfflibmap -liberty {library.path}",
        f"abc -liberty {library.path} -script +{_ABC}",
        "opt_clean", "clean -purge",
    ), key=library.key)


def run(name: str, config: Config, library: Library) -> dict:
    """Area and critical path of the unit `name` in `config`.

    Returns
    -------
    dict
        What `figures.figures` says, with areas, and `timing.critical_path`; without OpenSTA its
        figures are None and `critical_path_missing` says why
    """
    chosen = unit(name)
    mapped = map_design(emitted(name, config), mapping(library), flat=chosen.flat)
    return {"unit": name, "config": config.name, "target": library.name,
            **measured(mapped, library, chosen.macs(config)),
            "flow": "flat" if chosen.flat else "hierarchical"}


def measured(mapped: Mapped, library: Library, macs: int) -> dict:
    """The figures of a mapped design."""
    return {**figures(mapped, macs, library.held, library.areas), **_timing(mapped, library)}


def _timing(mapped: Mapped, library: Library) -> dict:
    if timing.program() is None:
        return {"critical_path_ns": None, "from": None, "to": None,
                "critical_path_missing": "OpenSTA is not on PATH (package opensta on Debian)"}
    key = digest(Path(each.__file__) for each in (timing, fanout))
    kept = mapped.directory / f"timing-{key}.json"
    if not kept.exists():
        print("synth: timing", file=sys.stderr)
        kept.write_text(json.dumps(timing.critical_path(mapped, library)))
    return json.loads(kept.read_text())
