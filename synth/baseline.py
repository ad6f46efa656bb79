"""The main figures of synthesis, committed, and what moved against them."""

import json
from dataclasses import dataclass
from pathlib import Path

from isa import config
from synth import generic
from synth.errors import SynthesisError

PATH = Path(__file__).with_name("baseline.json")
RUNS = ("tree", "small"), ("core", "small"), ("chip", "small")
FIGURES = ("combinational_cells", "flip_flops", "memory_bits", "depth")
TOLERANCE = 0.01  # of a figure: less is not said to have moved


@dataclass(frozen=True)
class Moved:
    """A figure that is not what it was; None where there was or is none."""

    name: str
    was: float | None
    now: float | None

    def __str__(self) -> str:
        if self.was is None or self.now is None:
            return f"{self.name:<44} {_shown(self.was):>12} -> {_shown(self.now):>12}"
        change = f"{self.now / self.was - 1:+.1%}" if self.was else "new"
        return f"{self.name:<44} {_shown(self.was):>12} -> {_shown(self.now):>12}  {change}"


def measured() -> dict[str, int]:
    """The figures of this source, by name; of a chip also the cells of its units."""
    found = {}
    for unit, name in RUNS:
        figures = generic.run(unit, config.named(name))
        about = f"{unit} of {name}"
        found |= {f"{about}: {figure}": figures[figure] for figure in FIGURES}
        found |= {f"{about}: cells of {path.removeprefix('chip.')}": of["combinational_cells"]
                  for path, of in figures["units"].items()
                  if unit == "chip" and path.count(".") == 1 and of["combinational_cells"]}
    return found


def read(path: Path = PATH) -> dict[str, int]:
    """The committed figures."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SynthesisError(f"{path}: cannot be read: {error}") from None


def moved(was: dict[str, float], now: dict[str, float]) -> list[Moved]:
    """The figures that differ by more than `TOLERANCE`, and those that came or went."""
    return [Moved(name, was.get(name), now.get(name)) for name in sorted(was | now)
            if name not in was or name not in now
            or abs(now[name] - was[name]) > TOLERANCE * abs(was[name])]


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:,}"
