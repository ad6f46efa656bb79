"""The move operation, by its definition in docs/architecture.md."""

import numpy as np

from isa.config import WORD_BYTES, Config
from isa.memmap import Trap
from sim.loops import as_bytes, nest, wrapped
from sim.outcome import Outcome, TrapError, require
from sim.registers import Registers

LOOPS = ("n2", "n1")
SIGN = 0x80  # of an FP8 code: zero has either


def execute(config: Config, registers: Registers, words: np.ndarray,
            external: np.ndarray) -> Outcome:
    """Copy between the scratchpad `words` (uint64) and `external` memory (uint8)."""
    try:
        return Operation(config, registers).run(words, external)
    except TrapError as trap:
        return Outcome(trap=trap.cause)


class Operation:
    """A move: everything that follows from its registers. It may run many times."""

    def __init__(self, config: Config, registers: Registers):
        self.config = config
        self.counts = counts = registers["move.counts"]
        self.live = registers["move.live"]
        require(all(counts.values()), Trap.SHAPE)
        require(self.live["count"] or not self.live["enable"], Trap.SHAPE)
        self.length = counts["words"]
        self.base = registers["move.external.base"]["address"]
        self.strides = {n: registers[f"move.external.{n}"]["stride"] for n in LOOPS}
        self.store = registers["move.mode"]["store"]
        near = nest(registers, "move.scratchpad", counts, LOOPS, window=False)
        self.near = near.address.reshape(counts["n2"], counts["n1"])
        if self.live["enable"]:
            first = int(wrapped(np.int64(registers["move.live.base"]["address"])))
            size = -(-self.live["count"] // WORD_BYTES)
            require(first + size <= config.words, Trap.ADDRESS)
            self.list = slice(first, first + size)
        else:
            self.runs = self._runs(np.arange(counts["n2"]))

    def run(self, words: np.ndarray, external: np.ndarray) -> Outcome:
        """Once, between the scratchpad `words` and `external`."""
        if not self.live["enable"]:
            return self._copy(self.runs, words, external)
        live = live_elements(words[self.list], self.live["count"])
        rounds = live[self.live["first"]:][:self.counts["n2"]]
        outcome = self._copy(self._runs(rounds), words, external)
        if not self.store:
            for near in self._near(self.near[rounds.size:]):
                words[near] = 0
        outcome.live = live.size
        return outcome

    def _runs(self, rounds: np.ndarray) -> list[tuple[slice, slice]]:
        """External and scratchpad words of each run; round i of n2 is `rounds`[i] outside."""
        inner = self.strides["n1"] * np.arange(self.counts["n1"])
        start = (self.base + np.add.outer(self.strides["n2"] * rounds, inner).ravel()) % (1 << 32)
        require(not np.any(start % WORD_BYTES), Trap.ADDRESS)
        return [(slice(far, far + self.length), near) for far, near in zip(
            (start // WORD_BYTES).tolist(), self._near(self.near[:len(rounds)]), strict=True)]

    def _near(self, first: np.ndarray) -> list[slice]:
        """Scratchpad words of runs that begin there."""
        require(not np.any(first > self.config.words - self.length), Trap.ADDRESS)
        return [slice(address, address + self.length) for address in first.ravel().tolist()]

    def _copy(self, runs, words: np.ndarray, external: np.ndarray) -> Outcome:
        last = max((far.stop for far, _ in runs), default=0)
        require(last * WORD_BYTES <= external.size, Trap.BUS)
        far_words = external[:external.size // WORD_BYTES * WORD_BYTES].view("<u8")
        total = len(runs) * self.length
        if self.store:
            for far, near in runs:
                far_words[far] = words[near]
            return Outcome(words_stored=total)
        for far, near in runs:
            words[near] = far_words[far]
        return Outcome(words_filled=total)


def live_elements(words: np.ndarray, count: int) -> np.ndarray:
    """The numbers of the first `count` elements of `words` that are not zero, of either sign."""
    return np.flatnonzero(as_bytes(words)[:count] & ~np.uint8(SIGN))
