"""Cells of a design, counted through the hierarchy of its modules."""

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache

from synth.memories import CLOCK_GATE, Memory

_FLIP_FLOP = re.compile(r"\$_(S|A|AL)?DFFS?R?(CE|E)?_|\$_DLATCH")


@dataclass(frozen=True)
class Module:
    """One mapped module: its cells by type, submodules among them."""

    cells: dict[str, int]

    @staticmethod
    def of_stat(stat: dict) -> "Module":
        """From what Yosys' `stat -json` says of a module."""
        return Module({kind.removeprefix("\\"): count
                       for kind, count in stat["num_cells_by_type"].items()
                       if kind != "$scopeinfo"})


@dataclass(frozen=True)
class Total:
    """Cells of a part of the design and all below it.

    Attributes
    ----------
    cells : by type, without memories and clock gates
    memories : instances, by shape
    clock_gates : instances
    """

    cells: Counter = field(default_factory=Counter)
    memories: Counter = field(default_factory=Counter)
    clock_gates: int = 0

    def area(self, areas: dict[str, float]) -> float:
        """Of the cells, whose areas are given by type."""
        return sum(areas[kind] * count for kind, count in self.cells.items())

    def bits(self, kind: str) -> int:
        """Bits in memories of a kind, sram or regfile."""
        return sum(memory.bits * count for memory, count in self.memories.items()
                   if memory.kind == kind)


class Hierarchy:
    """The modules of a design.

    Parameters
    ----------
    top : str
    modules : dict
        `Module` by name; register files are among them, SRAMs and clock gates are not.
    names : dict
        For each instance path its module; empty for a design of one module.
    whole : bool
        The cells of memories and clock gates count as any others.
    """

    def __init__(self, top: str, modules: dict[str, Module], names: dict[str, str], *,
                 whole: bool = False):
        self.top = top
        self.modules = modules
        self.names = names or {top: top}
        self.whole = whole
        self.total = cache(self._total)

    def _total(self, name: str) -> Total:
        """All of the module `name` and below."""
        cells, memories, gates = Counter(), Counter(), 0
        module = self.modules.get(name, Module({}))  # a module of wires only has no cells
        for kind, count in module.cells.items():
            memory, gate = Memory.of(kind), kind == CLOCK_GATE
            if memory:
                memories[memory] += count
            gates += count * gate
            if (memory or gate) and not self.whole:
                continue
            if kind in self.modules:
                below = self.total(kind)
                for counts, more in ((cells, below.cells), (memories, below.memories)):
                    for each, number in more.items():
                        counts[each] += number * count
                gates += below.clock_gates * count
            elif not (memory or gate or kind in self._empty):
                cells[kind] += count
        return Total(cells, memories, gates)

    @property
    def _empty(self) -> set[str]:
        """Modules that have nothing in them."""
        return set(self.names.values()) - set(self.modules)

    def register_files(self, total: Total) -> Total:
        """What the register files of `total` are as flip-flops."""
        cells = Counter()
        for memory, count in total.memories.items():
            if memory.kind == "regfile":
                body = self.total(memory.module)
                for kind, number in body.cells.items():
                    cells[kind] += number * count
        return Total(cells)

    def children(self, path: str) -> list[str]:
        """Paths of the instances right below `path`."""
        return [name for name in self.names
                if name.startswith(path + ".") and "." not in name[len(path) + 1:]]


def flip_flops(cells: Counter, kinds: set[str] = frozenset()) -> int:
    """How many of `cells` are flip-flops or latches, generic or of the library's `kinds`."""
    return sum(count for kind, count in cells.items() if kind in kinds or _FLIP_FLOP.match(kind))
