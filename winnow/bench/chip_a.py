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
from winnow.errors import UserError
from winnow.train import Settings

MECHANISMS = ("lasso", "gate", "images")
CHANCE = "chance"  # as many images are skipped as by `images`, but drawn
POINTS = 3  # of a run that are measured, if none are named


@dataclass(frozen=True)
class Row:
    """A run. `operations` and `cycles` are how many times fewer than those of ``none``, over the
    steps that were measured; of dense training that ends early they are those of the run."""

    name: str
    mechanisms: tuple[str, ...]
    accuracy: float
    operations: float
    cycles: float
    differences: tuple[str, ...] = ()

    @property
    def conversion(self) -> float:
        return self.cycles / self.operations


def mechanisms(chosen: dict[str, dict]) -> dict[str, dict]:
    """The settings of the three mechanisms (`winnow.bench.mechanisms.chosen`), and of chance."""
    how, _, share = chosen["images"]["skip_images"].partition(":")
    if how != "quantile":
        raise UserError(f"--skip-images {how}:{share}: must be quantile:S, so that as many images "
                        f"can be skipped by chance")
    return chosen | {CHANCE: {"skip_images": f"random:{share}"}}


def variants() -> list[Variant]:
    """Dense; the eight combinations, with all exact mechanisms; two with chance."""
    sets = [found for size in range(len(MECHANISMS) + 1)
            for found in combinations(MECHANISMS, size)]
    sets += [(CHANCE,), (*MECHANISMS[:-1], CHANCE)]
    return [Variant("none", ())] + [Variant("+".join(found) or "exact", (*WHOLE, *found))
                                    for found in sets]


def points(steps: int, refresh: int) -> tuple[int, ...]:
    """Steps in the middle of `POINTS` parts of a run of so many, which choose no masks, and one in
    the middle that does, if there is one."""
    middles = [steps * (2 * i + 1) // (2 * POINTS) for i in range(POINTS)]
    plain = [step - (refresh > 1 and (step + 1) % refresh == 0 and step > 0) for step in middles]
    chooses = steps // 2 // refresh * refresh + refresh - 1
    return (*plain, chooses) if chooses < steps else tuple(plain)


def measure(settings: Settings, chosen: dict[str, dict], steps: tuple[int, ...], folder: Path, *,
            data_path: Path | None = None, show: bool = True) -> tuple[list[Row], list[Result]]:
    """All runs, and the measured steps of all but the last.

    Parameters
    ----------
    settings : of the run, with no mechanism
    chosen : the settings of the three mechanisms
    steps : training steps before one that is measured; none: `points`
    folder : where what is done is kept
    data_path : of the data set
    show : progress bars on stderr
    """
    how, made = mechanisms(chosen), variants()
    refresh = {variant.name: ablation.settings_with(settings, how, variant.training).recipe.refresh
               for variant in made}
    often = min(filter(None, refresh.values()))
    results = ablation.measure(settings, how, made, steps, folder, data_path=data_path, show=show,
                               default=lambda steps: points(steps, often))
    base = [r for r in results if r.variant == "none"]
    rows = [_row(variant, base, [r for r in results if r.variant == variant.name],
                 refresh[variant.name]) for variant in made]
    whole = next(row for row in rows if row.mechanisms == MECHANISMS)
    dataset = datasets.load(settings.data, data_path, settings.train_images, settings.test_images)
    return [*rows, _short(ablation.training_with(settings, how, (), dataset, folder),
                          whole.operations, data_path)], results


def _short(dense: Training, times: float, data_path: Path | None) -> Row:
    """Dense training that ends when it has done so many times fewer operations."""
    steps = dense.session.steps
    some = max(1, round(steps / times))
    return Row(f"none, {some} of {steps} steps", (), dense.accuracy_after(some, data_path),
               steps / some, steps / some)


def _row(variant: Variant, base: list[Result], own: list[Result],
         refresh: int | None) -> Row:
    def times(name: str) -> float:
        return (sum(getattr(r, name) for r in base) / len(base)
                / _mean([getattr(r, name) for r in own], [r.chooses for r in own], refresh))

    return Row(variant.name, variant.training, own[0].accuracy, times("macs"), times("cycles"),
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
             f"{'accuracy':>9}"]
    lines += [f"{row.name:<{width}} {row.operations:>11.2f} {row.cycles:>7.2f} "
              f"{row.conversion:>11.1%} {row.accuracy:>9.2%}" for row in rows]
    wrong = [f"WRONG: {row.name}: {difference}" for row in rows for difference in row.differences]
    return "\n".join(lines + (wrong or ["every byte equal to the model's"]))


def as_json(settings: Settings, chosen: dict[str, dict], rows: list[Row],
            results: list[Result]) -> dict:
    """All figures, and what they were measured with."""
    return {"settings": asdict(settings), "mechanisms": mechanisms(chosen),
            "runs": [asdict(row) | {"conversion": row.conversion} for row in rows],
            "steps": [asdict(r) | {"equal": r.equal} for r in results]}


def picture(rows: list[Row]) -> bytes:
    """A PNG: accuracy over operations saved, and cycles saved over operations saved."""
    figure, (left, right) = pictures.pyplot().subplots(1, 2, figsize=(11, 5), layout="constrained")
    for row in rows:
        left.scatter(row.operations, 100 * row.accuracy)
        left.annotate(row.name, (row.operations, 100 * row.accuracy), fontsize="small",
                      xytext=(4, 4), textcoords="offset points")
        right.scatter(row.operations, row.cycles)
        right.annotate(row.name, (row.operations, row.cycles), fontsize="small",
                       xytext=(4, 4), textcoords="offset points")
    most = max(row.operations for row in rows)
    right.plot([1, most], [1, most], linestyle="--", color="grey", linewidth=1)
    left.set(xlabel="times fewer multiply-adds", ylabel="test accuracy, %")
    right.set(xlabel="times fewer multiply-adds", ylabel="times fewer cycles")
    return pictures.png(figure)
