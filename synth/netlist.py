"""A mapped netlist: one Verilog module of cells and nets of one bit."""

import re
from dataclasses import dataclass

from synth.errors import SynthesisError

CONSTANTS = {"1'h0": 0, "1'h1": 1, "1'b0": 0, "1'b1": 1, "1'hx": 0, "1'bx": 0}
_INSTANCE = re.compile(r"(?m)^  (\S+) (\S+ *) \(\n((?:    \.[^\n]+\n)+)  \);$")
_PIN = re.compile(r"\.(\w+)\(([^{}()]*)\)")
_WIDE = re.compile(r"\.(\w+)\(\{([^{}]*)\}\)")
_PORT = re.compile(r"(?m)^  (input|output) ([^\[\];\n]+|\\[^;\n]+);$")
_ASSIGN = re.compile(r"(?m)^  assign (\S+) +=\s*(\S+) *;$")


@dataclass(frozen=True)
class Cell:
    """An instance. `pins` gives the net of each pin; of a black box with wider pins the net of
    `pin[bit]`."""

    kind: str
    name: str
    pins: dict[str, str]


@dataclass(frozen=True)
class Netlist:
    """A module. Names are without the backslash of Verilog; a net may be in `CONSTANTS`.

    Attributes
    ----------
    inputs, outputs : ports, each a net
    cells : instances
    same : nets that are others, as (net, what it is)
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    cells: tuple[Cell, ...]
    same: tuple[tuple[str, str], ...]


def read(text: str, top: str) -> Netlist:
    """The module `top` in Verilog as Yosys writes it, a pin a line.

    Raises
    ------
    SynthesisError : it is not there, or something in it could not be read
    """
    begin = text.find(f"\nmodule {top}(")
    if begin < 0:
        raise SynthesisError(f"the netlist has no module {top}")
    body = text[begin:text.index("\nendmodule", begin)]
    ports = [(way, _net(name)) for way, name in _PORT.findall(body)]
    cells = tuple(Cell(kind, _net(name), _pins(pins))
                  for kind, name, pins in _INSTANCE.findall(body))
    count = len(re.findall(r"(?m)^  \);$", body))
    same = tuple((_net(a), _net(b)) for a, b in _ASSIGN.findall(body))
    if not cells or len(cells) != count or len(same) != body.count("\n  assign "):
        raise SynthesisError(f"the netlist of {top} has {count} instances and "
                             f"{body.count('assign ')} assignments; {len(cells)} and {len(same)} "
                             "could be read")
    return Netlist(tuple(name for way, name in ports if way == "input"),
                   tuple(name for way, name in ports if way == "output"), cells, same)


def _net(name: str) -> str:
    return name.strip().removeprefix("\\").strip()


def _pins(text: str) -> dict[str, str]:
    pins = {pin: _net(net) for pin, net in _PIN.findall(text) if net.strip()}
    for pin, nets in _WIDE.findall(text):
        bits = [_net(net) for net in nets.split(",")]
        pins |= {f"{pin}[{bit}]": net for bit, net in enumerate(reversed(bits))}
    return pins
