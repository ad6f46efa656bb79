"""Energy of a unit of a chip under given stimuli, before layout."""

import re
from collections import defaultdict
from collections.abc import Mapping as Dict
from dataclasses import dataclass

from isa.config import Config
from synth import cells, gates, netlist, power, timing
from synth.activity import Activity, Bits, Simulation
from synth.design import emitted
from synth.errors import SynthesisError
from synth.liberty import Library
from synth.mapping import map_design
from synth.netlist import CONSTANTS, Cell
from synth.power import CellEnergy
from synth.units import unit

_DIGITS = 4  # of a load


@dataclass(frozen=True)
class Energy:
    """What a unit takes in a cycle, in fJ; leakage in nW.

    Attributes
    ----------
    logic, nets : inside gates, and in the nets that they drive, without glitches
    glitches : what both take more if every gate takes one unit of time
    registers : inside flip-flops and in the nets that they drive, where they change
    clock : inside flip-flops and at their clock pins, in every cycle
    ports : in the pins that inputs of the unit drive
    leakage : of all cells
    """

    logic: float
    nets: float
    glitches: float
    registers: float
    clock: float
    ports: float
    leakage: float

    @property
    def settled(self) -> float:
        """fJ a cycle if no net changes twice in a cycle."""
        return self.logic + self.nets + self.registers + self.clock + self.ports

    @property
    def dynamic(self) -> float:
        """fJ a cycle, glitches included."""
        return self.settled + self.glitches


class Unit:
    """A unit mapped to a library, whose energy can be taken.

    Parameters
    ----------
    name : of `synth.units`; what is not flat there has its register files outside
    config : Config
    library : Library
    held : it is a register file: its flip-flops are given what they hold

    Attributes
    ----------
    simulation : Simulation
    figures : of `cells.measured`

    Raises
    ------
    SynthesisError : OpenSTA is missing, or something is wrong with the library
    """

    def __init__(self, name: str, config: Config, library: Library, *, held: bool = False):
        chosen = unit(name)
        mapped = map_design(emitted(name, config), cells.mapping(library), flat=chosen.flat)
        self.library = library
        self.figures = cells.measured(mapped, library, chosen.macs(config))
        if not self.figures.get("slew_ns"):
            raise SynthesisError("no slews: " + self.figures.get(
                "critical_path_missing", "the slowest path has none"))
        path = timing.open_netlist(mapped, library, files=held)
        self.netlist = netlist.read(path.read_text(), name)
        known = {cell.kind for cell in self.netlist.cells} & library.areas.keys()
        self.gates = gates.gates(library.path.read_text(), known)
        self.simulation = Simulation(self.netlist, self.gates, held=held)
        self._weigh()

    def _weigh(self) -> None:
        """Finds the loads of nets and the energies of cells with them."""
        # What registers drive is theirs, the clock is counted apart, and boxes are not weighed.
        self.held = {"clk", *(cell.pins[pin] for cell in self.netlist.cells
                              if cell.kind in self.gates and self.gates[cell.kind].clock
                              for pin in self.gates[cell.kind].outputs if pin in cell.pins)}
        same = dict(self.netlist.same)
        self.loads = defaultdict(float)
        for cell in self.netlist.cells:
            if cell.kind in self.gates:
                for pin, load in self.gates[cell.kind].capacitance.items():
                    net = cell.pins.get(pin)
                    while net in same:
                        net = same[net]
                    self.loads[net] += load
        self.loaded = [(cell, (cell.kind, self._load(cell))) for cell in self.netlist.cells
                       if cell.kind in self.gates]
        slew = self.figures["slew_ns"] / timing.unit_ns(self.library.path)
        self.energies = power.cell_energies(self.library, self.gates,
                                            {key for _, key in self.loaded}, round(slew, 3))
        self.unit_energy = power.unit_energy(self.library)

    def _load(self, cell: Cell) -> float:
        """Of an output of `cell`, the mean."""
        nets = [cell.pins[pin] for pin in self.gates[cell.kind].outputs if pin in cell.pins]
        return float(f"{sum(self.loads[net] for net in nets) / max(1, len(nets)):.{_DIGITS}g}")

    def run(self, given: Dict[str, Bits],
            counted: Bits | None = None) -> tuple[Activity, Energy]:
        """What happens with the inputs `given`, see `Simulation.run`, and what that takes."""
        activity = self.simulation.run(given, counted)
        return activity, self.energy(activity)

    def energy(self, activity: Activity) -> Energy:
        total = defaultdict(float)
        for cell, key in self.loaded:
            gate, energy = self.gates[cell.kind], self.energies[key]
            settled, changes = (self._taken(cell, energy, counts)
                                for counts in (activity.settled, activity.changes))
            nets = self._changes(cell, gate.outputs, activity.settled) * energy.net
            total["leakage"] += energy.leakage
            total["glitches"] += changes - settled
            if gate.clock:
                total["registers"] += settled
                total["clock"] += (energy.clock + gate.capacitance[gate.clock]
                                   * self.unit_energy) * activity.cycles
            else:
                total["logic"] += settled - nets
                total["nets"] += nets
        for net in self.simulation.sources:
            if net not in self.held:
                total["ports"] += activity.settled[net] * self.loads[net] * self.unit_energy / 2
        leakage = total.pop("leakage")
        return Energy(**{name: total[name] / activity.cycles for name in
                         ("logic", "nets", "glitches", "registers", "clock", "ports")},
                      leakage=leakage)

    def _taken(self, cell: Cell, energy: CellEnergy, counts: dict[str, int]) -> float:
        """By changes, in a cell and the nets that it drives, in fJ."""
        outputs = self._changes(cell, self.gates[cell.kind].outputs, counts)
        return outputs * (energy.change + energy.net) + sum(
            self._changes(cell, (pin,), counts) * each for pin, each in energy.inputs.items()
            if each)

    def _changes(self, cell: Cell, pins, counts: dict[str, int]) -> int:
        return sum(counts[net] for net in (cell.pins.get(pin) for pin in pins)
                   if net is not None and net not in CONSTANTS)


def ports(simulation: Simulation, name: str) -> list[str]:
    """The nets of the port `name`, the lowest bit first."""
    nets = (*simulation.netlist.inputs, *simulation.netlist.outputs)
    if name in nets:
        return [name]
    bits = [(int(found[1]), net) for net in nets
            if (found := re.fullmatch(rf"{re.escape(name)}\[(\d+)\]", net))]
    return [net for _, net in sorted(bits)]


def pins(unit: Unit, instance: str, pin: str) -> list[str]:
    """The nets of a wide pin of the black box `instance`, the lowest bit first."""
    cell, = (cell for cell in unit.netlist.cells if cell.name == instance)
    found = [(int(bit[1]), net) for each, net in cell.pins.items()
             if (bit := re.fullmatch(rf"{pin}\[(\d+)\]", each))]
    return [net for _, net in sorted(found)]
