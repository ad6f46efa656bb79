"""Energies of cells with their loads, by OpenSTA's power calculation.

OpenSTA takes activities of ports, and works out those of other nets from probabilities; what nets
really do cannot be given to it. So each cell stands alone in a netlist of its own, between ports
with its load at its output and the slew of the design at its inputs, and what it takes a change is
multiplied afterwards with the changes there are (synth/energy.py). Cells of a kind with the same
load are one.
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from hdl.cache import cached, digest
from synth import timing
from synth.errors import SynthesisError
from synth.gates import Gate
from synth.liberty import Library, bodies, groups, without

PERIOD_NS = 1.0  # of the clock that OpenSTA is told; no energy depends on it
_LEAST_LOAD = 1e-3  # of the library's unit, so that an output's activity can be seen in its power
_LINE = re.compile(r"(?m)^ *(\S+) +(\S+) +(\S+) +(\S+) (c\d+)$")
_INPUT = re.compile(r"\bdirection\s*:\s*\"?input\b")
_CLOCK = re.compile(r"\bclock\s*:\s*\"?true\b")
_CAPACITANCE = re.compile(r"\bcapacitive_load_unit\s*\(\s*([\d.]+)\s*,\s*\"?([fpn]f)")
_FARADS = {"nf": 1e-9, "pf": 1e-12, "ff": 1e-15}

# A buffer that takes 1 pJ inside for each change, whichever way.
_KNOWN = """library (known) { delay_model : table_lookup;
time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1mA"; capacitive_load_unit (1, pf);
pulling_resistance_unit : "1kohm"; leakage_power_unit : "1nW"; nom_voltage : 1;
nom_process : 1; nom_temperature : 25;
operating_conditions (typical) { process : 1; temperature : 25; voltage : 1; }
default_operating_conditions : typical;
power_lut_template (p) { variable_1 : input_transition_time;
variable_2 : total_output_net_capacitance; index_1 ("0, 1"); index_2 ("0, 1"); }
cell (KNOWN) { area : 1;
pin (A) { direction : input; capacitance : 0.001; }
pin (Y) { direction : output; function : "A"; timing () { related_pin : "A";
cell_rise (scalar) { values ("0.1"); } cell_fall (scalar) { values ("0.1"); }
rise_transition (scalar) { values ("0.1"); } fall_transition (scalar) { values ("0.1"); } }
internal_power () { related_pin : "A"; rise_power (p) { values ("1, 1", "1, 1"); }
fall_power (p) { values ("1, 1", "1, 1"); } } } } }
"""

Loaded = tuple[str, float]  # a kind of cell, and the load of each of its outputs


@dataclass(frozen=True)
class CellEnergy:
    """Of a cell with its load.

    Attributes
    ----------
    change : fJ inside the cell, a change of its output
    net : fJ in the load, a change of it
    inputs : fJ inside the cell if each of its inputs changes once, beside that
    clock : fJ a cycle inside the cell, from its clock alone
    leakage : nW
    """

    change: float
    net: float
    inputs: float
    clock: float
    leakage: float


def cell_energies(library: Library, gates: dict[str, Gate], wanted: set[Loaded],
                  slew: float) -> dict[Loaded, CellEnergy]:
    """The energies of cells with loads in the library's unit of capacitance.

    All states of a cell are equally likely where its power depends on them.

    Parameters
    ----------
    slew : of all inputs, in the library's unit of time

    Raises
    ------
    SynthesisError : there is no OpenSTA, or it failed, or the library has no power
    """
    order = sorted(wanted)
    key = digest([Path(__file__), library.key, repr(order), repr(slew)])
    directory = cached("synth", f"{library.name}-power", key, lambda directory: _fill(
        directory, library, gates, order, slew))
    found = json.loads((directory / "energies.json").read_text())
    return {each: CellEnergy(**row) for each, row in zip(order, found, strict=True)}


def unit_energy(library: Library) -> float:
    """C V^2 in fJ of a capacitance of one unit of the library."""
    unit = _CAPACITANCE.search(library.path.read_text())
    if not library.volts or not unit:
        raise SynthesisError(f"{library.name}: no nom_voltage or no capacitive_load_unit")
    return float(unit[1]) * _FARADS[unit[2].lower()] * library.volts**2 * 1e15


def _fill(directory: Path, library: Library, gates: dict[str, Gate], order: list[Loaded],
          slew: float) -> None:
    text = library.powered.read_text()
    if not re.search(r"\binternal_power\s*\(", text):
        raise SynthesisError(f"{library.name}: a library without internal power")
    (directory / "quiet.lib").write_text(_quiet_inputs(text))
    (directory / "cells.v").write_text(_alone(gates, order))
    still, active = (_powers(directory, library.powered, order, slew, activity)
                     for activity in (0, 1))
    base, changing = (_powers(directory, directory / "quiet.lib", order, slew, activity)
                      for activity in (0, 1))
    if not any(net for _, net, _ in changing):
        raise SynthesisError(f"{library.name}: OpenSTA found no power in the nets; needed is a "
                             "library with default operating conditions")
    (directory / "known.lib").write_text(_KNOWN)
    (directory / "cells.v").write_text(_alone({"KNOWN": Gate(("A",), {"Y": None}, None, None, {})},
                                              [("KNOWN", 1.0)]))
    (known, net, _), = _powers(directory, directory / "known.lib", [("KNOWN", 1.0)], 0.1, 1)
    # Versions of the program differ: some add what rise and fall take for each of them.
    inner = net / 500 / (known / 1000)
    unit, energies = unit_energy(library), []
    for i, (kind, load) in enumerate(order):
        net = max(load, _LEAST_LOAD) * unit / 2
        changes = changing[i][1] / net / len(gates[kind].outputs)  # of an output, in a cycle
        inside = changing[i][0] - base[i][0]
        energies.append(CellEnergy(
            inside * inner / changes / len(gates[kind].outputs) if changes else 0.0,
            net if load else 0.0, (active[i][0] - still[i][0] - inside) * inner,
            still[i][0] * inner,
            still[i][2] * 1e3 / PERIOD_NS))
    (directory / "energies.json").write_text(json.dumps([asdict(each) for each in energies]))


def _quiet_inputs(text: str) -> str:
    """`text` without the internal power of inputs other than clocks."""
    parts, position = [], 0
    for _, begin, end in bodies(text):
        for first, last, _ in groups(text[begin:end], ("pin",)):
            pin = text[begin + first:begin + last]
            if _INPUT.search(pin) and not _CLOCK.search(pin):
                parts += [text[position:begin + first], without(pin, ("internal_power",))]
                position = begin + last
    return "".join(parts) + text[position:]


def _alone(gates: dict[str, Gate], order: list[Loaded]) -> str:
    """A netlist in which each cell is by itself between ports."""
    ports, cells = ["input clk"], []
    for i, (kind, _) in enumerate(order):
        gate = gates[kind]
        ports += [f"input c{i}_{pin}" for pin in gate.inputs]
        ports += [f"output c{i}_{pin}" for pin in gate.outputs]
        pins = [f".{pin}(c{i}_{pin})" for pin in (*gate.inputs, *gate.outputs)]
        pins += [f".{gate.clock}(clk)"] if gate.clock else []
        cells.append(f"  {kind} c{i} ({', '.join(pins)});")
    names = ", ".join(port.split()[1] for port in ports)
    return "\n".join([f"module cells ({names});", *(f"  {port};" for port in ports), *cells,
                      "endmodule", ""])


def _powers(directory: Path, library: Path, order: list[Loaded], slew: float,
            activity: float) -> list[tuple[float, float, float]]:
    """Internal, switching and leakage energy of a cycle in fJ of each cell, its inputs that
    active."""
    said = timing.opensta([
        f"read_liberty {library}", "read_verilog cells.v", "link_design cells",
        f"create_clock -name clock -period {PERIOD_NS / timing.unit_ns(library):.6g} "
        "[get_ports clk]",
        "set_input_delay 0 -clock clock [all_inputs]",
        f"set_input_transition {slew} [all_inputs]",
        *(f"set_load {max(load, _LEAST_LOAD)} [get_ports c{i}_*]"
          for i, (_, load) in enumerate(order)),
        f"set_power_activity -global -activity {activity} -duty 0.5",
        "report_power -instances [get_cells *] -digits 9",
    ], directory, "power")
    found = {name: [float(power) * PERIOD_NS * 1e6 for power in powers[:3]]
             for *powers, name in _LINE.findall(said)}
    if len(found) != len(order):
        tail = "\n".join(said.splitlines()[-8:])
        raise SynthesisError(f"OpenSTA found the power of {len(found)} cells of {len(order)}:\n"
                             f"{tail}")
    return [tuple(found[f"c{i}"]) for i in range(len(order))]
