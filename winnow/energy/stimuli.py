"""Rows of bits for a unit's inputs from work of a core, and what must come out."""

from dataclasses import dataclass

import numpy as np

from isa.config import TREES, Config
from synth import energy
from synth.activity import WARM, WORD, Activity, Bits, pack, unpack
from synth.errors import SynthesisError
from winnow.energy.work import Work

FILE_CYCLES = 4096  # of the accumulators of one tree: they have more cells than eight trees


@dataclass(frozen=True)
class Stimuli:
    """A unit's inputs, cycle by cycle.

    Attributes
    ----------
    given : by net, its rows
    counted : the cycles that count: not those in which a piece of work has just begun
    results : nets
    expected, sure : bool (results, cycles), and where it is known; one row may be for all
    """

    given: dict[str, Bits]
    counted: Bits
    results: list[str]
    expected: np.ndarray
    sure: np.ndarray

    def check(self, activity: Activity) -> None:
        """`SynthesisError` where the netlist's results are not those of the model."""
        found = unpack(np.stack([activity.values[net] for net in self.results])).astype(bool)
        wrong = ((found != self.expected) & self.sure).any(axis=0)
        known = self.sure.any(axis=0)
        if wrong.any() or not known.any():
            raise SynthesisError(f"the mapped netlist differs from the model in {wrong.sum()} of "
                                 f"{known.sum()} cycles")


class _Line:
    """Work as rows of cycles, cut to whole words of bits.

    Parameters
    ----------
    trees : these trees, one after the other; or all of them at once
    """

    def __init__(self, config: Config, works: list[Work], trees: list[int] | None, most: int):
        self.works, self.trees = works, trees
        self.stages, self.width = config.tree_stages, config.accumulator_bits
        total = sum(each.cycles for each in works) * len(trees or [0])
        self.size = min(most, total // WORD * WORD)
        begins = np.cumsum([0] + [each.cycles for each in works] * len(trees or [0]))[:-1]
        counted = np.ones(total, bool)
        for begin in begins:
            counted[begin:begin + self.stages + 1] = False
        counted[:WARM] = False
        self.begins = [int(begin) for begin in begins if begin < self.size]
        self.counted = pack(counted[:self.size])

    def rows(self, name: str) -> np.ndarray:
        """(cycles, ...) of one tree, or (cycles, TREES, ...)."""
        rows = np.concatenate([getattr(each, name) for each in self.works])
        if self.trees is not None and rows.ndim > 1:
            rows = np.concatenate([rows[:, tree] for tree in self.trees])
        return rows[:self.size]

    def formats(self) -> np.ndarray:
        """(cycles, 2)."""
        rows = [np.tile(each.formats, (each.cycles, 1)) for each in self.works]
        return np.tile(np.concatenate(rows), (len(self.trees or [0]), 1))[:self.size]

    def late(self, rows: np.ndarray) -> np.ndarray:
        """Rows (bits, cycles) as they are when the products have passed the tree."""
        moved = np.zeros_like(rows)
        moved[:, self.stages:] = rows[:, :rows.shape[1] - self.stages]
        return moved

    def sums(self, numbers: np.ndarray) -> np.ndarray:
        """Accumulators (bits, cycles) of Python integers, poison last, when they are needed."""
        rows = bits_of(numbers, self.width)
        return self.late(np.concatenate([rows, np.zeros_like(rows[:1])]))


def tree(unit: energy.Unit, config: Config, works: list[Work]) -> Stimuli:
    """For `AccumulatingTree`: the trees of the core one after the other."""
    line = _Line(config, works, list(range(TREES)), 1 << 20)
    formats, before = line.formats(), line.rows("before")
    given = {**_port(unit, "s_codes", _bytes(line.rows("codes"))),
             **_port(unit, "m_codes", _bytes(line.rows("word"))),
             **_port(unit, "s_format", formats[:, :1].T),
             **_port(unit, "m_format", formats[:, 1:].T),
             **_port(unit, "accumulator", line.sums(before))}
    return Stimuli(given, line.counted, energy.ports(unit.simulation, "result"),
                   line.sums(before + line.rows("product")),
                   line.late(line.rows("live")[np.newaxis]))


def core(unit: energy.Unit, config: Config, works: list[Work]) -> Stimuli:
    """For `Core` or `SkippingCore`, whose accumulators are outside, and whose drain reads none."""
    line = _Line(config, works, None, 1 << 20)
    formats, live, position = line.formats(), line.rows("live"), line.rows("position")
    word, tiles = line.rows("word"), line.rows("tiles")
    before, after = line.rows("before"), line.rows("before") + line.rows("product")
    zero = np.zeros((1, line.size), bool)
    named = {"s_format": formats[:, :1].T, "m_format": formats[:, 1:].T, "bank": zero,
             "first": zero, "read_bank": zero}
    if config.slot == 1:
        named |= {"tile": _bytes(tiles[:, 0].reshape(line.size, -1)), "word": _bytes(word[:, 0]),
                  "valid": live[:, :1].T, "position": _number(config, position[:, 0])}
    else:
        def ahead(rows: np.ndarray) -> np.ndarray:
            """What is given in the cycle before the word."""
            return np.roll(rows, -1, axis=0)

        named |= {f"tile__{d}__{i}": _bytes(ahead(tiles[:, d, i])) for d in range(config.slot)
                  for i in range(TREES)}
        named |= {f"{name}__{i}": ahead(line.rows(of) >> i & 1).T for name, of, largest in (
            ("pick_word", "number", config.slot - 1), ("pick_offset", "offset", config.reach))
            for i in range(largest.bit_length())}
        named |= {"valid": live.T} | {f"word__{i}": _bytes(word[:, i]) for i in range(TREES)}
        named |= {f"position__{i}": _number(config, position[:, i]) for i in range(TREES)}
    given = {}
    for name, rows in named.items():
        given |= _port(unit, name, rows)
    given |= _port(unit, "read_position", np.repeat(zero, config.block.bit_length() - 1, axis=0))
    results, expected, sure = [], [], []
    known = line.late(live.T)
    known[:, :WARM] = False
    for i in range(TREES):
        old, new = line.sums(before[:, i]), line.sums(after[:, i])
        for name, low, high in _parts(config, f"accumulators{i}.body_0"):
            given |= _nets(energy.pins(unit, name, "read_data_0"), old[low:high])
            given |= _nets(energy.pins(unit, name, "read_data_1"),
                           np.zeros((high - low, line.size), bool))
            results += energy.pins(unit, name, "write_data")
            expected.append(new[low:high])
            sure.append(np.repeat(known[i:i + 1], high - low, axis=0))
    return Stimuli(given, line.counted, results, np.concatenate(expected), np.concatenate(sure))


def accumulators(unit: energy.Unit, config: Config, works: list[Work]) -> Stimuli:
    """For the register file of a tree: the first trees one after the other."""
    line = _Line(config, works, list(range(TREES)), FILE_CYCLES)
    position, before, live = (line.rows(name) for name in ("position", "before", "live"))
    old, new = (bits_of(rows, line.width) for rows in (before, before + line.rows("product")))
    old, new = (np.concatenate([rows, np.zeros_like(rows[:1])]) for rows in (old, new))
    zero = np.zeros((config.block.bit_length(), line.size), bool)
    address = np.concatenate([_number(config, position), zero[:1]])
    given = {**_port(unit, "read_address__0", address), **_port(unit, "read_address__1", zero),
             **_port(unit, "write_address", address), **_port(unit, "write_data", new),
             **_port(unit, "write_enable", live[np.newaxis])}
    held = _held(line, position, old, new, live, 2 * config.block)
    for name, low, high in _parts(config, "body_0"):
        for row in range(2 * config.block):
            given |= {f"{name}.memory[{row}][{bit - low}]": held[row, bit]
                      for bit in range(low, high)}
    return Stimuli(given, line.counted, energy.ports(unit.simulation, "read_data__0"), old,
                   live[np.newaxis])


def _held(line: _Line, position, old, new, live, rows: int) -> np.ndarray:
    """What each row of a register file holds, packed (row, bit, words). Within a piece of work a
    row has before it is used what is read there first."""
    held = np.zeros((rows, len(old), line.size // WORD), np.uint64)
    ends = [*line.begins[1:], line.size]
    for row in range(rows):
        bits = np.zeros((len(old), line.size), bool)
        for begin, end in zip(line.begins, ends, strict=True):
            used = begin + np.flatnonzero((position[begin:end] == row) & live[begin:end])
            if used.size:
                bits[:, begin:used[0] + 1] = old[:, used[:1]]
                for cycle, following in zip(used, [*(used[1:] + 1), end], strict=True):
                    bits[:, cycle + 1:following] = new[:, cycle:cycle + 1]
        held[row] = pack(bits)
    return held


def bits_of(numbers: np.ndarray, bits: int) -> np.ndarray:
    """Python integers as two's complement, bool (bits, numbers), the lowest bit first."""
    size = bits // 8 + 1
    raw = b"".join(int(number).to_bytes(size, "little", signed=True) for number in numbers)
    rows = np.frombuffer(raw, np.uint8).reshape(-1, size)
    return np.unpackbits(rows, axis=1, bitorder="little")[:, :bits].T.astype(bool)


def _parts(config: Config, name: str) -> list[tuple[str, int, int]]:
    """The bodies of the register file of a tree: name, and its bits of an accumulator."""
    width = config.accumulator_bits + 1
    count = -(-width // WORD)
    return [(f"{name}_{i}", width * i // count, width * (i + 1) // count) for i in range(count)]


def _number(config: Config, values: np.ndarray) -> np.ndarray:
    """Positions as bool (bits, cycles)."""
    return np.stack([values >> bit & 1 for bit in range(config.block.bit_length() - 1)]) != 0


def _bytes(codes: np.ndarray) -> np.ndarray:
    """Bytes (cycles, n) as bool (8 n, cycles)."""
    return np.unpackbits(np.ascontiguousarray(codes), axis=1, bitorder="little").T.astype(bool)


def _port(unit: energy.Unit, name: str, rows: np.ndarray) -> dict[str, Bits]:
    return _nets(energy.ports(unit.simulation, name), rows)


def _nets(nets: list[str], rows: np.ndarray) -> dict[str, Bits]:
    return dict(zip(nets, pack(rows.astype(bool)), strict=True))
