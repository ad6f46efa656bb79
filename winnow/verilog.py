"""`winnow verilog`: the chip, its memory bodies and a name map, as files."""

import json
from pathlib import Path

from isa.config import Config
from winnow import files


def write(config: Config, out: Path) -> list[Path]:
    """Write chip.v, the memory bodies and names.json into `out`; the paths written."""
    from hdl.chip import Chip
    from hdl.emit import emit_design, verilog_files

    design = emit_design(Chip(config=config), "chip")
    contents = {out / "chip.v": design.verilog}
    contents |= {out / path.name: path.read_text() for path in verilog_files()}
    contents[out / "names.json"] = json.dumps(design.names, indent=2) + "\n"
    for path, text in contents.items():
        files.write_text(path, text)
    return list(contents)
