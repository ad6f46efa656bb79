"""The move operation, by its definition in docs/architecture.md."""

import numpy as np

from isa.config import WORD_BYTES, Config
from isa.memmap import Trap
from sim.loops import Items, as_words, check, nest
from sim.outcome import Outcome, TrapError, require
from sim.registers import Registers

LOOPS = ("n2", "n1")


def execute(config: Config, registers: Registers, words: np.ndarray,
            external: np.ndarray) -> Outcome:
    """Copy between the scratchpad `words` (uint64) and `external` memory (uint8)."""
    try:
        return _execute(registers, words, external)
    except TrapError as trap:
        return Outcome(trap=trap.cause)


def _execute(registers, words, external) -> Outcome:
    counts = registers["move.counts"]
    require(all(counts.values()), Trap.SHAPE)
    base = registers["move.external.base"]["address"]
    steps = [registers[f"move.external.{n}"]["stride"] * np.arange(counts[n]) for n in LOOPS]
    start = (base + np.add.outer(*steps).ravel()) % (1 << 32)
    require(not np.any(start % WORD_BYTES), Trap.ADDRESS)
    length = counts["words"]
    inside = nest(registers, "move.scratchpad", counts, LOOPS, window=False)
    inside = Items(inside.address.ravel(), inside.inside.ravel())
    check(words, inside, length)
    require(bool(np.all(start + length * WORD_BYTES <= external.size)), Trap.BUS)
    total = start.size * length
    store = registers["move.mode"]["store"]
    for far, near in zip(start, inside.address, strict=True):
        run = external[far:far + length * WORD_BYTES]
        if store:
            run[:] = words[near:near + length].view(np.uint8)
        else:
            words[near:near + length] = as_words(run)
    return Outcome(words_stored=total) if store else Outcome(words_filled=total)
