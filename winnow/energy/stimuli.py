"""Rows of bits for a unit's inputs from work of a core, and what must come out."""

from dataclasses import dataclass

import numpy as np

from isa.config import TREES, Config
from synth import energy
from synth.activity import WORD, Activity, Bits, pack, unpack
from synth.errors import SynthesisError
from winnow.energy.work import Work


@dataclass(frozen=True)
class Stimuli:
    """A unit's inputs.

    Attributes
    ----------
    given : by net, its rows
    result, sure : bool (bits, cycles) of the nets `results`, and in which cycles they are known
    cycles : of a whole core, that this stands for
    dense : multiply-adds of the same work with nothing left out
    """

    given: dict[str, Bits]
    results: list[str]
    result: np.ndarray
    sure: np.ndarray
    cycles: float
    dense: float

    def check(self, activity: Activity) -> None:
        """`SynthesisError` where the netlist's results are not those of the model."""
        found = unpack(np.stack([activity.values[net] for net in self.results])).astype(bool)
        wrong = np.flatnonzero((found != self.result).any(axis=0) & self.sure)
        if wrong.size or not self.sure.any():
            raise SynthesisError(f"the mapped netlist differs from the model in {wrong.size} of "
                                 f"{self.sure.sum()} cycles")


def tree(unit: energy.Unit, config: Config, works: list[Work]) -> Stimuli:
    """For `AccumulatingTree`: the eight trees of a core one after the other."""
    def line(name: str) -> np.ndarray:
        """(tree and cycle, ...), the cycles of a tree together."""
        rows = np.concatenate([getattr(each, name) for each in works])
        return np.concatenate([rows[:, i] for i in range(TREES)])

    total = sum(each.cycles for each in works) * TREES
    size = total // WORD * WORD
    formats = np.concatenate([np.tile(each.formats, (each.cycles, 1)) for each in works])
    formats = np.tile(formats, (TREES, 1)).astype(bool)
    before, product = line("before"), line("product")
    stages, width = config.tree_stages, config.accumulator_bits
    zero = np.zeros((width, total), bool)
    given = {
        **_port(unit, "s_codes", _bits(line("codes"))[:, :size]),
        **_port(unit, "m_codes", _bits(line("word"))[:, :size]),
        **_port(unit, "s_format", formats[np.newaxis, :size, 0]),
        **_port(unit, "m_format", formats[np.newaxis, :size, 1]),
        **_port(unit, "accumulator",
                np.concatenate([_late(whole(before, width), stages), zero[:1]])[:, :size]),
    }
    share = size / total
    return Stimuli(given, energy.ports(unit.simulation, "result")[:width],
                   _late(whole(before + product, width), stages)[:, :size],
                   _late(line("live")[np.newaxis], stages)[0, :size],
                   total / TREES * share, sum(each.dense for each in works) * share)


def whole(numbers: np.ndarray, bits: int) -> np.ndarray:
    """Python integers as two's complement, bool (bits, numbers), the lowest bit first."""
    size = bits // 8 + 1
    raw = b"".join(int(number).to_bytes(size, "little", signed=True) for number in numbers)
    rows = np.frombuffer(raw, np.uint8).reshape(-1, size)
    return np.unpackbits(rows, axis=1, bitorder="little")[:, :bits].T.astype(bool)


def _bits(codes: np.ndarray) -> np.ndarray:
    """Bytes (n, 8) as bool (64, n)."""
    return np.unpackbits(np.ascontiguousarray(codes), axis=1, bitorder="little").T.astype(bool)


def _late(rows: np.ndarray, cycles: int) -> np.ndarray:
    """Rows so many cycles later; False before."""
    moved = np.zeros_like(rows)
    moved[:, cycles:] = rows[:, :rows.shape[1] - cycles]
    return moved


def _port(unit: energy.Unit, name: str, rows: np.ndarray) -> dict[str, Bits]:
    nets = energy.ports(unit.simulation, name)
    assert len(nets) == len(rows), (name, len(nets), len(rows))
    return dict(zip(nets, pack(rows), strict=True))
