"""Energies of cells from a library's power tables.

OpenSTA, which finds the slews (synth/timing.py), calculates power as well; but the version that
Debian has takes no activities of nets, and adds rise and fall for each change. So the tables are
read here: what a cell takes a change, at the design's slew and its own load, is multiplied with the
changes that there are (synth/energy.py).
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from synth.errors import SynthesisError
from synth.gates import Gate, function
from synth.liberty import Library, bodies, groups, numeric

_WHEN = re.compile(r"\bwhen\s*:\s*\"([^\"]+)\"")
_RELATED = re.compile(r"\brelated_pin\s*:\s*\"?([^\s\";]+)")
_VALUE, _LEAKAGE = numeric("value"), numeric("cell_leakage_power")
_INDEX = re.compile(r"\bindex_(\d)\s*\(([^)]*)\)")
_VALUES = re.compile(r"\bvalues\s*\(([^)]*)\)")
_VARIABLE = re.compile(r"\bvariable_(\d)\s*:\s*\"?(\w+)")
_NUMBER = re.compile(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?")
_CAPACITANCE = re.compile(r"\bcapacitive_load_unit\s*\(\s*([\d.]+)\s*,\s*\"?([fpn]f)")
_LEAKAGE_UNIT = re.compile(r"\bleakage_power_unit\s*:\s*\"?([\d.]+)\s*([munpf]?)W")
_SCALE = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}
_LOAD = "total_output_net_capacitance"

Loaded = tuple[str, float]  # a kind of cell, and the load of each of its outputs


@dataclass(frozen=True)
class CellEnergy:
    """Of a cell with its load; all its states are equally likely.

    Attributes
    ----------
    change : fJ inside the cell, a change of an output, the mean of rise and fall and of its causes
    net : fJ in the load, a change of it
    inputs : fJ inside the cell, a change of each input that is not a clock, beside that
    clock : fJ a cycle inside the cell, from its clock alone
    leakage : nW
    """

    change: float
    net: float
    inputs: dict[str, float]
    clock: float
    leakage: float


def cell_energies(library: Library, gates: dict[str, Gate], wanted: set[Loaded],
                  slew: float) -> dict[Loaded, CellEnergy]:
    """The energies of cells with loads in the library's unit of capacitance.

    Parameters
    ----------
    slew : of all inputs, in the library's unit of time

    Raises
    ------
    SynthesisError : the library has no power, or a part of it cannot be read
    """
    text = library.powered.read_text()
    if not re.search(r"\binternal_power\s*\(", text):
        raise SynthesisError(f"{library.name}: a library without internal power")
    tables = _Tables(text, slew)
    leakage = _leakage_unit(library, text)
    cells = {name: text[begin:end] for name, begin, end in bodies(text) if name in gates}
    unit = unit_energy(library)
    energy = unit / library.volts**2  # of the tables, in fJ: that of a capacitance at 1 V
    found = {}
    for kind, load in wanted:
        gate, body = gates[kind], cells[kind]
        states = list(_states(gate))
        inputs, clock = dict.fromkeys(gate.inputs, 0.0), 0.0
        change, ways = 0.0, 0.0
        for pin, group in _powers(body):
            often = _often(group, states, kind)
            taken = energy * tables.mean(group, load)
            if pin in gate.outputs:
                often *= _causes(gate, pin, group, states)
                change, ways = change + often * taken, ways + often
            elif pin == gate.clock:
                clock += 2 * often * taken  # it rises and falls
            else:
                inputs[pin] += often * taken
        found[kind, load] = CellEnergy(change / ways if ways else 0.0, load * unit / 2, inputs,
                                       clock, leakage * _leak(body, states, kind))
    return found


def unit_energy(library: Library) -> float:
    """C V^2 in fJ of a capacitance of one unit of the library."""
    unit = _CAPACITANCE.search(library.path.read_text())
    if not library.volts or not unit:
        raise SynthesisError(f"{library.name}: no nom_voltage or no capacitive_load_unit")
    return float(unit[1]) * _SCALE[unit[2][0]] * library.volts**2 * 1e15


def _leakage_unit(library: Library, text: str) -> float:
    """In nW."""
    unit = _LEAKAGE_UNIT.search(text)
    if not unit:
        raise SynthesisError(f"{library.name}: no leakage_power_unit")
    return float(unit[1]) * _SCALE[unit[2]] * 1e9


def _powers(body: str) -> Iterator[tuple[str, str]]:
    """The groups of internal power of a cell's pins."""
    for begin, end, pin in groups(body, ("pin",)):
        inside = body[begin:end]
        for first, last, _ in groups(inside, ("internal_power",)):
            yield pin.strip(' "'), inside[first:last]


def _states(gate: Gate) -> Iterator[dict[str, int]]:
    """Every state of a cell: its pins, each 0 or 1."""
    inputs = [*gate.inputs, *([gate.clock] if gate.clock else [])]
    for values in itertools.product((0, 1), repeat=len(inputs) + bool(gate.clock)):
        state = dict(zip(inputs, values, strict=False))
        given = values[-1:] if gate.clock else values
        bits = [np.uint64(value) for value in given]
        yield state | {pin: int(of(*bits)) & 1 for pin, of in gate.outputs.items()}


def _often(group: str, states: list[dict[str, int]], kind: str) -> float:
    """In which share of the states a group's condition holds."""
    when = _WHEN.search(group)
    if not when:
        return 1.0
    pins = tuple(states[0])
    try:
        holds = function(when[1], pins)
    except SynthesisError as error:
        raise SynthesisError(f"cell {kind}: {error}") from None
    return sum(int(holds(*(np.uint64(state[pin]) for pin in pins))) & 1
               for state in states) / len(states)


def _causes(gate: Gate, output: str, group: str, states: list[dict[str, int]]) -> float:
    """Where no condition says it: in which share of the states the related pin changes an
    output."""
    related = _RELATED.search(group)
    if gate.clock or not related or _WHEN.search(group):
        return 1.0
    pins = [pin for pin in related[1].split() if pin in gate.inputs]
    changing = 0
    for state in states:
        for pin in pins:
            bits = [np.uint64(state[each] ^ (each == pin)) for each in gate.inputs]
            changing += int(gate.outputs[output](*bits)) & 1 != state[output]
    return changing / len(states)


def _leak(body: str, states: list[dict[str, int]], kind: str) -> float:
    """Leakage in the library's unit."""
    found = [body[begin:end] for begin, end, _ in groups(body, ("leakage_power",))]
    by_state = [group for group in found if _WHEN.search(group)]
    if by_state:
        return sum(_often(group, states, kind) * float(_VALUE.search(group)[1])
                   for group in by_state)
    whole = [_VALUE.search(group) for group in found] or [_LEAKAGE.search(body)]
    return float(whole[0][1]) if whole[0] else 0.0


class _Tables:
    """Tables of a library, looked up at one slew."""

    def __init__(self, text: str, slew: float):
        self.slew = slew
        self.templates = {name.strip(' "'): text[begin:end] for begin, end, name in groups(
            text, ("power_lut_template",))}

    def mean(self, group: str, load: float) -> float:
        """Of rise and fall, or of what there is of them."""
        values = [self._look_up(group[begin:end], name.strip(' "'), load)
                  for begin, end, name in groups(group, ("rise_power", "fall_power", "power"))]
        return sum(values) / len(values) if values else 0.0

    def _look_up(self, table: str, template: str, load: float) -> float:
        said = self.templates.get(template, "")
        axes = dict(_INDEX.findall(said)) | dict(_INDEX.findall(table))
        variables = dict(_VARIABLE.findall(said))
        values = _VALUES.search(table)
        if not values or (template != "scalar" and not variables):
            raise SynthesisError(f"a power table of template {template} cannot be read")
        rows = np.array(_numbers(values[1]))
        if template == "scalar":
            return float(rows[0])
        for number in sorted(variables):
            axis = _numbers(axes[number])
            at = load if variables[number] == _LOAD else self.slew
            rows = rows.reshape(len(axis), -1)
            rows = np.array([np.interp(at, axis, column) for column in rows.T])
        return float(rows[0])


def _numbers(text: str) -> list[float]:
    return [float(number) for number in _NUMBER.findall(text)]
