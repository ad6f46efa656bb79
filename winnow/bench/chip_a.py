"""`winnow bench chip-a`: what group Lasso, channel gating and gradient skipping save, in all
combinations, after the table of the training processor with these mechanisms (Venkataramanaiah
et al., JSSC 58(7), 2023; only the ideas and the ratios are known).

The network is trained on the model for each combination. Whole steps of each run are measured in
the Verilog; what they do and take stands for the run. Beside them: chance instead of the error in
the choice of images, and dense training that ends when it has done as much as all three together.
"""

from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

from winnow import datasets, pictures
from winnow.bench import ablation
from winnow.bench.ablation import Result, Training
from winnow.bench.mechanisms import WHOLE, Variant
from winnow.train import Settings

MECHANISMS = ("lasso", "gate", "images")
EXACTLY = "exact"  # dense training that leaves out zeros
WITH_IMAGES = (("images",), MECHANISMS)  # the combinations that chance stands beside
POINTS = 3  # of a run that are measured, if none are named


@dataclass(frozen=True)
class Row:
    """A run. `operations_saved` and `cycles_saved` are how many times fewer than those of ``none``,
    over the steps that were measured. Dense training that ends early leaves out zeros like the
    others, and has the rates of the whole run so far."""

    name: str
    mechanisms: tuple[str, ...]
    accuracy: float
    skipped_images: float  # the share of the run's
    operations_saved: float
    cycles_saved: float
    differences: tuple[str, ...] = ()

    @property
    def conversion(self) -> float:
        return self.cycles_saved / self.operations_saved


def _chance(combination: tuple[str, ...]) -> str:
    """The mechanism that skips as many images as `images` in a combination, but drawn."""
    return "chance" if len(combination) == 1 else "chance of all"


def variants() -> list[Variant]:
    """Dense; the eight combinations, with all exact mechanisms; two with chance."""
    sets = [found for size in range(len(MECHANISMS) + 1)
            for found in combinations(MECHANISMS, size)]
    sets += [(*found[:-1], _chance(found)) for found in WITH_IMAGES]
    return [Variant("none", ())] + [
        Variant("+".join(found) or EXACTLY, (*WHOLE, *found)) for found in sets]


def points(steps: int, refreshes: set[int]) -> tuple[int, ...]:
    """Steps in the middle of `POINTS` parts of a run of so many, which choose no masks, and for
    each of `refreshes` one in the middle that does, if there are any."""
    middles = [steps * (2 * i + 1) // (2 * POINTS) for i in range(POINTS)]
    plain = [next((step for step in range(middle, -1, -1)
                   if all((step + 1) % r for r in refreshes)), middle) for middle in middles]
    choosing = [steps // 2 // r * r + r - 1 for r in sorted(refreshes)]
    return (*plain, *(step for step in choosing if step < steps))


def measure(settings: Settings, chosen: dict[str, dict], steps: tuple[int, ...], folder: Path, *,
            data_path: Path | None = None, show: bool = True
            ) -> tuple[list[Row], dict[str, dict], list[Result]]:
    """All runs, the settings of all mechanisms, and the measured steps of all runs but the last.

    Parameters
    ----------
    settings : of the run, with no mechanism
    chosen : the settings of the three mechanisms (`winnow.bench.mechanisms.chosen`)
    steps : training steps before one that is measured; none: `points`
    folder : where what is done is kept
    data_path : of the data set
    show : progress bars on stderr
    """
    made = variants()
    dataset = datasets.load(settings.data, data_path, settings.train_images, settings.test_images)
    runs = [ablation.training_with(settings, chosen, found, dataset, folder)
            for found in WITH_IMAGES]
    refresh = {variant.name: ablation.settings_with(
        settings, chosen, tuple(m for m in variant.training if m in MECHANISMS)).recipe.refresh
        for variant in made}
    steps = steps or points(runs[0].session.steps, set(filter(None, refresh.values())))
    how = dict(chosen)
    for found, run in zip(WITH_IMAGES, runs, strict=True):
        run.run(ablation.checked(steps, run.session), data_path)
        how[_chance(found)] = {"skip_images": f"random:{run.skipped_images:.4f}"}
    results = ablation.measure(settings, how, made, steps, folder, data_path=data_path, show=show)
    base = [r for r in results if r.variant == "none"]
    rows = [_row(variant, base, [r for r in results if r.variant == variant.name],
                 refresh[variant.name]) for variant in made]
    dense = ablation.training_with(settings, how, (), dataset, folder)
    return [*rows, _short(dense, rows, data_path)], how, results


def _short(dense: Training, rows: list[Row], data_path: Path | None) -> Row:
    """Dense training that ends when it has done as much as that with all three mechanisms."""
    exact = next(row for row in rows if row.name == EXACTLY)
    whole = next(row for row in rows if row.mechanisms == MECHANISMS)
    steps = dense.session.steps
    some = min(steps, max(1, round(steps * exact.operations_saved / whole.operations_saved)))
    return Row(f"{EXACTLY}, {some} of {steps} steps", (), dense.accuracy_after(some, data_path), 0,
               exact.operations_saved * steps / some, exact.cycles_saved * steps / some)


def _row(variant: Variant, base: list[Result], own: list[Result], refresh: int | None) -> Row:
    def times(name: str) -> float:
        return (sum(getattr(r, name) for r in base) / len(base)
                / _mean([getattr(r, name) for r in own], [r.chooses for r in own], refresh))

    return Row(variant.name, variant.training, own[0].accuracy, own[0].skipped_images,
               times("macs"), times("cycles"),
               tuple(f"after {r.step} steps: {r.difference}" for r in own if r.difference))


def _mean(values: list[int], chooses: list[bool], refresh: int | None) -> float:
    """Over a run in which one step of `refresh` chooses masks, if any."""
    parts = [[v for v, choice in zip(values, chooses, strict=True) if choice is kind]
             for kind in (False, True)]
    if not all(parts):
        return sum(values) / len(values)
    plain, choosing = (sum(part) / len(part) for part in parts)
    return plain + (choosing - plain) / refresh


def table(rows: list[Row]) -> str:
    """A line for each run."""
    width = max(len(row.name) for row in rows)
    lines = [f"{'':<{width}} {'times fewer':^19}",
             f"{'on':<{width}} {'operations':>11} {'cycles':>7} {'conversion':>11} "
             f"{'images skipped':>15} {'accuracy':>9}"]
    lines += [f"{row.name:<{width}} {row.operations_saved:>11.2f} {row.cycles_saved:>7.2f} "
              f"{row.conversion:>11.1%} {row.skipped_images:>15.1%} {row.accuracy:>9.2%}"
              for row in rows]
    wrong = [f"WRONG: {row.name}: {difference}" for row in rows for difference in row.differences]
    return "\n".join(lines + (wrong or ["every byte equal to the model's"]))


def as_json(settings: Settings, how: dict[str, dict], rows: list[Row],
            results: list[Result]) -> dict:
    """All figures, and what they were measured with: settings of the runs, by mechanism what is
    changed for it."""
    return {"settings": asdict(settings), "mechanisms": how,
            "runs": [asdict(row) | {"conversion": row.conversion} for row in rows],
            "steps": [asdict(r) | {"equal": r.equal} for r in results]}


def picture(rows: list[Row]) -> bytes:
    """A PNG: accuracy over operations saved, and cycles saved over operations saved."""
    figure, (left, right) = pictures.pyplot().subplots(1, 2, figsize=(11, 5), layout="constrained")
    for row in rows:
        left.scatter(row.operations_saved, 100 * row.accuracy)
        left.annotate(row.name, (row.operations_saved, 100 * row.accuracy), fontsize="small",
                      xytext=(4, 4), textcoords="offset points")
        right.scatter(row.operations_saved, row.cycles_saved)
        right.annotate(row.name, (row.operations_saved, row.cycles_saved), fontsize="small",
                       xytext=(4, 4), textcoords="offset points")
    most = max(row.operations_saved for row in rows)
    right.plot([1, most], [1, most], linestyle="--", color="grey", linewidth=1)
    left.set(xlabel="times fewer multiply-adds", ylabel="test accuracy, %")
    right.set(xlabel="times fewer multiply-adds", ylabel="times fewer cycles")
    return pictures.png(figure)
