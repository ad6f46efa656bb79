"""About how many cycles an operation takes, from the registers that are not at their defaults.

The bounds of `sim.cycles` without its walk through blocks: for choosing and ordering thousands of
operations. Addresses do not matter, so nothing needs to be placed.
"""

from math import prod

from isa.config import LANES, Config
from isa.formats import FORMATS, FormatCode
from isa.registers import BLOCKS, POSITIONS, REDUCTION, AuxMode, StatsMode, Unit
from sim.registers import datapath_counts

START = 25  # from one operation to the next of a unit
MEMORY = 40  # and to the first word of external memory


def estimate(config: Config, unit: Unit, registers: dict[str, dict[str, int]]) -> int:
    """Cycles of an operation that nothing holds up."""
    return {Unit.TENSOR: _tensor, Unit.VECTOR: _vector, Unit.MOVE: _move}[unit](config, registers)


def _tensor(config: Config, registers) -> int:
    counts = registers.get("tensor.positions", {})
    positions = prod(counts.get(p, 1) for p in POSITIONS)
    passes = prod(registers.get("tensor.reduction", {}).get(r, 1) for r in REDUCTION)
    blocks = prod(registers.get("tensor.blocks", {}).get(b, 1) for b in BLOCKS)
    groups = registers.get("tensor.groups", {})
    drained = counts.get("cores", 1) * (1 if groups.get("merge") else groups.get("groups", 1))
    mode = registers.get("tensor.mode", {})
    written = {FormatCode.BINARY32: 4, FormatCode.RAW: config.raw_words}.get(mode.get("output"), 1)
    read = mode.get("mask", 0) + (mode.get("stats") == StatsMode.NORM)
    serial = config.raw_words if mode.get("aux") == AuxMode.RAW else 1
    drain = positions * drained * max(written, read, serial)
    flush = drained * (2 * config.raw_words + START) if mode.get("stats") else 0
    return START + blocks * max(passes * max(positions, LANES), drain) + drain + flush


def _vector(config: Config, registers) -> int:
    groups = prod(datapath_counts(registers, config.vector_datapaths).values())
    formats = [*registers["vector.inputs"].values()]
    written = 0  # by the converter, which all outputs share
    for name in ("o0", "o1", "o2"):
        mode = registers.get(f"vector.{name}.mode")
        if mode:
            formats.append(mode["format"])
            if mode["format"] != FormatCode.BINARY32:
                written += FORMATS[mode["format"]].group_words
    reduced = registers["vector.op"]["reduce"]
    widest = max((FORMATS[fmt].group_words for fmt in formats), default=1)
    return START + groups * max(widest, 1 if reduced else written)


def _move(config: Config, registers) -> int:
    return MEMORY + prod(registers["move.counts"].values()) // config.axi_words
