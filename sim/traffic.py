"""Which banks vector operations and moves want, from a point of their way on: bit i of a mask is
bank i."""

from math import prod

import numpy as np

from isa.config import LANES, Config
from isa.formats import FORMATS, FormatCode
from isa.registers import (
    VECTOR_LOOPS,
    VECTOR_OUTPUTS,
    Reduce,
)
from sim.registers import Registers, used_inputs, vector_counts

BEHIND = 17  # groups that the outputs of the vector unit are behind its inputs
SLACK = 8  # words of a port beyond those of the cycles that are walked


class Stream:
    """The banks of an affine stream, item by item in loop order.

    Parameters
    ----------
    steps : by field (stride, and with a window dy and dx) and loop
    loops : loops and their counts, outermost first
    base : address of the first item
    size : consecutive words of an item
    window : where the first item is in it; what lies outside wants no bank
    """

    def __init__(self, config: Config, steps: dict[str, dict[str, int]], loops: dict[str, int],
                 base: int, size: int = 1, window: dict[str, int] | None = None):
        self.banks, self.base, self.size, self.bounds = config.banks, base, size, window
        self.shape = tuple(loops.values())
        self.items = prod(self.shape)
        self.steps = {field: np.array([of[loop] for loop in loops]) for field, of in steps.items()}

    def masks(self, first: int, items: int) -> list[int]:
        """Of the words of so many items from item `first` on, as far as there are any."""
        numbers = np.arange(max(0, first), min(first + items, self.items))
        if not numbers.size:
            return []
        places = np.stack(np.unravel_index(numbers, self.shape), axis=-1)
        address = self.base + places @ self.steps["stride"]
        banks = ((address[:, np.newaxis] + np.arange(self.size)) % self.banks).ravel().tolist()
        if not self.bounds:
            return [1 << bank for bank in banks]
        row = self.bounds["y"] + places @ self.steps["dy"]
        column = self.bounds["x"] + places @ self.steps["dx"]
        inside = ((row >= 0) & (row < self.bounds["height"])
                  & (column >= 0) & (column < self.bounds["width"]))
        return [inner << bank for bank, inner in zip(
            banks, np.repeat(inside, self.size).astype(int).tolist(), strict=True)]


class VectorTraffic:
    """Inputs and outputs of each datapath, in words.

    Members
    -------
    datapaths : that are at work
    interval, turn : cycles of a group that nothing holds up, and those of them in the converter
    """

    def __init__(self, config: Config, registers: Registers, cycles: int):
        self.config, self.registers = config, registers
        self.counts = vector_counts(registers)
        split = registers["vector.outer"].get("split", 0)
        self.split = VECTOR_LOOPS[split - 1] if split else None
        rounds = self.counts[self.split] if split else 1
        self.datapaths = min(config.vector_datapaths, rounds)
        reduce = registers["vector.op"]["reduce"]
        self.sources = [(name, FORMATS[registers["vector.inputs"][name]].group_words)
                        for name in used_inputs(registers)]
        enabled = [] if reduce != Reduce.NONE else [
            (name, mode["format"]) for name in VECTOR_OUTPUTS
            if (mode := registers[f"vector.{name}.mode"])["enable"]]
        self.results = [(name, FORMATS[code].group_words) for name, code in enabled]
        self.turn = max(1, sum(size for (_, size), (_, code) in zip(
            self.results, enabled, strict=True) if code != FormatCode.BINARY32))
        self.interval = max(self.turn, *(size for _, size in (*self.sources, *self.results)), 1)

    def inputs(self, done: float, path: int, cycles: int) -> list[tuple[list[int], int]]:
        """Masks of the words of each input from share `done` on, and its words a group."""
        return [self._port(name, size, done, path, cycles) for name, size in self.sources]

    def outputs(self, done: float, path: int, cycles: int) -> list[tuple[list[int], int]]:
        """The same of each output."""
        return [self._port(name, size, done, path, cycles, BEHIND) for name, size in self.results]

    def _port(self, name: str, size: int, done: float, path: int, cycles: int,
              behind: int = 0):
        counts, base = dict(self.counts), self.registers[f"vector.{name}.base"]["address"]
        steps: dict[str, int] = {}
        for low in range(0, len(VECTOR_LOOPS), 2):
            steps |= self.registers[f"vector.{name}.n{low}{low + 1}"]
        if self.split:
            base += path * steps[self.split]
            counts[self.split] = len(range(path, counts[self.split], self.datapaths))
            steps[self.split] *= self.datapaths
        loops = {loop: counts[loop] for loop in VECTOR_LOOPS[::-1]}
        stream = Stream(self.config, {"stride": steps}, loops, base, size)
        masks = stream.masks(max(0, int(done * stream.items) - behind),
                             -(-cycles // size) + SLACK)
        return masks + [0] * (cycles + SLACK * LANES - len(masks)), size


class MoveTraffic:
    """The words of a move, a beat at a time.

    Members
    -------
    stores : it reads the scratchpad
    pace : beats in a cycle, alone
    """

    def __init__(self, config: Config, registers: Registers, cycles: int):
        counts = registers["move.counts"]
        self.lanes, self.stores = config.axi_words, bool(registers["move.mode"]["store"])
        steps = {loop: registers[f"move.scratchpad.{loop}"]["stride"] for loop in ("n1", "n2")}
        loops = {"n2": counts["n2"], "n1": counts["n1"], "beat": -(-counts["words"] // self.lanes)}
        self.stream = Stream(config, {"stride": steps | {"beat": self.lanes}}, loops,
                             registers["move.scratchpad.base"]["address"], self.lanes)
        self.pace = min(1.0, self.stream.items / cycles)

    def beats(self, done: float, cycles: int) -> list[int]:
        """The banks of each beat from share `done` on."""
        masks = self.stream.masks(int(done * self.stream.items), cycles + SLACK)
        return [sum(masks[i:i + self.lanes]) for i in range(0, len(masks), self.lanes)] or [0]
