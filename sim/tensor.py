"""The tensor operation, by its definition in docs/architecture.md."""

from math import prod

import numpy as np

from isa.config import LANES, MODES, TREES, Config
from isa.formats import E4M3, E5M2, FormatCode
from isa.memmap import Trap
from isa.registers import BLOCKS, POSITIONS, REDUCTION, ROWS, AuxMode, StatsMode
from sim import gating, operands, skipping
from sim.drain import Drain, Places, factors
from sim.gating import Gating
from sim.loops import Items, element_numbers, nest
from sim.operands import Operand
from sim.outcome import Outcome, TrapError, require
from sim.registers import Registers
from sim.skipping import OUTER, Skipping

LEFT_OUT_LIMIT = 1 << 46  # multiply-adds of an operation that is left out are counted modulo this


def execute(config: Config, registers: Registers, words: np.ndarray) -> Outcome:
    """Run one operation on the scratchpad `words` (uint64), which it changes.

    A trap is reported in the outcome; nothing is written then.
    """
    try:
        return Operation(config, registers).run(words, registers["tensor.key"]["key"])
    except TrapError as trap:
        return Outcome(trap=trap.cause)


def left_out(registers: Registers) -> Outcome:
    """What an operation counts that is left out: the multiply-adds of all its loops."""
    positions, groups = registers["tensor.positions"], registers["tensor.groups"]["groups"]
    counts = [positions[loop] for loop in (*POSITIONS, "cores")]
    counts += [*registers["tensor.reduction"].values(), *registers["tensor.blocks"].values()]
    return Outcome(skipped_images=prod(counts) * groups * TREES * LANES % LEFT_OUT_LIMIT)


class Operation:
    """A tensor operation: everything that follows from its registers. It may run many times.

    `TrapError` where it may not run at all.
    """

    def __init__(self, config: Config, registers: Registers):
        self.config = config
        self.registers = registers
        self.mode = registers["tensor.mode"]
        counts = registers["tensor.positions"]
        self.counts = {loop: counts[loop] for loop in (*POSITIONS, *ROWS)}
        self.counts |= registers["tensor.reduction"] | registers["tensor.blocks"]
        self.counts["core"] = self.cores = counts["cores"]
        self.groups = registers["tensor.groups"]["groups"]
        self.merge = registers["tensor.groups"]["merge"]
        self.counts["group"] = self.groups
        self.drained = 1 if self.merge else self.groups  # groups at the drain
        self.positions = self._count(POSITIONS)
        self.blocks = self._count(BLOCKS)
        self.passes = self._count(REDUCTION)
        self.formats = [E5M2 if self.mode[s] else E4M3 for s in ("stationary", "stream")]
        self.output = FormatCode(self.mode["output"])
        self._check()
        # Each operand is read once for what it does not move with, so that one product covers
        # all blocks that share it: loops that move both are its batch.
        self.both, self.streamed, self.tiled = self._outer()
        self.reduction = (*(["group"] if self.merge else []), *REDUCTION[::-1])
        self.gating = Gating(config, registers, self.counts, self.both, self.streamed,
                             self.tiled) if self.mode["gate"] else None
        self.parts = self._parts(self._stream(), self._tiles())
        self.drain = Drain(config, registers, self._places())
        self.skipping = None
        if self.mode["skip"] or self.gating:
            self.skipping = Skipping(config, registers, self.counts, self.both, self.streamed,
                                     self.tiled, self.reduction, self.drain)

    def run(self, words: np.ndarray, key: int) -> Outcome:
        """Once, on the scratchpad `words`, which it changes; `key` is that of random bits."""
        outcome = Outcome(
            stream_words=self.blocks * self.groups * self.passes * self.positions)
        outcome.macs = outcome.stream_words * self.cores * TREES * LANES
        sums, poison = operands.product(*self.parts[0], words)
        gates = None
        if self.gating:
            gates = self.gating.gates(words, sums, poison)
        for part in self.parts[1:]:
            sums, poison = gating.joined(gates, sums, poison, *operands.product(*part, words))
        if self.skipping:
            self.skipping.count(words, outcome, gates)
        self.drain.run(words, self._by_block(sums),
                       None if poison is None else self._by_block(poison), outcome, key,
                       None if gates is None else self._by_block(gates)[..., 0])
        return outcome

    def _parts(self, stream: Operand, tiles: Operand) -> list[tuple[Operand, Operand]]:
        """The operands: all, or with a gate those of the base, and those of what it lets through.
        """
        if not self.gating:
            return [(stream, tiles)]
        base = self.passes // self.counts["r4"]
        parts = [slice(None, base), slice(base, None)][:self.counts["r4"]]
        return [(stream.of_passes(part), tiles.of_passes(part)) for part in parts]

    def _count(self, loops) -> int:
        """How often nested loops run together."""
        return prod(self.counts[loop] for loop in loops)

    def _check(self):
        mode, output = self.mode, self.output
        fp8 = output in (FormatCode.E4M3, FormatCode.E5M2)
        for holds in (
            all(self.counts.values()),
            self.cores * self.groups <= self.config.cores,
            self.groups == 1 or self.cores & (self.cores - 1) == 0,
            self.positions <= self.config.block,
            self.counts["q0"] * self.counts["q1"] == TREES,
            self.positions % 8 == 0 or not (mode["turn_stream"] or mode["turn_output"]),
            not mode["turn_output"] or (fp8 and not mode["bias"] and not mode["stats"]),
            fp8 or not (mode["stats"] or mode["aux"] == AuxMode.ELEMENT),
            mode["aux"] != AuxMode.RAW or not mode["stats"],
            mode["aux"] <= max(AuxMode) and mode["stats"] <= max(StatsMode),
            output is not FormatCode.RAW
            or not (mode["bias"] or mode["relu"] or mode["stochastic"]),
            self._has_mode(*self.formats),
            not mode["stats"] or (fp8 and self._has_mode(*factors(mode))),
            not mode["gate"] or (self.config.slot > 1 and fp8 and self.cores == 1
                                 and not self.merge),
            not mode["gate"] or not (mode["aux"] or mode["mask"] or mode["turn_output"]
                                     or mode["stats"] == StatsMode.NORM),
        ):
            require(holds, Trap.SHAPE)
        skipping.check(self.config, self.registers)
        depth = self.passes * (self.groups if self.merge else 1)
        depth += self.registers["tensor.depth"]["passes"]
        require(depth <= self.config.max_passes, Trap.DEPTH)

    def _has_mode(self, *formats) -> bool:
        """Whether the chip multiplies a pair of these formats."""
        return formats.count(E5M2) <= MODES[self.config.mode].count(E5M2)

    def _outer(self):
        """The loops around a pass by what they move: both operands, the stream alone (or
        nothing), the tiles alone."""
        def moves(stream, loop):
            step = self.registers[f"tensor.{stream}.{loop}"]
            return self.counts[loop] > 1 and any(step.values())

        both, streamed, tiled = [], [], []
        for loop in OUTER:
            if loop == "group" and self.merge:
                continue
            by_stream, by_tile = moves("stream", loop), moves("stationary", loop)
            (both if by_stream and by_tile else tiled if by_tile else streamed).append(loop)
        return both, streamed, tiled

    def _stream(self) -> Operand:
        """Matrices (both, streamed x position, reduction x lane)."""
        axes = (*self.both, *self.streamed, *self.reduction, *POSITIONS[::-1])
        shape = [self._count(loops) for loops in (self.both, self.streamed, self.reduction)]
        items = nest(self.registers, "tensor.stream", self.counts, axes)
        if self.mode["turn_stream"]:  # a word is 8 positions of one lane
            items = items.reshape(*shape, -1, LANES).transpose(0, 2, 4, 1, 3)
            items = items.reshape(shape[0], shape[2] * LANES, -1)
        else:
            items = items.reshape(*shape, -1).transpose(0, 1, 3, 2).reshape(shape[0], -1, shape[2])
        return self._operand(1, items, across=self.mode["turn_stream"])

    def _tiles(self) -> Operand:
        """Matrices (both, tiled x core x tree, reduction x lane)."""
        axes = (*self.both, *self.tiled, *self.reduction, "core", *ROWS[::-1])
        shape = [self._count(loops) for loops in (self.both, self.tiled, self.reduction)]
        items = nest(self.registers, "tensor.stationary", self.counts, axes)
        items = items.reshape(*shape, self.cores, TREES)
        if self.mode["transpose"]:  # a word is the 8 trees of one lane
            items = items.transpose(0, 2, 4, 1, 3).reshape(shape[0], shape[2] * LANES, -1)
        else:
            items = items.transpose(0, 1, 3, 4, 2).reshape(shape[0], -1, shape[2])
        return self._operand(0, items, across=self.mode["transpose"])

    def _operand(self, side: int, items: Items, across: int) -> Operand:
        """Of `formats`; the units of both together are the accumulator's lowest bit."""
        unit = self.formats[0].lowest_exponent
        exponent = self.config.lowest_exponent - unit if side else unit
        return Operand(self.formats[side], exponent, items, bool(across), self.config.words)

    def _places(self) -> Places:
        """Where the drain reads and writes."""
        axes = (*OUTER, "core", *POSITIONS[::-1])
        counts = self.counts | {"group": self.drained}
        shape = self.blocks, self.drained * self.cores, -1

        def items(stream, window):
            return nest(self.registers, f"tensor.{stream}", counts, axes, window).reshape(*shape)

        def by_core(stream):
            items = nest(self.registers, f"tensor.{stream}", counts, (*BLOCKS[::-1], "core"), False)
            return np.tile(items.address.reshape(self.blocks, -1), (1, self.drained))

        numbers = np.zeros(shape[0])
        if self.mode["stochastic"]:
            numbers = element_numbers(self.registers, "tensor.number", counts, axes)
            numbers = numbers.reshape(*shape, LANES)
        return Places(items("output", True), items("aux", False).address,
                      by_core("bias"), by_core("stats"), numbers)

    def _by_block(self, sums: np.ndarray) -> np.ndarray:
        """(both, streamed x position, tiled x core x tree) as (block, drained group x core,
        position, tree)."""
        names = [*self.both, *self.streamed, "position", *self.tiled, "core", "tree"]
        counts = self.counts | {"tree": TREES, "position": self.positions}
        wanted = [n for n in (*OUTER, "core", "position", "tree") if n in names]
        sums = sums.reshape([counts[n] for n in names]).transpose([names.index(n) for n in wanted])
        return sums.reshape(self.blocks, self.drained * self.cores, self.positions, TREES)
