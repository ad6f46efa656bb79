"""What `winnow bench ablation` found, as a table, as JSON, as a picture."""

from dataclasses import asdict

from winnow import pictures
from winnow.bench.ablation import Result, Saved
from winnow.train import Settings


def table(results: list[Result]) -> str:
    """A line for each variant: multiply-adds and cycles are times fewer than those of none, and of
    the same training with no exact mechanism."""
    width = max(len(r.variant) for r in results) + 1
    saved = f"{'operations':>11} {'cycles':>7} {'conversion':>11}"
    lines = [f"{'':<{width}} {'':>12} {'over none':^31} {'over its own training':^31}",
             f"{'on':<{width}} {'cycles':>12} {saved} {saved} {'utilisation':>12} {'accuracy':>9}"]
    for step in dict.fromkeys(r.step for r in results):
        lines.append(f"after {step} training steps")
        lines += [f"{r.variant:<{width}} {r.cycles:>12,} {_saved(r.saved)} "
                  f"{_saved(r.saved_of_own)} {r.utilisation:>12.1%} {r.accuracy:>9.2%}"
                  + "  masks are chosen" * r.chooses
                  for r in results if r.step == step]
    wrong = [r for r in results if not r.equal]
    lines += [f"WRONG: {r.variant} after {r.step}: {r.difference}" for r in wrong] or [
        "every byte equal to the model's; exact mechanisms change no weight, every multiply-add is "
        "counted once"]
    return "\n".join(lines)


def _saved(saved: Saved) -> str:
    return f"{saved.operations:>11.2f} {saved.cycles:>7.2f} {saved.conversion:>11.1%}"


def as_json(settings: Settings, mechanisms: dict[str, dict], results: list[Result]) -> dict:
    """All figures, and what they were measured with."""
    return {"settings": asdict(settings), "mechanisms": mechanisms,
            "results": [asdict(r) | {"equal": r.equal} for r in results]}


def picture(results: list[Result]) -> bytes:
    """A PNG: a field for each step, bars of multiply-adds and cycles saved by variant, with their
    conversion and the accuracy."""
    steps = list(dict.fromkeys(r.step for r in results))
    names = [r.variant for r in results if r.step == steps[0]]
    figure, fields = pictures.pyplot().subplots(
        len(steps), 1, figsize=(9, (0.55 * len(names) + 1.2) * len(steps)), sharex=True,
        squeeze=False, layout="constrained")
    for field, step in zip(fields[:, 0], steps, strict=True):
        rows = [r for r in results if r.step == step]
        for shift, label, values in (
                (-0.2, "times fewer multiply-adds", [r.saved.operations for r in rows]),
                (0.2, "times fewer cycles", [r.saved.cycles for r in rows])):
            field.barh([i + shift for i in range(len(rows))], values, 0.38, label=label)
        for i, r in enumerate(rows):
            field.text(max(r.saved.operations, r.saved.cycles) + 0.03, i,
                       f"conversion {r.saved.conversion:.0%}, accuracy {r.accuracy:.1%}",
                       va="center", fontsize="small")
        field.set(yticks=range(len(rows)), yticklabels=names, title=f"after {step} training steps")
        field.invert_yaxis()
        field.margins(x=0.42)
    figure.legend(*fields[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    fields[-1, 0].set_xlabel("than with nothing on; conversion is cycles over multiply-adds")
    return pictures.png(figure)
