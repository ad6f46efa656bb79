"""The tensor operation, by its definition in docs/architecture.md."""

from math import prod

import numpy as np

from isa.config import LANES, MODES, TREES, WORD_BITS, Config
from isa.formats import E4M3, E5M2, FormatCode
from isa.memmap import Trap
from isa.registers import BLOCKS, POSITIONS, REDUCTION, ROWS, AuxMode
from sim import exact, floats
from sim.loops import Items, as_bytes, as_words, check, element_index, gather, nest
from sim.outcome import Outcome, TrapError, require
from sim.registers import Registers

CHUNK_WORDS = 1 << 18  # stream words that are worked on at once


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
        self.positions = prod(self.counts[p] for p in POSITIONS)
        self.passes = prod(self.counts[r] for r in REDUCTION)
        self.blocks = prod(self.counts[b] for b in BLOCKS)
        self.formats = [E5M2 if self.mode[s] else E4M3 for s in ("stationary", "stream")]
        self.output = FormatCode(self.mode["output"])

    def run(self) -> Outcome:
        self._check()
        outcome = Outcome(
            macs=self.blocks * self.passes * self.positions * self.cores * TREES * LANES,
            stream_words=self.blocks * self.passes * self.positions)
        stream, tiles = self._operands()
        output = self._items("output", (*BLOCKS[::-1], "core", *POSITIONS[::-1]))
        check(self.words, output, self._output_words())
        chunk = max(1, CHUNK_WORDS // (self.passes * self.positions))
        for first in range(0, self.blocks, chunk):
            part = slice(first, first + chunk)
            sums, poison = self._sums(stream[part], tiles[part])
            self._drain(part, sums, poison, Items(output.address[part], output.inside[part]),
                        outcome)
        return outcome

    def _check(self):
        mode, output = self.mode, self.output
        fp8 = output in (FormatCode.E4M3, FormatCode.E5M2)
        turned = mode["turn_stream"] or mode["turn_output"]
        wide = sum(f is E5M2 for f in self.formats)
        for holds in (
            all(self.counts.values()),
            self.cores <= self.config.cores,
            self.positions <= self.config.block,
            self.counts["q0"] * self.counts["q1"] == TREES,
            self.positions % 8 == 0 or not turned,
            (fp8 and not mode["bias"]) or not mode["turn_output"],
            fp8 or mode["aux"] != AuxMode.MASK,
            mode["aux"] <= max(AuxMode),
            output is not FormatCode.RAW
            or not (mode["bias"] or mode["relu"] or mode["stochastic"]),
            wide <= sum(f is E5M2 for f in MODES[self.config.mode]),
        ):
            require(holds, Trap.SHAPE)
        depth = self.registers["tensor.depth"]["passes"] + self.passes
        require(depth <= self.config.max_passes, Trap.DEPTH)

    def _items(self, stream: str, axes) -> Items:
        """The items of a drain stream as (blocks, cores, positions)."""
        items = nest(self.registers, f"tensor.{stream}", self.counts, axes,
                     window=stream == "output")
        shape = (self.blocks, self.cores, -1)
        return Items(items.address.reshape(shape), items.inside.reshape(shape))

    def _operands(self):
        """Codes of the stream (blocks, passes, positions, lane) and of the tiles
        (blocks, passes, core, tree, lane)."""
        stream = as_bytes(gather(self.words, nest(
            self.registers, "tensor.stream", self.counts,
            (*BLOCKS[::-1], *REDUCTION[::-1], *POSITIONS[::-1]))))
        stream = stream.reshape(self.blocks, self.passes, self.positions, LANES)
        if self.mode["turn_stream"]:
            stream = _turn(stream)
        tiles = as_bytes(gather(self.words, nest(
            self.registers, "tensor.stationary", self.counts,
            (*BLOCKS[::-1], *REDUCTION[::-1], "core", *ROWS[::-1]))))
        tiles = tiles.reshape(self.blocks, self.passes, self.cores, TREES, LANES)
        if self.mode["transpose"]:
            tiles = tiles.swapaxes(-1, -2)
        return stream, tiles

    def _sums(self, stream, tiles):
        """Sums and poison, (blocks, core, tree, position)."""
        blocks = stream.shape[0]
        # Reduce over passes and lanes at once: (blocks, core * tree, k) by (blocks, k, position).
        a = tiles.transpose(0, 2, 3, 1, 4).reshape(blocks, self.cores * TREES, -1)
        b = stream.transpose(0, 1, 3, 2).reshape(blocks, -1, self.positions)
        (a, a_special, a_live), (b, b_special, b_live) = (
            _operand(f, x) for f, x in zip(self.formats, (a, b), strict=True))
        sums = exact.matmul(a, b, self.config.lowest_exponent)
        poison = np.zeros(sums.shape, bool)
        if a_special is not None:
            poison |= np.matmul(a_special, b_live) > 0
        if b_special is not None:
            poison |= np.matmul(a_live, b_special) > 0
        shape = (blocks, self.cores, TREES, self.positions)
        return sums.reshape(shape), poison.reshape(shape)

    def _output_words(self) -> int:
        return {FormatCode.BINARY32: 4, FormatCode.RAW: self.config.raw_words}.get(self.output, 1)

    def _drain(self, part, sums, poison, output: Items, outcome: Outcome):
        """Everything from the sums to memory; trees become the last axis."""
        sums, poison = sums.swapaxes(-1, -2), poison.swapaxes(-1, -2)
        if self.mode["aux"] == AuxMode.ADD:
            sums, poison = self._add_raw(part, sums, poison, output)
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
        if self.mode["aux"] == AuxMode.MASK:
            aux = self._aux(part, output)
            live = live & ~floats.element_zero(as_bytes(gather(self.words, aux)))
            codes = np.where(live, codes, 0).astype(np.uint8)
        outcome.nan |= not np.all(np.isfinite(floats.values(fmt)[codes[live]]))
        outcome.saturations += int(np.count_nonzero(saturated & live))
        self._write(output, as_words(codes))

    def _aux(self, part, output: Items) -> Items:
        items = self._items("aux", (*BLOCKS[::-1], "core", *POSITIONS[::-1]))
        return Items(items.address[part], output.inside)

    def _add_raw(self, part, sums, poison, output: Items):
        aux = self._aux(part, output)
        check(self.words, aux, self.config.raw_words)
        address = np.where(aux.inside, aux.address, 0)[..., np.newaxis]
        raw = self.words[address + np.arange(self.config.raw_words)]
        more, poisoned = decode_raw(self.config, np.where(aux.inside[..., np.newaxis], raw, 0))
        return exact.add(sums, more), poison | poisoned

    def _bias(self, part):
        """float32 (blocks, core, tree)."""
        items = nest(self.registers, "tensor.bias", self.counts, (*BLOCKS[::-1], "core"),
                     window=False)
        items = Items(items.address.reshape(self.blocks, self.cores)[part],
                      items.inside.reshape(self.blocks, self.cores)[part])
        check(self.words, items, 4)
        rows = self.words[items.address[..., np.newaxis] + np.arange(4)]
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


def encode_raw(config: Config, sums: np.ndarray, poison: np.ndarray) -> np.ndarray:
    """Sums and poison (..., tree) as raw words (..., raw_words)."""
    low = 1 << WORD_BITS
    value = np.where(poison, -(1 << (config.accumulator_bits - 1)), exact.as_integers(sums))
    words = [(value % low).astype(np.uint64)]
    for extra in range(config.raw_words - TREES):
        high = ((value >> (WORD_BITS + 8 * extra)) % 256).astype(np.uint8)
        words.append(as_words(high))
    return np.concatenate(words, axis=-1)


def decode_raw(config: Config, words: np.ndarray):
    """Raw words (..., raw_words) as sums and poison (..., tree)."""
    value = words[..., :TREES].astype(object)
    for extra in range(config.raw_words - TREES):
        high = as_bytes(words[..., TREES + extra]).astype(object)
        value = value + (high << (WORD_BITS + 8 * extra))
    bits = max(config.accumulator_bits, WORD_BITS)
    value = np.where(value >= 1 << (bits - 1), value - (1 << bits), value)
    poison = value == -(1 << (config.accumulator_bits - 1))
    return np.where(poison, 0, value), poison.astype(bool)
