"""Buffers on nets that drive many cells, as trees, in a netlist that is mapped to a library.

Mapping goes module by module and knows no load outside of a module, so that a net into many of them
(an address, an enable) would be as slow as it is wide.
"""

import re
from collections import defaultdict
from dataclasses import dataclass

MOST = 16  # cells that a net drives
_INSTANCE = re.compile(r"(?m)^  (\S+) (\S+ *) \(\n((?:    \.[^\n]+\n)+)  \);$")
_PIN = re.compile(r"\.(\w+)\(([^{}()]+)\)")


@dataclass(frozen=True)
class Buffer:
    """A buffer of the library and its pins."""

    cell: str
    input: str
    output: str


def buffered(netlist: str, buffer: Buffer, outputs: dict[str, set[str]],
             clock: str = "clk") -> tuple[str, int]:
    """`netlist` with no net but the clock that drives more than `MOST` pins, and the number of
    buffers that it took.

    Parameters
    ----------
    netlist : Verilog of one module, a pin a line, nets of one bit
    outputs : for each cell of the library its output pins; cells that are not in it keep their nets
    """
    sinks = defaultdict(int)
    for found in _INSTANCE.finditer(netlist):
        for pin, net in _PIN.findall(found[3]):
            if found[1] in outputs and pin not in outputs[found[1]]:
                sinks[net.strip()] += 1
    trees = {net: _tree(f"fanout_{number}", net, count)
             for number, (net, count) in enumerate(sinks.items())
             if count > MOST and net != clock and "'" not in net}
    position = defaultdict(int)

    def rewired(found):
        if found[1] not in outputs:
            return found[0]

        def moved(pin):
            net = pin[2].strip()
            if net not in trees or pin[1] in outputs[found[1]]:
                return pin[0]
            position[net] += 1
            return f".{pin[1]}({trees[net][0][(position[net] - 1) // MOST]})"

        return f"  {found[1]} {found[2]} (\n{_PIN.sub(moved, found[3])}  );"

    text = _INSTANCE.sub(rewired, netlist)
    added = [each for _, buffers in trees.values() for each in buffers]
    lines = [f"  wire {name};\n  {buffer.cell} {name}_buffer (\n    .{buffer.input}({driver} ),\n"
             f"    .{buffer.output}({name})\n  );\n" for name, driver in added]
    end = text.rindex("endmodule")
    return text[:end] + "".join(lines) + text[end:], len(added)


def _tree(name: str, net: str, count: int) -> tuple[list[str], list[tuple[str, str]]]:
    """The nets that drive `count` pins, `MOST` each, and all buffers as (net, what drives it)."""
    leaves = [f"{name}_0_{i}" for i in range(-(-count // MOST))]
    level, buffers, above = leaves, [], 0
    while len(level) > MOST:
        above += 1
        higher = [f"{name}_{above}_{i}" for i in range(-(-len(level) // MOST))]
        buffers += [(each, higher[i // MOST]) for i, each in enumerate(level)]
        level = higher
    return leaves, buffers + [(each, net) for each in level]
