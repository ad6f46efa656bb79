"""How many cycles an operation takes, from the configuration and its registers alone."""

from dataclasses import dataclass
from math import prod

from isa.config import Config
from isa.registers import BLOCKS, POSITIONS, REDUCTION, ROWS
from sim.draining import Draining
from sim.feeding import Feeding
from sim.registers import Registers

ACCUMULATORS = 2  # blocks that a core holds: one is fed while the other is drained


@dataclass(frozen=True)
class Cycles:
    """Cycles of one operation, from its start to its last write, both included."""

    total: int
    words: int = 0  # of the stream, of all groups


def tensor(config: Config, registers: Registers) -> Cycles:
    """A tensor operation that traps at nothing, with the scratchpad to itself."""
    positions = registers["tensor.positions"]
    counts = {loop: positions[loop] for loop in (*POSITIONS, *ROWS)}
    counts |= registers["tensor.reduction"] | registers["tensor.blocks"]
    counts["core"] = positions["cores"]
    groups, merge = (registers["tensor.groups"][name] for name in ("groups", "merge"))
    size = prod(counts[p] for p in POSITIONS)
    blocks = prod(counts[b] for b in BLOCKS)
    feeds = [Feeding(config, registers, counts, group) for group in range(groups)]
    drain = Draining(config, registers, size, counts["core"] * (1 if merge else groups))
    free = [0] * ACCUMULATORS
    for block in range(blocks):
        room = free[block % ACCUMULATORS]
        fed = [feed.block(room) for feed in feeds]
        complete = max(first for first, _ in fed) + config.tree_stages + 1
        free[block % ACCUMULATORS] = drain.block(complete)
    words = blocks * groups * size * prod(counts[r] for r in REDUCTION)
    return Cycles(drain.finish() + 1, words)
