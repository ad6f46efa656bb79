"""`winnow synth`: a unit on a target; figures, table and picture."""

import os
from pathlib import Path

from isa.config import Config
from synth import cells, fpga, generic, liberty, nextpnr, table, treemap
from synth.errors import SynthesisError
from winnow import files

TARGETS = ("generic", "published", *fpga.FAMILIES, "liberty", "sky130")


def run(unit: str, config: Config, target: str, paths: list[str], part: str) -> dict:
    """The figures of `unit` in `config` on `target`.

    Parameters
    ----------
    paths : Liberty files of target liberty, no others
    part : of target ecp5

    Raises
    ------
    SynthesisError : a mistake in what was asked for, or a tool is missing or failed
    """
    if target not in TARGETS:
        raise SynthesisError(f"target {target!r} is unknown: there are {', '.join(TARGETS)}")
    if paths and target != "liberty":
        raise SynthesisError(f"target {target} takes no files: {', '.join(paths)}")
    if part not in nextpnr.PARTS:
        raise SynthesisError(f"part {part!r} is unknown: there are {', '.join(nextpnr.PARTS)}")
    match target:
        case "generic" | "published":
            return generic.run(unit, config, published=target == "published")
        case "liberty" | "sky130":
            return cells.run(unit, config, library(target, paths))
        case _:
            return fpga.run(unit, config, target, part)


def library(target: str, paths: list[str]) -> liberty.Library:
    """The cell library of a target.

    Raises
    ------
    SynthesisError : the target has none, or something is wrong with it
    """
    match target:
        case "liberty":
            return liberty.load(paths)
        case "sky130":
            return liberty.load([liberty.sky130(os.environ.get("PDK_ROOT"))], "sky130")
        case _:
            raise SynthesisError(f"target {target!r} has no cell library: liberty PATH... and "
                                 "sky130 have one")


def _measure(figures: dict) -> str:
    """What of each instance the table lists and the picture shows."""
    instance = next(iter(figures["units"].values()))
    return next(name for name in ("area", "cells", "lut4", "lut") if name in instance)


def text(figures: dict) -> str:
    """The table."""
    return table.text(figures, _measure(figures))


def write(figures: dict, path: Path) -> list[Path]:
    """Writes the figures, and beside them the table and the picture; the paths."""
    beside = [path, path.with_suffix(".txt"), path.with_suffix(".png")]
    files.write_json(path, figures)
    files.write_text(beside[1], text(figures) + "\n")
    files.write(beside[2], treemap.picture(figures, _measure(figures)))
    return beside
