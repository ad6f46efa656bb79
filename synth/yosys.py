"""Yosys, from the Python package pyosys, in processes of their own."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from synth.errors import SynthesisError

_LAST_LINES = 15


def require() -> None:
    """`SynthesisError` where there is no Yosys."""
    if find_spec("pyosys") is None:
        raise SynthesisError("Yosys is missing: `make setup` installs it (Python package pyosys)")


def version() -> str:
    """What identifies Yosys in the key of a result."""
    from importlib.metadata import version

    require()
    return version("pyosys")


def run(commands: list[str], directory: Path) -> None:
    """Runs `commands` in `directory`; progress goes to stderr."""
    run_all({"run": commands}, directory)


def run_all(scripts: dict[str, list[str]], directory: Path) -> None:
    """Runs scripts, by name, in `directory`, at the same time; progress goes to stderr.

    Raises
    ------
    SynthesisError : Yosys is missing, or one failed; the others are then stopped
    """
    require()
    running, failed = {}, None
    try:
        for name, commands in scripts.items():
            script = directory / f"{name}.ys"
            script.write_text("\n".join(commands) + "\n")
            with open(directory / f"{name}.log", "w") as out:
                running[name] = subprocess.Popen(
                    [sys.executable, "-m", "synth.worker", str(script.resolve()), name],
                    cwd=directory, stdout=out, env=_environment())
        for name, process in running.items():
            if process.wait():
                failed = name
                break
    finally:
        for process in running.values():
            if process.poll() is None:
                process.kill()
                process.wait()
    if failed:
        said = (directory / f"{failed}.log").read_text(errors="replace").splitlines()
        raise SynthesisError("Yosys failed:\n" + "\n".join(said[-_LAST_LINES:]))


def _environment() -> dict[str, str]:
    """The present environment, in which this very package is found."""
    import os

    root = str(Path(__file__).resolve().parents[1])
    return os.environ | {"PYTHONPATH": os.pathsep.join(
        part for part in (root, os.environ.get("PYTHONPATH")) if part)}
