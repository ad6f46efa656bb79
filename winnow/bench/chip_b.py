"""`winnow bench chip-b`: dynamic weight pruning, compression with regrouping, and the sources of
redundancy that are exact, each on top of the one before, after the table of the training processor
with these mechanisms (Wang et al., VLSI 2021, JSSC 2022; only the ideas and the ratios are known).

At each density the network is trained on the model and a whole step is measured in the Verilog:
with zeros left out, and maps, weights or what the device chooses as the stream, from which the
groups of cores follow; then without errors that a ReLU killed (R2), without gradients of pruned
weights (R3), and without both. Where weights stream there is no R2; the program prunes gradients
only at densities where that is faster. Outputs that are thrown away in FP (R1) are not speculated
on: docs/decisions.md.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from winnow import pictures
from winnow.bench import ablation
from winnow.bench.ablation import Result
from winnow.bench.mechanisms import Variant
from winnow.errors import UserError
from winnow.train import Settings

ZEROS = ("tiles", "elements")
SOURCES = {"R2": ("errors",), "R3": ("gradients",), "R2+R3": ("outputs",)}
MAPS, WEIGHTS, CHOSEN = "maps", "weights", "chosen"  # what streams
FIXED = MAPS, WEIGHTS


@dataclass(frozen=True)
class Row:
    """A step at one density. Ratios are cycles of what is named over those of this row: of ``none``
    (dense, nothing pruned), of the better fixed stream, of no redundancy left out."""

    density: float
    on: str
    cycles: int
    over_none: float
    over_fixed: float | None
    over_chosen: float | None
    utilisation: float  # what is done over what all lanes could do
    means: dict[str, float]  # FP, BP, WU with what is left out, over what the lanes could do
    words: dict[str, int]
    accuracy: float
    chooses: bool  # the step chooses masks, in cycles that are counted


def densities(text: str) -> tuple[float, ...]:
    """Shares of the weights that stay, from D,D,..."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < d <= 1 for d in found) or len(set(found)) != len(found):
        raise UserError(f"--densities {text}: must be D,D,... with numbers above 0, at most 1, "
                        f"each once")
    return found


def pruning(given: dict) -> dict:
    """The settings of pruning (`winnow.bench.mechanisms.chosen`), without what the bench varies."""
    for option, instead in (("density", "--densities"), ("stream", "both ways are measured")):
        if option in given:
            raise UserError(f"--{option} {given[option]}: not of this bench ({instead})")
    return given


def _pruned(density: float) -> tuple[str, ...]:
    return () if density == 1 else (f"prune {density}",)


def variants(wanted: tuple[float, ...]) -> dict[tuple[float, str], Variant]:
    """By density and what is on. At density 1 no weight is pruned, so nothing is chosen and R3 is
    of nothing."""
    found = {(1.0, "none"): Variant("none", ())}
    for density in wanted:
        more = {MAPS: (), WEIGHTS: (), CHOSEN: ()} | SOURCES
        if density == 1:
            more = {MAPS: (), "R2": SOURCES["R2"]}
        found |= {(density, on): Variant(f"{density} {on}", (*ZEROS, *kinds, *_pruned(density)),
                                         on if on in FIXED and density < 1 else None)
                  for on, kinds in more.items()}
    return found


def measure(settings: Settings, how: dict, wanted: tuple[float, ...], steps: tuple[int, ...],
            folder: Path, *, data_path: Path | None = None,
            show: bool = True) -> tuple[list[Row], list[Result]]:
    """A row for each density and variant, after the last of `steps`; and all measured steps.

    Parameters
    ----------
    settings : of the run, with no mechanism
    how : the settings of pruning, but for its density
    wanted : shares of the weights that stay
    steps : training steps before one that is measured; none: all but the last
    folder : where what is done is kept
    data_path : of the data set
    show : progress bars on stderr
    """
    made = variants(wanted)
    mechanisms = {name: how | {"density": str(density)}
                  for density in wanted for name in _pruned(density)}
    results = ablation.measure(settings, mechanisms, list(made.values()), steps, folder,
                               data_path=data_path, show=show)
    last = {r.variant: r for r in results}  # steps are in order
    return [_row(density, on, last, made) for density, on in made], results


def _row(density: float, on: str, last: dict[str, Result], made: dict) -> Row:
    own = last[made[density, on].name]

    def over(*others: str, at: float = density) -> float:
        return min(last[made[at, other].name].cycles for other in others
                   if (at, other) in made) / own.cycles

    # Where nothing is chosen, maps stream.
    chosen = CHOSEN if (density, CHOSEN) in made else MAPS
    return Row(density, on, own.cycles, over("none", at=1.0),
               None if on == "none" else over(*FIXED), over(chosen) if on in SOURCES else None,
               own.utilisation, own.means, own.words, own.accuracy, own.chooses)


def table(rows: list[Row], results: list[Result]) -> str:
    """A line for each row; and what is wrong with any measured step."""
    def ratio(value: float | None) -> str:
        return "" if value is None else f"{value:.2f}"

    lines = [f"{'':<29} {'times faster than':^22} {'':>32} {'words, millions':>18}",
             f"{'density':>7} {'on':<8} {'cycles':>12} {'none':>7} {'fixed':>6} {'chosen':>7} "
             f"{'lanes busy':>11} {'FP / BP / WU, all':>20} {'on chip':>9} {'off':>8} "
             f"{'accuracy':>9}"]
    for row in rows:
        means = " / ".join(f"{row.means[phase]:.2f}" for phase in ("FP", "BP", "WU"))
        words = row.words
        inside = (words["words_read"] + words["words_written"]) / 1e6
        outside = (words["words_filled"] + words["words_stored"]) / 1e6
        lines.append(f"{row.density:>7} {row.on:<8} {row.cycles:>12,} {ratio(row.over_none):>7} "
                     f"{ratio(row.over_fixed):>6} {ratio(row.over_chosen):>7} "
                     f"{row.utilisation:>11.1%} {means:>20} {inside:>9.2f} {outside:>8.2f} "
                     f"{row.accuracy:>9.2%}" + "  masks are chosen" * row.chooses)
    wrong = [f"WRONG: {r.variant} after {r.step}: {r.difference}" for r in results if not r.equal]
    return "\n".join(lines + (wrong or ["every byte equal to the model's"]))


def as_json(settings: Settings, how: dict, rows: list[Row], results: list[Result]) -> dict:
    """All figures, and what they were measured with."""
    return {"settings": asdict(settings), "pruning": how, "rows": [asdict(row) for row in rows],
            "steps": [asdict(r) | {"equal": r.equal} for r in results]}


def picture(rows: list[Row]) -> bytes:
    """A PNG: how many times faster than dense, by density, a line for each variant."""
    figure, field = pictures.pyplot().subplots(figsize=(7, 5), layout="constrained")
    for on in dict.fromkeys(row.on for row in rows if row.on != "none"):
        own = sorted((1 - row.density, row.over_none) for row in rows if row.on == on)
        field.plot([100 * x for x, _ in own], [y for _, y in own], marker="o", label=on)
    field.axhline(1, linestyle="--", color="grey", linewidth=1)
    field.set(xlabel="weights that are pruned, %", ylabel="times fewer cycles than dense")
    field.legend()
    return pictures.png(figure)
