"""The drain of the tensor operation: from sums to memory, by docs/architecture.md."""

from dataclasses import dataclass

import numpy as np

from isa.config import TREES, Config
from isa.formats import E4M3, E5M2, FormatCode
from isa.registers import AuxMode, StatsMode
from sim import exact, floats
from sim.gating import OPEN
from sim.loops import Items, Runs, as_bytes, as_words, everywhere, wrapped
from sim.outcome import Outcome
from sim.raw import decode_raw, encode_raw
from sim.registers import Registers
from sim.statistics import Statistics

OPEN_WORD = np.uint64(int.from_bytes(bytes([OPEN] * TREES), "little"))


@dataclass(frozen=True)
class Places:
    """Where the drain of an operation reads and writes.

    Members
    -------
    output : items (block, core, position), the cores of all groups that drain one after another
    aux : addresses of the same, whose steps mask and norm share
    bias, stats : addresses (block, core)
    numbers : of the elements, (block, core, position, 8); none where nothing is rounded by them
    """

    output: Items
    aux: np.ndarray
    bias: np.ndarray
    stats: np.ndarray
    numbers: np.ndarray


class Drain:
    """The drain of an operation.

    Parameters
    ----------
    config, registers, places : of the operation
    """

    def __init__(self, config: Config, registers: Registers, places: Places):
        self.config, self.registers = config, registers
        self.mode = mode = registers["tensor.mode"]
        self.code = FormatCode(mode["output"])
        raw = config.raw_words
        self.places = places
        self.output = Runs(places.output, config.words, words_of(config, self.code))
        if mode["aux"] == AuxMode.RAW:
            self.aux = self._beside("aux", raw)
        elif mode["aux"]:
            self.aux = self._moved(places.output.address, "aux", "output")
        if mode["mask"]:
            self.mask = self._beside("mask")
        if mode["stats"] == StatsMode.NORM:
            self.norm = self._beside("norm")
        if mode["gate"]:
            self.gate = self._moved(places.output.address, "gate", "output")
        if mode["bias"]:
            self.bias = Runs(everywhere(places.bias), config.words, 4)
        if mode["stats"]:
            self.statistics = Statistics(config, factors(mode), places.stats)

    def _beside(self, stream: str, length: int = 1) -> Runs:
        """The words of aux, mask or norm, at the rows and columns of the output."""
        return self._moved(self.places.aux, stream, "aux", length)

    def _moved(self, address: np.ndarray, stream: str, of: str, length: int = 1) -> Runs:
        """The words of `stream`, which takes the steps of another, whose addresses these are."""
        address = wrapped(address + self._base(stream) - self._base(of))
        return Runs(Items(address, self.places.output.inside), self.config.words, length)

    def _base(self, stream: str) -> int:
        return self.registers[f"tensor.{stream}.base"]["address"]

    def run(self, words: np.ndarray, sums: np.ndarray, poison: np.ndarray | None,
            outcome: Outcome, key: int, gates: np.ndarray | None = None) -> None:
        """Drain `sums` and `poison` (block, core, position, tree), and with a gate where it is open
        (block, core, position); None is no poison at all."""
        mode = self.mode
        if gates is not None:
            self.gate.write(words, np.where(gates, OPEN_WORD, np.uint64(0))[..., np.newaxis])
        if mode["aux"]:
            sums, poison = self._added(words, sums, poison)
        live = ~floats.element_zero(as_bytes(self.mask.read(words))) if mode["mask"] else None
        if self.code is FormatCode.RAW:
            if live is not None:
                sums = np.where(live, sums, 0)
                poison = None if poison is None else poison & live
            self.output.write(words, encode_raw(self.config, sums, poison))
            return
        value = exact.to_binary32(sums, self.config.lowest_exponent + mode["scale"])
        if poison is not None:
            value[poison] = floats.CANONICAL_NAN
        if mode["bias"]:
            bias = self.bias.read(words).view(np.float32)
            value = floats.canonical(value + bias[:, :, np.newaxis])
        if mode["relu"]:
            value = floats.relu(value)
        if self.code is FormatCode.BINARY32:
            if live is not None:
                value = floats.masked(value, live)
            nan = np.isnan(value).any(axis=-1)
            outcome.nan |= bool(np.any(nan & self.places.output.inside))
            self.output.write(words, as_words(value))
            return
        self._elements(words, value, live, outcome, key)

    def _added(self, words, sums, poison):
        """Sums and poison with aux."""
        more = self.aux.read(words)
        if self.mode["aux"] == AuxMode.RAW:
            more, poisoned = decode_raw(self.config, more)
        else:
            fmt = floats.of_code(self.code)
            poisoned = floats.special(fmt, as_bytes(more))
            more = floats.decode_words(fmt, more, self.config.lowest_exponent).astype(np.float64)
            more[poisoned] = 0
        if poisoned is not None and poisoned.any():
            poison = poisoned if poison is None else poison | poisoned
        return exact.add(sums, more), poison

    def _elements(self, words, value, live, outcome: Outcome, key: int) -> None:
        """FP8 from `value` on."""
        mode, fmt = self.mode, floats.of_code(self.code)
        codes, saturated = floats.encode(fmt, value, random=self._random(key))
        if mode["turn_output"]:
            codes, saturated = turn(codes), turn(saturated)
        if self.output.inside is not None:
            inside = self.output.inside[..., np.newaxis]
            codes, saturated = codes * inside, saturated & inside
        if live is not None:
            codes, saturated = codes * live, saturated & live
        outcome.nan |= bool(floats.special(fmt, codes).any())
        found = int(np.count_nonzero(saturated))
        outcome.saturations += found
        outcome.saturations_e5m2 += found * (fmt is E5M2)
        if mode["stats"]:
            o = as_words(codes)
            factor = o if mode["stats"] == StatsMode.SQUARE else self.norm.read(words)
            self.statistics.add(words, o, factor)
        self.output.write(words, as_words(codes))

    def _random(self, key: int) -> np.ndarray | None:
        """Random bits by (block, core, position, tree), before a turn of the output."""
        if not self.mode["stochastic"]:
            return None
        index = self.places.numbers
        if self.mode["turn_output"]:
            index = turn(index)  # a turn is its own inverse
        return floats.random16(key, index)


def words_of(config: Config, output: FormatCode) -> int:
    """Words of an output's position."""
    return {FormatCode.BINARY32: 4, FormatCode.RAW: config.raw_words}.get(output, 1)


def factors(mode: dict[str, int]):
    """Formats of the two factors of the second sum of the statistics."""
    output = floats.of_code(mode["output"])
    return output, output if mode["stats"] == StatsMode.SQUARE else E4M3


def turn(elements: np.ndarray) -> np.ndarray:
    """Transpose each 8 positions x 8 elements; the last two axes are positions and elements."""
    groups = elements.reshape(*elements.shape[:-2], -1, 8, 8).swapaxes(-1, -2)
    return groups.reshape(elements.shape)
