"""A design mapped module by module, in several processes.

Equal instances are one module (hdl/emit.py), which is mapped once. A module is mapped with its
submodules as black boxes, so modules can be shared out among processes; their cells are counted
by walking through the hierarchy (synth/hierarchy.py). Memories are modules by shape: SRAMs stay
black boxes, register files are mapped as flip-flops, to be counted or not.
"""

import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from hdl.cache import cached, digest
from hdl.emit import Emitted
from synth import yosys
from synth.hierarchy import Hierarchy, Module
from synth.memories import CLOCK_GATE, PASSED_GATE, by_shape

WORKERS = 2  # at most; each holds the whole design, before mapping
_MODULE = re.compile(r"(?m)^module \\?(\w+) *[(;]")


@dataclass(frozen=True)
class Mapping:
    """How modules are mapped.

    Attributes
    ----------
    name : in file names
    commands : Yosys commands on modules whose processes are gone and whose submodules are boxes
    key : what else the result depends on, such as contents of files that the commands read
    whole : SRAMs are mapped as well and clock gates pass the clock, as on an FPGA
    json : the netlists are written as Yosys' JSON, too, beside RTLIL
    """

    name: str
    commands: tuple[str, ...]
    key: str = ""
    whole: bool = False
    json: bool = False


@dataclass(frozen=True)
class Mapped:
    """A mapped design.

    Attributes
    ----------
    directory : kept in build/; `netlists` and `boxes` are in it
    hierarchy : its modules
    netlists : RTLIL, which together are the design without black boxes
    boxes : Verilog of the black boxes
    seconds : that it took
    """

    directory: Path
    hierarchy: Hierarchy
    netlists: tuple[Path, ...]
    boxes: Path
    seconds: float


def map_design(design: Emitted, mapping: Mapping, *, flat: bool) -> Mapped:
    """`design` mapped, from build/ if it has been before.

    Parameters
    ----------
    flat : all but memories becomes one module before it is mapped
    """
    verilog, memories = by_shape(design.verilog)
    boxes = "\n".join([PASSED_GATE] + [memory.body for memory in memories])
    files = [m.module for m in memories if m.kind == "regfile" or mapping.whole]
    if mapping.whole and f" {CLOCK_GATE} " in verilog:
        files.append(CLOCK_GATE)
    shares = _shares(_modules(verilog), files, design.top, flat)
    scripts = {f"map{i}": _script(design.top, shares, i, mapping, flat)
               for i in range(len(shares))}
    key = digest([verilog, boxes, repr(scripts), mapping.key, yosys.version()])

    def make(directory: Path) -> None:
        begin = time.monotonic()
        (directory / "design.v").write_text(verilog)
        (directory / "boxes.v").write_text(boxes)
        print(f"synth: mapping {design.top} in {len(shares)} processes", file=sys.stderr)
        yosys.run_all(scripts, directory)
        (directory / "seconds").write_text(f"{time.monotonic() - begin:.1f}")

    directory = cached("synth", f"{design.top}-{mapping.name}", key, make)
    counted = {}
    for path in sorted(directory.glob("stat*.json")):
        counted |= json.loads(path.read_text())["modules"]
    modules = {name.removeprefix("\\"): Module.of_stat(stat) for name, stat in counted.items()}
    return Mapped(directory, Hierarchy(design.top, modules, {} if flat else design.names,
                                        whole=mapping.whole),
                  tuple(sorted(directory.glob("mapped*.il"))), directory / "boxes.v",
                  float((directory / "seconds").read_text()))


def _modules(verilog: str) -> dict[str, int]:
    """Size of the text of each module."""
    starts = [(found[1], found.start()) for found in _MODULE.finditer(verilog)]
    ends = [start for _, start in starts[1:]] + [len(verilog)]
    return {name: end - start for (name, start), end in zip(starts, ends, strict=True)}


def _shares(modules: dict[str, int], files: list[str], top: str,
            flat: bool) -> list[list[str]]:
    """The modules of each process, about the same size of text in each."""
    if flat:
        return [[top], files] if files else [[top]]
    sizes = modules | {name: sum(modules.values()) // (4 * WORKERS) // max(1, len(files))
                       for name in files}
    count = min(WORKERS, len(os.sched_getaffinity(0)), len(sizes))
    shares = [[] for _ in range(count)]
    loads = [0] * count
    for name in sorted(sizes, key=sizes.get, reverse=True):
        least = loads.index(min(loads))
        shares[least].append(name)
        loads[least] += sizes[name]
    return shares


def _script(top: str, shares: list[list[str]], number: int, mapping: Mapping,
            flat: bool) -> list[str]:
    share = shares[number]
    others = [name for each in shares if each is not share for name in each]
    files_alone = flat and number > 0
    read = ["read_verilog boxes.v"] if files_alone else [
        "read_verilog boxes.v",
        "read_verilog design.v",
        *([f"blackbox {' '.join(others)}"] if others else []),
    ]
    return [
        *read,
        *([] if mapping.whole else [f"blackbox {CLOCK_GATE} winnow_sram_*"]),
        *([] if files_alone else [f"hierarchy -check {'-top ' + top if flat else ''}"]),
        *(["proc", "flatten -noscopeinfo"] if flat else []),
        *mapping.commands,
        f"tee -q -o stat{number}.json stat -json",
        f"select {' '.join(share)}",
        f"write_rtlil -selected mapped{number}.il",
        *([f"write_json -selected mapped{number}.json"] if mapping.json else []),
    ]
