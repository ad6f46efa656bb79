"""Which banks an operation wants, from a point of its way on: bit i of a mask is bank i."""

from math import prod

import numpy as np

from isa.config import LANES, TREES, Config
from isa.formats import FORMATS, FormatCode
from isa.registers import (
    BLOCKS,
    POSITIONS,
    REDUCTION,
    ROWS,
    VECTOR_LOOPS,
    VECTOR_OUTPUTS,
    AuxMode,
    Reduce,
    StatsMode,
)
from sim.registers import Registers, used_inputs, vector_counts

BEHIND = 17  # groups that the outputs of the vector unit are behind its inputs
SLACK = 8  # words of a port beyond those of the cycles that are walked


class _Stream:
    """The banks of an affine stream, item by item in loop order.

    Parameters
    ----------
    prefix : of the registers with its strides
    loops : loops and their counts, outermost first
    base : address of the first item
    size : consecutive words of an item
    """

    def __init__(self, config: Config, steps: dict[str, dict], loops: dict[str, int], base: int,
                 size: int = 1, window: dict | None = None):
        self.banks, self.base, self.size, self.bounds = config.banks, base, size, window
        self.shape = tuple(loops.values())
        self.items = prod(self.shape)
        self.steps = {field: np.array([steps.get(loop, {}).get(field, 0) for loop in loops])
                      for field in (("stride", "dy", "dx") if window else ("stride",))}

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


def _steps(registers: Registers, prefix: str, loops) -> dict[str, dict]:
    return {loop: registers.get(f"{prefix}.{loop}", {}) for loop in loops}


class TensorTraffic:
    """Streams and tiles, block by block, and the drain of a block beside the next one."""

    def __init__(self, config: Config, registers: Registers, cycles: int):
        positions = registers["tensor.positions"]
        counts = {name: positions[name] for name in (*POSITIONS, *ROWS)}
        counts |= registers["tensor.reduction"] | registers["tensor.blocks"]
        groups, merge = (registers["tensor.groups"][name] for name in ("groups", "merge"))
        self.cycles = cycles
        self.positions = prod(counts[p] for p in POSITIONS)
        self.passes = prod(counts[r] for r in REDUCTION)
        self.blocks = prod(counts[b] for b in BLOCKS)
        # A block is fed at once and waits for the drain, unless it takes all its time.
        self.pace = max(self.positions / max(self.positions, TREES),
                        min(1.0, self.positions * self.passes * self.blocks / cycles))

        def stream(name: str, order, fixed: dict[str, int], base: str | None = None,
                   size: int = 1, bounds: str | None = None):
            steps = _steps(registers, f"tensor.{name}", (*order, *fixed))
            start = registers[f"tensor.{base or name}.base"]["address"] + sum(
                steps[loop].get("stride", 0) * place for loop, place in fixed.items())
            window = registers.get(f"tensor.{bounds or name}.window")
            if window:
                here = steps if (bounds or name) == name else _steps(
                    registers, f"tensor.{bounds}", (*order, *fixed))
                steps = {loop: steps[loop] | {f: here[loop].get(f, 0) for f in ("dy", "dx")}
                         for loop in steps}
                window = window | {a: window[a] + sum(
                    here[loop].get(f"d{a}", 0) * place for loop, place in fixed.items())
                    for a in "yx"}
            return _Stream(config, steps, {loop: every[loop] for loop in order}, start, size,
                           window)

        every = counts | {"group": 1 if merge else groups, "core": positions["cores"]}
        outer = (*BLOCKS[::-1], *REDUCTION[::-1])
        self.streams = [stream("stream", (*outer, *POSITIONS[::-1]), {"group": g})
                        for g in range(groups)]
        self.tiles = [stream("stationary", (*outer, *ROWS[::-1]), {"group": g, "core": c})
                      for g in range(groups) for c in range(positions["cores"])]
        order = (*BLOCKS[::-1], "group", "core", *POSITIONS[::-1])
        mode = registers["tensor.mode"]
        output = FormatCode(mode["output"])
        size = {FormatCode.BINARY32: 4, FormatCode.RAW: config.raw_words}.get(output, 1)
        self.written = [stream("output", order, {}, size=size)]
        self.read = []
        if mode["aux"]:
            raw = mode["aux"] == AuxMode.RAW
            self.read.append(stream("aux" if raw else "output", order, {}, "aux",
                                    config.raw_words if raw else 1, "output"))
        for name, used in (("mask", mode["mask"]), ("norm", mode["stats"] == StatsMode.NORM)):
            if used:
                self.read.append(stream("aux", order, {}, name, 1, "output"))
        self.drained = prod(every[loop] for loop in ("group", "core", *POSITIONS))
        self.hold = max(size, sum(s.size for s in self.read))

    def mark(self, done: float, reads: list[int], writes: list[int]) -> None:
        """Enter what is wanted in the cycles from share `done` on."""
        block, number = self.cycles / self.blocks, int(done * self.blocks)
        self.late = [0] * len(self.streams)  # cycles that a stream is behind one it met
        while (start := (number - done * self.blocks) * block) < len(reads):
            self._feed(number, start, reads)
            self._drain(number - 1, start, block / self.drained, reads, writes)
            number += 1

    def _feed(self, number: int, start: float, reads: list[int]) -> None:
        """The words of a block, and beside each pass the tile of the next one."""
        length, words = len(reads), self.passes * self.positions
        skipped = max(0, int(-start * self.pace))
        items = min(words - skipped, int(length * self.pace) + 1)
        for n, stream in enumerate(self.streams):
            for i, mask in enumerate(stream.masks(number * words + skipped, items)):
                cycle = int(start + (skipped + i) / self.pace) + self.late[n]
                moved = _enter(reads, cycle, mask)
                self.late[n] += moved - cycle
        for present in range(self.passes):
            begins = int(start + present * self.positions / self.pace)
            if -TREES < begins < length:
                following = number * self.passes + present + 1
                for tile in self.tiles:
                    cycle = begins
                    for mask in tile.masks(following * TREES, TREES):
                        cycle = _enter(reads, cycle, mask) + 1

    def _drain(self, number: int, start: float, most: float, reads: list[int],
               writes: list[int]) -> None:
        """The positions of a block, one after the other, beside the feed of the next block."""
        each, length = min(self.hold, most), len(reads)
        skipped = max(0, int(-start / each))
        items = min(self.drained - skipped, int((length - start) / each) - skipped + 1)
        if number < 0 or items <= 0:
            return
        for streams, used in ((self.read, reads), (self.written, writes)):
            offset = 0
            for stream in streams:
                masks = stream.masks(number * self.drained + skipped, items)
                for i, mask in enumerate(masks):
                    item, word = divmod(i, stream.size)
                    cycle = int(start + (skipped + item) * each) + offset + word
                    if 0 <= cycle < length:
                        used[cycle] |= mask
                offset += stream.size


def _enter(used: list[int], cycle: int, mask: int) -> int:
    """The cycle, from `cycle` on, in which a word gets its bank; cycles before the first one have
    room for all."""
    while 0 <= cycle < len(used) and used[cycle] & mask:
        cycle += 1
    if 0 <= cycle < len(used):
        used[cycle] |= mask
    return cycle


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
        steps = {}
        for low in range(0, len(VECTOR_LOOPS), 2):
            for loop, stride in self.registers[f"vector.{name}.n{low}{low + 1}"].items():
                steps[loop] = {"stride": stride}
        if self.split:
            base += path * steps[self.split]["stride"]
            counts[self.split] = len(range(path, counts[self.split], self.datapaths))
            steps[self.split] = {"stride": steps[self.split]["stride"] * self.datapaths}
        stream = _Stream(self.config, steps, {loop: counts[loop] for loop in VECTOR_LOOPS[::-1]},
                         base, size)
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
        steps = {loop: registers[f"move.scratchpad.{loop}"] for loop in ("n1", "n2")}
        self.run = -(-counts["words"] // self.lanes)
        self.stream = _Stream(config, steps | {"beat": {"stride": self.lanes}}, {
            "n2": counts["n2"], "n1": counts["n1"], "beat": self.run},
            registers["move.scratchpad.base"]["address"], self.lanes)
        self.pace = min(1.0, self.stream.items / cycles)

    def beats(self, done: float, cycles: int) -> list[int]:
        """The banks of each beat from share `done` on."""
        masks = self.stream.masks(int(done * self.stream.items), cycles + SLACK)
        return [sum(masks[i:i + self.lanes]) for i in range(0, len(masks), self.lanes)] or [0]
