"""Verilog bodies for simulation and FPGA of what flows replace with their own: memories and clock
gates."""

from pathlib import Path


def verilog_files() -> tuple[Path, ...]:
    """The body files that belong to any emitted Verilog, sorted by name."""
    return tuple(sorted(Path(__file__).parent.glob("*.v")))
