"""The Verilog of a unit, kept in build/ while nothing that it is made of changes."""

import json
import sys
from pathlib import Path

import isa
from hdl.bodies import verilog_files
from hdl.cache import cached, digest
from hdl.emit import Emitted, emit_design
from isa.config import Config
from synth.units import unit


def emitted(name: str, config: Config) -> Emitted:
    """The Verilog of the unit called `name` in `config`."""
    component = unit(name)

    def make(directory: Path) -> None:
        print(f"synth: writing the Verilog of {name} of {config.name}", file=sys.stderr)
        design = emit_design(component.make(config), name)
        (directory / "design.v").write_text(design.verilog)
        (directory / "names.json").write_text(json.dumps(design.names))

    directory = cached("synth", f"{name}-verilog", digest([repr(config), name, *_sources()]), make)
    return Emitted((directory / "design.v").read_text(), name,
                   json.loads((directory / "names.json").read_text()))


def _sources() -> list[Path]:
    """All that the Verilog is made of."""
    root = Path(isa.__file__).resolve().parents[1]
    return [*verilog_files(), Path(__file__).with_name("units.py"),
            *sorted(path for package in ("hdl", "isa") for path in (root / package).rglob("*.py"))]
