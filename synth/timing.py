"""Static timing before layout, by OpenSTA: no wires, ideal clock."""

import re
import shutil
import subprocess
from pathlib import Path

from synth import yosys
from synth.errors import SynthesisError
from synth.fanout import buffered
from synth.liberty import Library
from synth.mapping import Mapped
from synth.memories import Memory

_PERIOD = 1_000_000  # of the library's time units; only the slack matters
_UNIT = re.compile(r"time_unit\s*:\s*\"?\s*(\d+)\s*([npf]s)")
_NET = re.compile(r"(?m)^ +\d* +(\S+) \(net\)$")
_SLEW = re.compile(r"(?m)^ +([\d.]+) +[\d.]+ +[\d.]+ [\^v] \S+/\S+ \(")
_UNITS = re.compile(r"(?m)^\s*((?:time_unit|capacitive_load_unit|voltage_unit|current_unit|"
                    r"pulling_resistance_unit|leakage_power_unit)\b[^;]*;)")
_SECONDS = {"ns": 1e-9, "ps": 1e-12, "fs": 1e-15}


_THRESHOLDS = [f"{side}_threshold_pct_{edge} : {percent};" for edge in ("rise", "fall")
               for side, percent in (("input", 50), ("output", 50), ("slew_lower", 20),
                                     ("slew_upper", 80))]


def program() -> str | None:
    """Path of OpenSTA, if it is there."""
    return shutil.which("sta") or shutil.which("opensta")


def opensta(commands: list[str], directory: Path, name: str) -> str:
    """What OpenSTA says to `commands`, run in `directory`, where `name`.txt keeps it.

    Raises
    ------
    SynthesisError : it is not there
    """
    sta = program()
    if sta is None:
        raise SynthesisError("OpenSTA is missing: install it (package opensta on Debian)")
    (directory / f"{name}.tcl").write_text("\n".join([*commands, "exit"]) + "\n")
    done = subprocess.run([sta, "-no_splash", "-exit", f"{name}.tcl"], cwd=directory, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    (directory / f"{name}.txt").write_text(done.stdout)
    return done.stdout


def critical_path(mapped: Mapped, library: Library) -> dict:
    """The slowest path of a mapped design.

    No net but the clock drives more than `fanout.MOST` cells: buffers are added, which no area
    counts. Register files are flip-flops. SRAMs take no time: a path begins at their output when
    the clock rises, and ends at their input when it rises again.

    Returns
    -------
    dict
        critical_path_ns, from, to : the path, and the cells or ports where it begins and ends
        critical_path_cells : cells on it
        fanout_buffers : how many were added
        critical_path_nets : the nets on it that have a name in the source
    slew_ns : of the nets on it, the mean

    Raises
    ------
    SynthesisError : there is no OpenSTA, or it failed
    """
    directory, top = mapped.directory, mapped.hierarchy.top
    text, added = netlist(mapped).read_text(), 0
    if library.buffer:
        text, added = buffered(text, library.buffer, library.outputs)
    (directory / "timed.v").write_text(text)
    (directory / "srams.lib").write_text(_sram_library(mapped, library))
    said = opensta([
        f"read_liberty {library.path}", "read_liberty srams.lib",
        "read_verilog timed.v", f"link_design {top}",
        f"create_clock -name clock -period {_PERIOD} [get_ports clk]",
        "set_input_delay 0 -clock clock [all_inputs]",
        "set_output_delay 0 -clock clock [all_outputs]",
        "report_checks -path_delay max -format full -fields {slew net} -digits 5",
    ], directory, "timing")
    return {**_path(said, unit_ns(library.path)), "fanout_buffers": added}


def netlist(mapped: Mapped, *, files: bool = True) -> Path:
    """The mapped design as one Verilog module, clock gates passed through; without `files`
    register files are black boxes."""
    name = "netlist" if files else "open"
    path = mapped.directory / f"{name}.v"
    if not path.exists():
        yosys.run([
            "read_verilog boxes.v", "blackbox winnow_sram_* winnow_regfile_*",
            *(f"read_rtlil {file.name}" for file in mapped.netlists),
            *([] if files else ["blackbox winnow_regfile_*"]),
            f"hierarchy -top {mapped.hierarchy.top}", "flatten -noscopeinfo", "opt_clean -purge",
            "splitnets -ports", "rename -wire",
            f"write_verilog -noattr -noexpr -nohex {name}.part",
        ], mapped.directory)
        (mapped.directory / f"{name}.part").replace(path)
    return path


def open_netlist(mapped: Mapped, library: Library, *, files: bool) -> Path:
    """`netlist` with the buffers that the timing has."""
    text = netlist(mapped, files=files).read_text()
    if library.buffer:
        text, _ = buffered(text, library.buffer, library.outputs)
    path = mapped.directory / ("buffered.v" if files else "open_buffered.v")
    path.write_text(text)
    return path


def _sram_library(mapped: Mapped, library: Library) -> str:
    """Black boxes of the SRAMs for the timing."""
    total = mapped.hierarchy.total(mapped.hierarchy.top)
    text = ['library (srams) {', 'delay_model : table_lookup;',
            *_UNITS.findall(library.path.read_text()), *_THRESHOLDS]
    for memory in sorted(m for m in total.memories if m.kind == "sram"):
        text += _sram(memory)
    return "\n".join([*text, "}\n"])


def _sram(memory: Memory) -> list[str]:
    address = max(1, (memory.depth - 1).bit_length())
    setup = ('timing () { related_pin : "clk"; timing_type : setup_rising; '
             'rise_constraint (scalar) { values ("0"); } '
             'fall_constraint (scalar) { values ("0"); } }')
    rise = ('timing () { related_pin : "clk"; timing_type : rising_edge; '
            + " ".join(f'{name} (scalar) {{ values ("0"); }}' for name in
                       ("cell_rise", "cell_fall", "rise_transition", "fall_transition")) + " }")
    lines = [f"cell ({memory.module}) {{ area : 0;",
             "pin (clk) { direction : input; clock : true; capacitance : 0; }"]
    for name, width in (("read_enable", 0), ("read_address", address), ("write_enable", 0),
                        ("write_address", address), ("write_data", memory.width)):
        for bit in range(width) if width else [None]:
            pin = name if bit is None else f"{name}[{bit}]"
            lines.append(f'pin ("{pin}") {{ direction : input; capacitance : 0; {setup} }}')
    lines += [f'pin ("read_data[{bit}]") {{ direction : output; {rise} }}'
              for bit in range(memory.width)]
    return [*lines, "}"]


def unit_ns(path: Path) -> float:
    """The time unit of a library."""
    found = _UNIT.search(path.read_text())
    if not found:
        raise SynthesisError(f"{path}: no time_unit")
    return int(found[1]) * _SECONDS[found[2]] * 1e9


def _path(text: str, unit_ns: float) -> dict:
    """The path in a report of `report_checks`."""
    begin, end = (re.search(rf"{word}: (\S+)", text) for word in ("Startpoint", "Endpoint"))
    slack = re.search(r"(-?[\d.]+)\s+slack", text)
    if not (begin and end and slack):
        tail = "\n".join(text.splitlines()[-8:])
        raise SynthesisError(f"OpenSTA found no path:\n{tail}")
    cells = len(re.findall(r"(?m)[\^v] \S+/\S+ \(", text))
    slews = [float(slew) for slew in _SLEW.findall(text)]
    nets = [net for net in _NET.findall(text) if not re.fullmatch(r"_\d+_", net)]
    return {"critical_path_ns": round((_PERIOD - float(slack[1])) * unit_ns, 4),
            "from": begin[1], "to": end[1], "critical_path_cells": cells,
            "critical_path_nets": nets,
            "slew_ns": round(sum(slews) / max(1, len(slews)) * unit_ns, 6)}
