"""The move operation, by its definition in docs/architecture.md."""

import numpy as np

from isa.config import WORD_BYTES, Config
from isa.memmap import Trap
from sim.loops import Runs, nest
from sim.outcome import Outcome, TrapError, require
from sim.registers import Registers

LOOPS = ("n2", "n1")


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
        counts = registers["move.counts"]
        require(all(counts.values()), Trap.SHAPE)
        base = registers["move.external.base"]["address"]
        steps = [registers[f"move.external.{n}"]["stride"] * np.arange(counts[n]) for n in LOOPS]
        start = (base + np.add.outer(*steps).ravel()) % (1 << 32)
        require(not np.any(start % WORD_BYTES), Trap.ADDRESS)
        self.length = counts["words"]
        near = nest(registers, "move.scratchpad", counts, LOOPS, window=False)
        Runs(near, config.words, self.length)
        self.runs = [(slice(far, far + self.length), slice(address, address + self.length))
                     for far, address in zip((start // WORD_BYTES).tolist(),
                                             near.address.ravel().tolist(), strict=True)]
        self.last = max(far.stop for far, _ in self.runs)
        self.store = registers["move.mode"]["store"]

    def run(self, words: np.ndarray, external: np.ndarray) -> Outcome:
        """Once, between the scratchpad `words` and `external`."""
        require(self.last * WORD_BYTES <= external.size, Trap.BUS)
        far_words = external[:external.size // WORD_BYTES * WORD_BYTES].view("<u8")
        total = len(self.runs) * self.length
        if self.store:
            for far, near in self.runs:
                far_words[far] = words[near]
            return Outcome(words_stored=total)
        for far, near in self.runs:
            words[near] = far_words[far]
        return Outcome(words_filled=total)
