"""From an Amaranth component to Verilog, the only file that does it.

Amaranth emits a module for every instance. Modules of equal bodies are merged in RTLIL before the
conversion: the Verilog is several times smaller, and so are its synthesis and simulation builds.
"""

import gc
import hashlib
import re
from contextlib import contextmanager
from dataclasses import dataclass

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil

from hdl.bodies import verilog_files

__all__ = ["Emitted", "emit", "emit_design", "merge_modules", "verilog_files"]

_MODULE = re.compile(r"(?ms)^((?:attribute [^\n]*\n)*)module \\(\S+)\n(.*?)^end$")
_CELL = re.compile(r"(?m)^(  cell \\)(\S+)( \\)(\S+)$")
_EMPTY = re.compile(r"(?m)^(?:(?:  attribute [^\n]*\n)*  wire width 0 \\\S+"
                    r"|connect \\\S+ \{ *\})\n")
_UNNAMED = re.compile(r"\\port\$\d+\$\d+")
_UNNAMED_PORT = re.compile(r"(?m)^  wire width \d+ \w+ (\d+)  (\\port\$\d+\$\d+)$")
_CONNECT = re.compile(r"(    connect )(\\\S+)( .*)")
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
    with _no_collection():
        text = rtlil.convert(component, name=name, emit_src=False)
    modules = merge_modules(_number_ports(_split(text)), name)
    verilog_names = _verilog_names(modules)
    text = "\n".join(
        f"module \\{verilog_names[module]}\n{_rename(body, verilog_names)}end\n"
        for module, body in modules.items())
    # No opt_expr at large: it breaks masks of whole words into bits, which simulates several times
    # slower. But operands of no bits must go, since Verilog has none: &{} is 1 and would become 0.
    script = [f"read_rtlil <<rtlil\n{text}\nrtlil", "proc -nomux -norom -noopt",
              "opt_expr r:A_WIDTH=0 r:B_WIDTH=0 %u", "memory_collect"]
    removed = " ".join(f"-remove {attribute}" for attribute in _ATTRIBUTES)
    script += [f"attrmap {removed}", f"attrmap -modattr {removed}", "write_verilog -norename"]
    yosys = find_yosys(lambda version: version >= (0, 40))
    verilog = yosys.run(["-q", "-"], "\n".join(script), ignore_warnings=True)
    names = {path: verilog_names[module] for path, module in _instances(modules, name)}
    return Emitted(verilog, name, names)


@contextmanager
def _no_collection():
    """Without garbage collection: an elaboration keeps nearly all that it makes, and looking for
    what it does not keep takes a third of its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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


def _number_ports(modules: dict[str, str]) -> dict[str, str]:
    """`modules` with unnamed ports named by their number: Amaranth names them by the net that they
    carry, so modules that are equal would not look it."""
    ports = {module: {old: f"\\port${number}" for number, old in _UNNAMED_PORT.findall(body)}
             for module, body in modules.items()}

    def numbered(module, body):
        own, of_cell = ports[module], {}
        for line in body.splitlines(keepends=True):
            cell = _CELL.match(line)
            if cell:
                of_cell = ports.get(cell[2], {})
            elif line == "  end\n":
                of_cell = {}
            connect = _CONNECT.match(line) if of_cell else None
            key, rest = ("", line) if connect is None else (
                connect[1] + of_cell.get(connect[2], connect[2]), connect[3] + "\n")
            yield key + _UNNAMED.sub(lambda m: own.get(m[0], m[0]), rest)

    return {module: "".join(numbered(module, body)) for module, body in modules.items()}


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
