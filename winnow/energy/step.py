"""What a whole training step takes: its multiply-adds, and the memory accesses that its counters
say."""

import json
from dataclasses import dataclass
from pathlib import Path

from isa.config import Config
from sim.machine import SKIPPED
from winnow import files
from winnow.energy import accesses
from winnow.energy.accesses import Range
from winnow.errors import UserError

COUNTERS = "macs", *SKIPPED, "words_read", "words_written", "words_filled", "words_stored"


@dataclass(frozen=True)
class Counted:
    """What `winnow bench phases --json` found: `counters`, and the `share` of each phase in the
    multiply-adds."""

    network: str
    counters: dict[str, int]
    share: dict[str, float]

    @property
    def dense(self) -> int:
        """Multiply-adds with nothing left out."""
        return self.counters["macs"] + sum(self.counters[name] for name in SKIPPED)

    @property
    def skips(self) -> bool:
        return self.dense > self.counters["macs"]


@dataclass(frozen=True)
class StepEnergy:
    """In pJ a multiply-add of the dense step: by part, and all of it. Feed, drain, vector unit,
    control, external port and the trees of the clock are not in it."""

    external: str
    parts: dict[str, Range]
    total: Range


def read(path: Path) -> Counted:
    """`UserError` where the file is not of `winnow bench phases`."""
    try:
        found = json.loads(files.read_text(path))
        phases = [(row["phase"], row["macs"]) for row in found["phases"]]
        counters = {name: int(found["counters"][name]) for name in COUNTERS}
        network, total = found["network"], sum(macs for _, macs in phases)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: must be what `winnow bench phases --json` writes: "
                        f"{error!r}") from None
    share = {}
    for phase, macs in phases:
        share[phase] = share.get(phase, 0) + macs / total
    return Counted(network, counters, share)


def energy(config: Config, counted: Counted, effective: dict[str, float],
           memory: str) -> StepEnergy:
    """Of a step.

    Parameters
    ----------
    effective : by phase, pJ a multiply-add of the dense step in the tensor cores
    memory : external, DDR or HBM2
    """
    core = sum(share * effective[phase] for phase, share in counted.share.items())
    parts = {"tensor cores": Range(core, core)} | {
        name: each * (1 / counted.dense)
        for name, each in accesses.of_step(config, counted.counters, memory).items()}
    total = Range(0.0, 0.0)
    for each in parts.values():
        total += each
    return StepEnergy(memory, parts, total)
