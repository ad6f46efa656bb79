"""Energies of memory accesses, published ones, and what those of a training step add up to.

The two tables: M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014
(45 nm, 0.9 V); N. Jouppi and others, "Ten lessons from three generations shaped Google's TPUv4i",
ISCA 2021 (7 nm). Both are of 64 bits. 28 nm lies between them. The second was entered without the
paper at hand.
"""

from dataclasses import asdict, dataclass

import numpy as np

from isa.config import WORD_BYTES, Config

HOROWITZ, JOUPPI = "Horowitz, ISSCC 2014, 45 nm", "Jouppi et al., ISCA 2021, 7 nm"


@dataclass(frozen=True)
class Access:
    """Of 64 bits, in pJ."""

    memory: str
    kib: int | None
    pj: float
    source: str


TABLE = (
    Access("SRAM", 8, 10.0, HOROWITZ), Access("SRAM", 32, 20.0, HOROWITZ),
    Access("SRAM", 1024, 100.0, HOROWITZ),
    Access("SRAM", 8, 7.5, JOUPPI), Access("SRAM", 32, 8.5, JOUPPI),
    Access("SRAM", 1024, 14.0, JOUPPI),
    Access("DDR", None, 1300.0, HOROWITZ), Access("DDR", None, 2600.0, HOROWITZ),
    Access("DDR", None, 1300.0, JOUPPI),
    Access("HBM2", None, 250.0, JOUPPI), Access("HBM2", None, 450.0, JOUPPI),
)


@dataclass(frozen=True)
class Range:
    """pJ, from the least to the most of the sources."""

    low: float
    high: float

    def __mul__(self, factor: float) -> "Range":
        return Range(self.low * factor, self.high * factor)

    def __add__(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.high + other.high)


def scratchpad(config: Config) -> Range:
    """A word of a bank, between the sizes of the table by powers."""
    size = np.log(config.scratchpad_kib / config.banks)
    found = []
    for source in (HOROWITZ, JOUPPI):
        rows = [row for row in TABLE if row.memory == "SRAM" and row.source == source]
        found.append(float(np.exp(np.interp(size, [np.log(row.kib) for row in rows],
                                            [np.log(row.pj) for row in rows]))))
    return Range(min(found), max(found))


def external(memory: str) -> Range:
    """A word of external memory, DDR or HBM2."""
    found = [row.pj for row in TABLE if row.memory == memory]
    return Range(min(found), max(found))


def of_step(config: Config, counters: dict[str, int], memory: str) -> dict[str, Range]:
    """pJ of the accesses that a step's counters say."""
    moved = counters["words_filled"] + counters["words_stored"]
    return {"scratchpad": scratchpad(config) * (counters["words_read"]
                                                + counters["words_written"]),
            memory: external(memory) * moved}


def as_json() -> list[dict]:
    return [asdict(row) | {"bits": 8 * WORD_BYTES} for row in TABLE]
