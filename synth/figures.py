"""What is reported of a mapped design, whatever the target."""

from synth.hierarchy import Total, flip_flops
from synth.mapping import Mapped


def figures(mapped: Mapped, macs: int, kinds: set[str] = frozenset(),
            areas: dict[str, float] | None = None) -> dict:
    """Cells of a mapped design.

    Parameters
    ----------
    macs : multiply-adds of its cycle; 0 leaves out what is a multiply-add
    kinds : cells of the library that are flip-flops or latches
    areas : of the library's cells, by type

    Returns
    -------
    dict
        cells, combinational_cells, flip_flops : without memories
        cells_per_mac : combinational cells over multiply-adds of a cycle
        area : of these cells
        sram_bits, register_file_bits, memory_bits : bits of memories of either kind, and of both
        clock_gates : instances, which are in no other figure
        with_register_files : the same figures, register files as flip-flops
        cells_by_type
        units : for each instance path the figures of all below it
        seconds : that the mapping took
    """
    hierarchy = mapped.hierarchy
    total = hierarchy.total(hierarchy.top)
    alone = _cells(total, macs, kinds, areas)
    return {
        **alone,
        "sram_bits": total.bits("sram"),
        "register_file_bits": total.bits("regfile"),
        "memory_bits": total.bits("sram") + total.bits("regfile"),
        "clock_gates": total.clock_gates,
        "with_register_files": _sum(alone, _cells(hierarchy.register_files(total), macs, kinds,
                                                  areas)),
        "cells_by_type": dict(sorted(total.cells.items())),
        "units": {path: _unit(mapped, hierarchy.total(module), kinds, areas)
                  for path, module in hierarchy.names.items()},
        "seconds": mapped.seconds,
    }


def _cells(total: Total, macs: int, kinds: set[str],
           areas: dict[str, float] | None) -> dict:
    cells, held = sum(total.cells.values()), flip_flops(total.cells, kinds)
    return {"cells": cells, "combinational_cells": cells - held, "flip_flops": held,
            **({"cells_per_mac": (cells - held) / macs} if macs else {}),
            **({"area": round(total.area(areas), 3)} if areas else {})}


def _sum(a: dict, b: dict) -> dict:
    return {name: value + b[name] for name, value in a.items()}


def _unit(mapped: Mapped, total: Total, kinds: set[str],
           areas: dict[str, float] | None) -> dict:
    files = mapped.hierarchy.register_files(total)
    return {**_cells(total, 0, kinds, areas),
            "register_file_cells": sum(files.cells.values()),
            **({"register_file_area": round(files.area(areas), 3)} if areas else {}),
            "sram_bits": total.bits("sram"), "register_file_bits": total.bits("regfile")}
