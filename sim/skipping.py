"""What a tensor operation leaves out (docs/architecture.md, "Skipping"): counted, never computed.

Results do not depend on it, so nothing here touches a sum.
"""

import numpy as np

from isa.config import LANES, TREES, Config
from isa.memmap import Trap
from isa.registers import BLOCKS, POSITIONS, REDUCTION, ROWS, Skip
from sim import floats
from sim.drain import Drain
from sim.loops import Items, Runs, as_bytes, nest
from sim.outcome import Outcome, require
from sim.registers import Registers

OUTER = (*BLOCKS[::-1], "group")  # the loops around a pass, outermost first


def check(config: Config, registers: Registers) -> None:
    """SHAPE where `skip` asks for what the operation or the chip has not."""
    mode, skip = registers["tensor.mode"], registers["tensor.mode"]["skip"]
    elements, outputs = skip & Skip.ELEMENTS, skip & Skip.OUTPUTS
    r0, p0 = registers["tensor.reduction"]["r0"], registers["tensor.positions"]["p0"]
    for holds in (
        config.slot > 1 or not (elements or outputs),
        not (elements and outputs),
        not mode["turn_stream"] or not (elements or outputs),
        not elements or r0 <= config.slot,
        not elements or r0 == 1 or _consecutive(registers, "r0"),
        not outputs or (mode["mask"] and not mode["turn_output"]),
        not outputs or (p0 % config.slot == 0 and _consecutive(registers, "p0")),
        not outputs or not mode["gate"],
    ):
        require(holds, Trap.SHAPE)


def _consecutive(registers: Registers, loop: str) -> bool:
    """Whether a loop moves the stream by one word, in its row and column."""
    return registers[f"tensor.stream.{loop}"] == {"stride": 1, "dy": 0, "dx": 0}


class Skipping:
    """Counts what is left out of an operation that was checked.

    Parameters
    ----------
    config, registers
    counts : how often each loop runs
    both, streamed, tiled : outer loops that move both operands, the stream or nothing, the tiles
    reduction : the loops that a sum runs over
    drain : Drain, whose mask says which outputs are dead
    """

    def __init__(self, config: Config, registers: Registers, counts: dict[str, int],
                 both, streamed, tiled, reduction, drain: Drain):
        self.skip = registers["tensor.mode"]["skip"]
        self.gate = registers["tensor.mode"]["gate"]
        self.counts, self.both, self.streamed, self.tiled = counts, both, streamed, tiled
        self.reduction, self.drain = reduction, drain
        tiles = nest(registers, "tensor.stationary", counts,
                     (*both, *tiled, *reduction, "core", *ROWS[::-1]))
        stream = nest(registers, "tensor.stream", counts,
                      (*both, *streamed, *reduction, *POSITIONS[::-1]))
        self._check_slots(config, stream)
        self.tiles, self.stream = Runs(tiles, config.words), Runs(stream, config.words)

    def _check_slots(self, config: Config, stream: Items):
        """ADDRESS where a slot does not begin at a multiple of its size."""
        loop = {Skip.ELEMENTS: REDUCTION[0], Skip.OUTPUTS: POSITIONS[0]}.get(
            Skip(self.skip & ~Skip.TILES))
        if loop is None:
            return
        axes = (*self.both, *self.streamed, *self.reduction, *POSITIONS[::-1])
        step = config.slot if loop == POSITIONS[0] else self.counts[loop]
        first = [slice(None)] * len(axes)
        first[axes.index(loop)] = slice(None, None, step)
        firsts = stream[tuple(first)]
        require(not np.any(firsts.inside & (firsts.address % config.slot != 0)), Trap.ADDRESS)

    def count(self, words: np.ndarray, outcome: Outcome, gates: np.ndarray | None) -> None:
        """Move what is left out from `outcome.macs` to the counter of its cause. `gates` is where
        they are open, (both, streamed x position, tiled x tree)."""
        c = self.counts
        cores, positions = c["core"], np.prod([c[p] for p in POSITIONS])
        batch, streams, tiles, passes = (int(np.prod([c[n] for n in names])) for names in (
            self.both, self.streamed, self.tiled, self.reduction))
        live = np.ones((batch, tiles, passes), bool)
        if self.skip & Skip.TILES:
            zero = _zeros(self.tiles, words).reshape(batch, tiles, passes, -1)
            live = ~zero.all(axis=-1)
            if self.gate and not self.skip & Skip.ELEMENTS:
                live[..., 0] = True  # the first pass of a block sets its sums
            outcome.skipped_tiles = int(np.sum(~live) * streams * positions * cores
                                        * TREES * LANES)
        base, shut = passes, None  # passes before the gates, and where these are shut
        if gates is not None:
            base = passes // self.counts["r4"]
            shut = ~gates.reshape(batch, -1, tiles, TREES)[..., 0]
            outcome.skipped_outputs = int(np.sum(
                live[..., base:].sum(axis=-1)[:, np.newaxis] * shut)) * TREES * LANES
        if self.skip & Skip.ELEMENTS:
            zero = _zeros(self.stream, words).reshape(batch, streams, passes, positions, LANES)
            zero = zero.sum(axis=-1)
            found = np.sum(live[..., :base].sum(axis=1) * zero[:, :, :base].sum(axis=(1, 3)))
            if base < passes:
                behind = zero[:, :, base:].swapaxes(2, 3).reshape(batch, -1, passes - base)
                found += np.sum((behind @ live[..., base:].swapaxes(1, 2)) * ~shut)
            outcome.skipped_elements = int(found) * TREES * cores
        if self.skip & Skip.OUTPUTS:
            dead = _zeros(self.drain.mask, words)
            dead = dead.reshape(dead.shape[0], -1, cores, dead.shape[-1] * positions).sum((2, 3))
            outcome.skipped_outputs = int(np.sum(
                self._by_block(live.sum(axis=-1), len(dead)) * dead)) * LANES
        outcome.macs -= (outcome.skipped_tiles + outcome.skipped_elements
                         + outcome.skipped_outputs)

    def _by_block(self, passes: np.ndarray, blocks: int) -> np.ndarray:
        """Passes (both, tiled) as (block, drained group)."""
        names = [*self.both, *self.tiled]
        loops = [n for n in OUTER if n != "group" or n not in self.reduction]
        order = [names.index(n) for n in loops if n in names]
        passes = passes.reshape([self.counts[n] for n in names]).transpose(order)
        passes = passes.reshape([self.counts[n] if n in names else 1 for n in loops])
        return np.broadcast_to(passes, [self.counts[n] for n in loops]).reshape(blocks, -1)


def _zeros(runs: Runs, words: np.ndarray) -> np.ndarray:
    """Which elements are zero, (items, 8); what is outside is."""
    return floats.element_zero(as_bytes(runs.read(words)))
