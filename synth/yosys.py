"""Yosys, from the Python package pyosys, in a process of its own."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path


class SynthesisError(RuntimeError):
    """Yosys is missing or failed. The message says how to get it, or the end of what it said."""


def run(commands: list[str], directory: Path) -> None:
    """Runs `commands` in `directory`; progress goes to stderr."""
    if find_spec("pyosys") is None:
        raise SynthesisError("Yosys is missing: `make setup` installs it (Python package pyosys)")
    script, log = directory / "run.ys", directory / "run.log"
    script.write_text("\n".join(commands) + "\n")
    with open(log, "w") as out:
        done = subprocess.run([sys.executable, "-m", "synth.worker", str(script.resolve())],
                              cwd=directory, stdout=out)
    if done.returncode:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise SynthesisError(f"Yosys failed:\n{end}")
