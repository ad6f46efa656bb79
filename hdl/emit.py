"""From an Amaranth component to Verilog, the only file that does it.

Amaranth emits a module for every instance. Modules of equal bodies are merged in RTLIL before the
conversion: the Verilog is several times smaller, and so are its synthesis and simulation builds.
"""

import hashlib
import re
from dataclasses import dataclass

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil

from hdl.memory.bodies import verilog_files

__all__ = ["Emitted", "emit", "emit_design", "merge_modules", "verilog_files"]

_MODULE = re.compile(r"(?ms)^((?:attribute [^\n]*\n)*)module \\(\S+)\n(.*?)^end$")
_CELL = re.compile(r"(?m)^(  cell \\)(\S+)( \\)(\S+)$")
_EMPTY = re.compile(r"(?m)^(?:(?:  attribute [^\n]*\n)*  wire width 0 \\\S+"
                    r"|connect \\\S+ \{ *\})\n")
_ATTRIBUTES = "generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding"


@dataclass(frozen=True)
class Emitted:
    """Verilog and where it comes from.

    Attributes
    ----------
    verilog : str
        The text; memories are instances of the modules in `verilog_files()`.
    top : str
        Name of the top module.
    names : dict
        For each instance path (submodule names joined by dots, the top first) its module.
    """

    verilog: str
    top: str
    names: dict[str, str]


def emit(component, name: str) -> str:
    """The Verilog of `component` as a top module called `name`.

    Ports are named by their path in the signature, joined by two underscores; a struct or an array
    of a layout is one packed port.
    """
    return emit_design(component, name).verilog


def emit_design(component, name: str) -> Emitted:
    """As `emit`, with the map from instance paths to modules."""
    modules = merge_modules(_split(rtlil.convert(component, name=name, emit_src=False)), name)
    verilog_names = _verilog_names(modules)
    text = "\n".join(
        f"module \\{verilog_names[module]}\n{_rename(body, verilog_names)}end\n"
        for module, body in modules.items())
    script = [f"read_rtlil <<rtlil\n{text}\nrtlil", "proc -nomux -norom", "memory_collect"]
    removed = " ".join(f"-remove {attribute}" for attribute in _ATTRIBUTES)
    script += [f"attrmap {removed}", f"attrmap -modattr {removed}", "write_verilog -norename"]
    yosys = find_yosys(lambda version: version >= (0, 40))
    verilog = yosys.run(["-q", "-"], "\n".join(script), ignore_warnings=True)
    names = {path: verilog_names[module] for path, module in _instances(modules, name)}
    return Emitted(verilog, name, names)


def merge_modules(modules: dict[str, str], top: str) -> dict[str, str]:
    """`modules` (RTLIL bodies by name) with those of equal bodies made one, and no unused ones.

    Merging two modules can make the bodies of their parents equal, so it repeats until nothing
    changes.
    """
    while True:
        first, same = {}, {}
        for module, body in modules.items():
            digest = hashlib.sha256(body.encode()).digest()
            same[module] = module if module == top else first.setdefault(digest, module)
        modules = {module: _rename(body, same)
                   for module, body in modules.items() if same[module] == module}
        if all(module == kept for module, kept in same.items()):
            return modules


def _split(text: str) -> dict[str, str]:
    """RTLIL bodies by module name, in order; wires of no bits, which Verilog has not, left out."""
    return {name: _EMPTY.sub("", body) for _, name, body in _MODULE.findall(text)}


def _rename(body: str, names: dict[str, str]) -> str:
    """`body` with the types of its cells renamed; types not in `names` (bodies) stay."""
    return _CELL.sub(lambda m: m[1] + names.get(m[2], m[2]) + m[3] + m[4], body)


def _verilog_names(modules: dict[str, str]) -> dict[str, str]:
    """A plain Verilog identifier for each module, made of its first instance's path."""
    names, taken = {}, set()
    for module in modules:
        plain = re.sub(r"\W", "_", module)
        name, number = plain, 1
        while name in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(name)
        names[module] = name
    return names


def _instances(modules, module, path=None):
    """(path, module) of `module` and everything below it."""
    path = path or module
    yield path, module
    for _, kind, _, instance in _CELL.findall(modules[module]):
        if kind in modules:
            yield from _instances(modules, kind, f"{path}.{instance}")
