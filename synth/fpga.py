"""Synthesis to the cells of FPGAs; for ECP5 placed and routed as well."""

from dataclasses import dataclass

from isa.config import Config
from synth import nextpnr
from synth.design import emitted
from synth.hierarchy import Total
from synth.mapping import Mapping, map_design
from synth.units import unit


@dataclass(frozen=True)
class Family:
    """How an FPGA family is mapped and what is counted.

    Attributes
    ----------
    commands : of Yosys, on modules whose submodules are boxes
    resources : name to the beginnings of the cell types that are it, with what each is worth
    """

    commands: tuple[str, ...]
    resources: dict[str, dict[str, int]]


FAMILIES = {
    "ecp5": Family(
        ("read_verilog -lib -specify +/lattice/cells_sim_ecp5.v +/lattice/cells_bb_ecp5.v",
         "synth_lattice -family ecp5 -noflatten -nowidelut -run coarse:check"),
        # a carry cell is two lookup tables; a memory cell four, and two that drive its write port
        {"lut4": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6}, "flip_flops": {"TRELLIS_FF": 1},
         "carry": {"CCU2C": 1}, "lut_memories": {"TRELLIS_DPR16X4": 1},
         "block_memories": {"DP16KD": 1, "PDPW16KD": 1}, "multipliers": {"MULT18X18D": 1}}),
    "ice40": Family(
        ("read_verilog -D ICE40_HX -lib -specify +/ice40/cells_sim.v",
         "synth_ice40 -noflatten -run coarse:check"),
        {"lut4": {"SB_LUT4": 1}, "flip_flops": {"SB_DFF": 1}, "carry": {"SB_CARRY": 1},
         "block_memories": {"SB_RAM40": 1}}),
    "xilinx": Family(
        ("read_verilog -lib -specify +/xilinx/cells_sim.v",
         "read_verilog -lib +/xilinx/cells_xtra.v",
         "synth_xilinx -family xc7 -noiopad -run prepare:check"),
        {"lut": {"LUT": 1, "INV": 1}, "flip_flops": {"FD": 1}, "carry": {"CARRY4": 1},
         "lut_memories": {"RAM32": 1, "RAM64": 1, "RAM128": 1, "SRL": 1},
         "block_memories_18k": {"RAMB18": 1, "RAMB36": 2}, "multipliers": {"DSP48": 1}}),
}


def run(name: str, config: Config, target: str, part: str = nextpnr.PART) -> dict:
    """Resources of the unit `name` in `config` on a family of FPGAs.

    Returns
    -------
    dict
        resources : by name, see `FAMILIES`; units : the same for each instance path;
        cells_by_type; seconds; for ecp5 what `nextpnr.route` says

    Raises
    ------
    SynthesisError : an unknown unit; a tool is missing or failed; the unit does not fit the part
    """
    chosen, family = unit(name), FAMILIES[target]
    mapped = map_design(emitted(name, config), Mapping(target, family.commands, whole=True),
                        flat=chosen.flat)
    hierarchy = mapped.hierarchy
    total = hierarchy.total(hierarchy.top)
    figures = {
        "unit": name, "config": config.name, "target": target,
        "resources": resources(family, total),
        "cells_by_type": dict(sorted(total.cells.items())),
        "units": {path: resources(family, hierarchy.total(module))
                  for path, module in hierarchy.names.items()},
        "seconds": mapped.seconds,
    }
    if target == "ecp5":
        nextpnr.check(figures["resources"], f"unit {name} of {config.name}", part)
        figures |= nextpnr.route(mapped, part)
    return figures


def resources(family: Family, total: Total) -> dict[str, int]:
    """What the cells of a total are of each resource."""
    return {name: sum(count * worth for kind, count in total.cells.items()
                      for begin, worth in kinds.items() if kind.startswith(begin))
            for name, kinds in family.resources.items()}
