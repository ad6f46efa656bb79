"""Verilog bodies of the memories, for simulation and FPGA; see `verilog_files`."""

from pathlib import Path


def verilog_files() -> tuple[Path, ...]:
    """The body files that belong to any emitted Verilog, sorted by name."""
    return tuple(sorted(Path(__file__).parent.glob("*.v")))
