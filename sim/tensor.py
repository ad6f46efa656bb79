"""The tensor operation, by its definition in docs/architecture.md."""

from dataclasses import dataclass
from math import prod

import numpy as np

from isa.config import LANES, MODES, TREES, Config
from isa.formats import E4M3, E5M2, FormatCode
from isa.memmap import Trap
from isa.registers import (
    ADDRESS_BITS,
    BLOCKS,
    POSITIONS,
    REDUCTION,
    ROWS,
    AuxMode,
    StatsMode,
)
from sim import exact, floats
from sim.loops import Items, as_bytes, as_words, check, element_index, gather, nest
from sim.outcome import Outcome, TrapError, require
from sim.raw import decode_raw, encode_raw
from sim.registers import Registers
from sim.statistics import Statistics

CHUNK_BLOCKS = 1 << 10  # drained at once
OUTER = (*BLOCKS[::-1], "group")  # the loops around a pass, outermost first


def execute(config: Config, registers: Registers, words: np.ndarray) -> Outcome:
    """Run one operation on the scratchpad `words` (uint64), which it changes.

    A trap is reported in the outcome; the words that the operation writes are undefined then.
    """
    try:
        return _Operation(config, registers, words).run()
    except TrapError as trap:
        return Outcome(trap=trap.cause)


class _Operation:
    def __init__(self, config: Config, registers: Registers, words: np.ndarray):
        self.config = config
        self.registers = registers
        self.words = words
        self.mode = registers["tensor.mode"]
        counts = registers["tensor.positions"]
        self.counts = {loop: counts[loop] for loop in (*POSITIONS, *ROWS)}
        self.counts |= registers["tensor.reduction"] | registers["tensor.blocks"]
        self.counts["core"] = self.cores = counts["cores"]
        self.groups = registers["tensor.groups"]["groups"]
        self.merge = registers["tensor.groups"]["merge"]
        self.counts["group"] = self.groups
        self.drained = 1 if self.merge else self.groups  # groups at the drain
        self.positions = prod(self.counts[p] for p in POSITIONS)
        self.passes = prod(self.counts[r] for r in REDUCTION)
        self.blocks = prod(self.counts[b] for b in BLOCKS)
        self.formats = [E5M2 if self.mode[s] else E4M3 for s in ("stationary", "stream")]
        self.output = FormatCode(self.mode["output"])

    def run(self) -> Outcome:
        self._check()
        outcome = Outcome(
            stream_words=self.blocks * self.groups * self.passes * self.positions)
        outcome.macs = outcome.stream_words * self.cores * TREES * LANES
        sums, poison = self._sums()
        output = self._drained("output")
        check(self.words, output, self._output_words())
        statistics = Statistics(self.config, self.mode["stats"], self._by_core("stats"))
        for first in range(0, self.blocks, CHUNK_BLOCKS):
            part = slice(first, first + CHUNK_BLOCKS)
            self._drain(part, sums[part], poison[part],
                        Items(output.address[part], output.inside[part]), outcome, statistics)
        statistics.finish(self.words)
        return outcome

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
            fp8 or not (mode["mask"] or mode["stats"] or mode["aux"] == AuxMode.ELEMENT),
            mode["aux"] != AuxMode.RAW or not (mode["mask"] or mode["stats"]),
            mode["aux"] <= max(AuxMode) and mode["stats"] <= max(StatsMode),
            output is not FormatCode.RAW
            or not (mode["bias"] or mode["relu"] or mode["stochastic"]),
            self._has_mode(*self.formats),
            not mode["stats"] or (fp8 and self._has_mode(*self._statistics_formats())),
        ):
            require(holds, Trap.SHAPE)
        depth = self.passes * (self.groups if self.merge else 1)
        depth += self.registers["tensor.depth"]["passes"]
        require(depth <= self.config.max_passes, Trap.DEPTH)

    def _has_mode(self, *formats) -> bool:
        """Whether the chip multiplies a pair of these formats."""
        return formats.count(E5M2) <= MODES[self.config.mode].count(E5M2)

    def _statistics_formats(self):
        """Formats of the two factors of the second sum."""
        output = floats.of_code(self.output)
        return output, output if self.mode["stats"] == StatsMode.SQUARE else E4M3

    def _drained(self, stream: str) -> Items:
        """The items of a drain stream as (blocks, drained groups x cores, positions)."""
        counts = self.counts | {"group": self.drained}
        items = nest(self.registers, f"tensor.{stream}", counts,
                     (*BLOCKS[::-1], "group", "core", *POSITIONS[::-1]), window=stream == "output")
        shape = (self.blocks, self.drained * self.cores, -1)
        return Items(items.address.reshape(shape), items.inside.reshape(shape))

    def _by_core(self, stream: str) -> np.ndarray:
        """Addresses of a stream with one item a block and core, (blocks, groups x cores)."""
        items = nest(self.registers, f"tensor.{stream}", self.counts, (*BLOCKS[::-1], "core"),
                     window=False)
        return np.tile(items.address.reshape(self.blocks, self.cores), (1, self.drained))

    def _outer(self) -> "_Outer":
        """The loops around a pass, by which operand they move."""
        def moves(stream, loop):
            step = self.registers[f"tensor.{stream}.{loop}"]
            return self.counts[loop] > 1 and any(step.values())

        both, streamed, tiled = [], [], []
        for loop in OUTER:
            if loop == "group" and self.merge:
                continue
            by_stream, by_tile = moves("stream", loop), moves("stationary", loop)
            (both if by_stream and by_tile else tiled if by_tile else streamed).append(loop)
        return _Outer(both, streamed, tiled, ["group"] if self.merge else [])

    def _sums(self):
        """Sums and poison, (block, drained groups x cores, tree, position).

        Each operand is gathered once for what it does not move with, so that one matrix product
        covers all blocks that share it.
        """
        outer = self._outer()
        reduction = (*outer.merged, *REDUCTION[::-1])
        stream = as_bytes(gather(self.words, nest(
            self.registers, "tensor.stream", self.counts,
            (*outer.both, *outer.streamed, *reduction, *POSITIONS[::-1]))))
        tiles = as_bytes(gather(self.words, nest(
            self.registers, "tensor.stationary", self.counts,
            (*outer.both, *outer.tiled, *reduction, "core", *ROWS[::-1]))))
        both, streamed, tiled = (prod(self.counts[n] for n in names) for names in (
            outer.both, outer.streamed, outer.tiled))
        passes = self.passes * (self.groups if self.merge else 1)
        stream = stream.reshape(both, streamed, passes, self.positions, LANES)
        tiles = tiles.reshape(both, tiled, passes, self.cores, TREES, LANES)
        if self.mode["turn_stream"]:
            stream = _turn(stream)
        if self.mode["transpose"]:
            tiles = tiles.swapaxes(-1, -2)
        # (both, tiled x core x tree, pass x lane) by (both, pass x lane, streamed x position)
        a = tiles.transpose(0, 1, 3, 4, 2, 5).reshape(both, tiled * self.cores * TREES, -1)
        b = stream.transpose(0, 2, 4, 1, 3).reshape(both, passes * LANES, -1)
        (a, a_special, a_live), (b, b_special, b_live) = (
            _operand(f, x) for f, x in zip(self.formats, (a, b), strict=True))
        sums = exact.matmul(a, b, self.config.lowest_exponent)
        poison = np.zeros(sums.shape, bool)
        if a_special is not None:
            poison |= np.matmul(a_special, b_live) > 0
        if b_special is not None:
            poison |= np.matmul(a_live, b_special) > 0
        return self._by_block(outer, sums), self._by_block(outer, poison)

    def _by_block(self, outer: "_Outer", sums):
        """(both, tiled x core x tree, streamed x position) in the order of the drain."""
        names = [*outer.both, *outer.tiled, "core", "tree", *outer.streamed, "position"]
        counts = self.counts | {"tree": TREES, "position": self.positions}
        sums = sums.reshape([counts[n] for n in names])
        wanted = [n for n in (*OUTER, "core", "tree", "position") if n in names]
        sums = sums.transpose([names.index(n) for n in wanted])
        return sums.reshape(self.blocks, self.drained * self.cores, TREES, self.positions)

    def _output_words(self) -> int:
        return {FormatCode.BINARY32: 4, FormatCode.RAW: self.config.raw_words}.get(self.output, 1)

    def _drain(self, part, sums, poison, output: Items, outcome: Outcome,
               statistics: Statistics):
        """Everything from the sums to memory; trees become the last axis."""
        sums, poison = sums.swapaxes(-1, -2), poison.swapaxes(-1, -2)
        if self.mode["aux"]:
            add = self._add_raw if self.mode["aux"] == AuxMode.RAW else self._add_element
            sums, poison = add(sums, poison, self._beside("aux", part, output))
        if self.output is FormatCode.RAW:
            self._write(output, encode_raw(self.config, sums, poison))
            return
        value = exact.to_binary32(sums, self.config.lowest_exponent + self.mode["scale"])
        value = np.where(poison, floats.CANONICAL_NAN, value)
        if self.mode["bias"]:
            value = floats.canonical(value + self._bias(part)[:, :, np.newaxis, :])
        if self.mode["relu"]:
            value = np.where((value > 0) | np.isnan(value), value, np.float32(0))
        if self.output is FormatCode.BINARY32:
            outcome.nan |= bool(np.any(np.isnan(value[output.inside])))
            self._write(output, as_words(value.view(np.uint32)))
            return
        fmt = floats.of_code(self.output)
        codes, saturated = floats.encode(fmt, value, random=self._random(output))
        if self.mode["turn_output"]:
            codes, saturated = _turn(codes), _turn(saturated)
        live = np.broadcast_to(output.inside[..., np.newaxis], codes.shape)
        if self.mode["mask"]:
            mask = gather(self.words, self._beside("mask", part, output))
            live = live & ~floats.element_zero(as_bytes(mask))
        codes = np.where(live, codes, 0).astype(np.uint8)
        outcome.nan |= not np.all(np.isfinite(floats.values(fmt)[codes[live]]))
        outcome.saturations += int(np.count_nonzero(saturated & live))
        if self.mode["stats"]:
            factor = codes if self.mode["stats"] == StatsMode.SQUARE else as_bytes(
                gather(self.words, self._beside("norm", part, output)))
            statistics.add(part, self._statistics_formats(), codes, factor)
        self._write(output, as_words(codes))

    def _beside(self, stream: str, part, output: Items) -> Items:
        """The items of aux, mask or norm for a part of the output's; all take the steps of aux."""
        first = self.registers[f"tensor.{stream}.base"]["address"]
        shift = first - self.registers["tensor.aux.base"]["address"]
        address = (self._drained("aux").address[part] + shift) & ((1 << ADDRESS_BITS) - 1)
        return Items(address, output.inside)

    def _add_raw(self, sums, poison, aux: Items):
        check(self.words, aux, self.config.raw_words)
        address = np.where(aux.inside, aux.address, 0)[..., np.newaxis]
        raw = self.words[address + np.arange(self.config.raw_words)]
        more, poisoned = decode_raw(self.config, np.where(aux.inside[..., np.newaxis], raw, 0))
        return exact.add(sums, more), poison | poisoned

    def _add_element(self, sums, poison, aux: Items):
        value = floats.values(floats.of_code(self.output))[as_bytes(gather(self.words, aux))]
        special = ~np.isfinite(value)
        value = np.where(special, 0, value).astype(np.float64)
        return (exact.add(sums, np.ldexp(value, -self.config.lowest_exponent)),
                poison | special)

    def _bias(self, part):
        """float32 (blocks, drained groups x cores, tree)."""
        address = self._by_core("bias")[part]
        check(self.words, Items(address, np.ones(address.shape, bool)), 4)
        rows = self.words[address[..., np.newaxis] + np.arange(4)]
        return floats.canonical(np.ascontiguousarray(rows).view(np.float32))

    def _random(self, output: Items):
        """Random bits by (block, core, position, tree), before a turn of the output."""
        if not self.mode["stochastic"]:
            return None
        base = self.registers["tensor.output.base"]["address"]
        index = element_index(output.address, base)
        if self.mode["turn_output"]:
            index = _turn(index)  # a turn is its own inverse
        key = self.registers["tensor.key"]["key"]
        return floats.random16(key, index)

    def _write(self, output: Items, rows: np.ndarray):
        """Write rows (block, core, position, word) where the output lies inside its window."""
        address = output.address[..., np.newaxis] + np.arange(rows.shape[-1])
        self.words[address[output.inside]] = rows[output.inside]


@dataclass(frozen=True)
class _Outer:
    """Loops by what they move; `merged` is one more loop of the reduction."""

    both: list[str]
    streamed: list[str]
    tiled: list[str]
    merged: list[str]


def _turn(elements: np.ndarray) -> np.ndarray:
    """Transpose each 8 positions x 8 elements; the last two axes are positions and elements."""
    groups = elements.reshape(*elements.shape[:-2], -1, 8, 8).swapaxes(-1, -2)
    return groups.reshape(elements.shape)


def _operand(fmt, codes):
    """Finite values, and where there are any: special and live elements as 0.0 and 1.0."""
    value = floats.values(fmt)[codes].astype(np.float64)
    special = ~np.isfinite(value)
    found = bool(special.any())
    value[special] = 0
    return (value, special.astype(np.float64) if found else None,
            (~floats.element_zero(codes)).astype(np.float64))
