"""Builds the shared library of a Verilated chip and the harness."""

import ctypes
import re
from pathlib import Path

from hdl.emit import Emitted, emit_design, verilog_files
from verif import build

HARNESS = Path(__file__).with_name("harness.cpp")
TOP = Path(__file__).with_name("top.v")
LINT = Path(__file__).parents[1] / "lint.vlt"

_ARGUMENTS = ["--cc", "--exe", "-O3", "--x-assign", "fast", "--x-initial", "unique", "--no-assert",
              "--no-timing", "--prefix", "Vchip", "--top-module", "simulation_top",
              "--output-split", "40000", "-LDFLAGS", "-shared"]
_FLAGS = {"OPT_FAST": "-O2", "OPT_SLOW": "-O0", "OPT_GLOBAL": "-O2",
          "USER_CPPFLAGS": "-fPIC -fno-strict-aliasing"}
_NAME = "libchip.so"
_MANY = 4  # instances of a module that share code, where it is long
_LONG = 15_000  # characters of Verilog, with what is inside


def library(component, name: str, *, waves: bool = False, chip: bool = False) -> Path:
    """The path of the library of `component`, which has the top ports of the chip.

    Parameters
    ----------
    component : wiring.Component
        The chip, or something with its ports; those of its bus say what a beat is.
    name : str
        Of the directory under build/simulation.
    waves : bool
        With the means to write waves; slower.
    chip : bool
        It is a chip, whose units say when they are busy.
    """
    design = emit_design(component, "chip")
    words = component.signature.members["axi"].signature.words
    key = build.digest([design.verilog, *verilog_files(), LINT, HARNESS, TOP, build.version(),
                        repr((_ARGUMENTS, _FLAGS, words, waves, chip))])

    def make(directory: Path) -> None:
        source = directory / "chip.v"
        source.write_text(design.verilog)
        shared = directory / "shared.vlt"
        shared.write_text(_shared(design))
        build.execute([build.verilator(), *_ARGUMENTS, *(["--trace"] if waves else []),
                       *(["-DCHIP"] if chip else []), f"-DAXI_WORDS={words}",
                       "-CFLAGS", f"-DAXI_WORDS={words}",
                       "--Mdir", str(directory), "-o", _NAME, str(LINT), str(shared),
                       *map(str, verilog_files()), str(source), str(TOP), str(HARNESS)], directory)
        build.make(directory, "Vchip.mk", _FLAGS)

    return build.cached("simulation", name, key, make) / _NAME


def _shared(design: Emitted) -> str:
    """A .vlt file that keeps long modules of many instances, such as trees and lanes, apart.

    Verilator would copy them into one function: that is slower to build and to run.
    """
    texts = {text.split("(", 1)[0].strip(): text
             for text in re.split(r"(?m)^module ", design.verilog)[1:]}
    paths = {}
    for path, module in design.names.items():
        paths.setdefault(module, []).append(path)
    chosen = []
    for instances in paths.values():
        inside = [m for path, m in design.names.items()
                  if path == instances[0] or path.startswith(instances[0] + ".")]
        many = len(instances) >= _MANY and sum(len(texts[m]) for m in inside) >= _LONG
        within = any(path.startswith(outer + ".") for path in instances for outer in chosen)
        if many and not within:
            chosen += instances
    modules = sorted({design.names[path] for path in chosen})
    return "`verilator_config\n" + "".join(f'no_inline -module "{m}"\n' for m in modules)


def load(path: Path) -> ctypes.CDLL:
    """The library with the types of its functions."""
    chip = ctypes.CDLL(str(path))
    u64, u32, handle = ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p
    for function, result, arguments in (
        ("open", handle, (u64, u64, u64, u32, ctypes.c_char_p, u64, u64)),
        ("close", None, (handle,)),
        ("memory", ctypes.POINTER(ctypes.c_uint8), (handle,)),
        ("cycles", u64, (handle,)),
        ("error", ctypes.c_char_p, (handle,)),
        ("fail_range", None, (handle, u64, u64)),
        ("trace_units", None, (handle,)),
        ("spans", u64, (handle, ctypes.c_int, ctypes.POINTER(ctypes.POINTER(u64)))),
        ("read", ctypes.c_int, (handle, u32, ctypes.POINTER(u32))),
        ("write", ctypes.c_int, (handle, u32, u32)),
        ("run", ctypes.c_int, (handle, u64)),
    ):
        entry = getattr(chip, f"simulation_{function}")
        entry.restype = result
        entry.argtypes = arguments
    return chip
