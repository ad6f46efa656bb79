"""The report of a training run: figures, a table, a picture."""

from dataclasses import asdict, dataclass, field

from isa.config import Config
from winnow import pictures
from winnow.compiler.training import PHASES, TrainingProgram
from winnow.session import Progress


@dataclass
class Report:
    """What `winnow run` found; `as_json` is what report.json holds."""

    network: str
    data: str
    device: str
    seed: int
    config: Config
    images: dict[str, int]
    test_accuracy: float = 0.0
    measure: str = "test accuracy"  # what that is
    memory_equal: bool | None = None  # with the model's; None where only the model ran
    first_difference: str | None = None
    weight_hashes: list[str] = field(default_factory=list)
    cycles: int = 0
    cycles_per_second: int = 0
    utilisation: dict[str, float] = field(default_factory=dict)
    layers: list[dict] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    live_weights: dict[str, float] = field(default_factory=dict)  # of layers that are pruned
    skipped_images: float = 0.0  # the share of images of training steps without BP and WU
    seconds: dict[str, float] = field(default_factory=dict)
    curve: list[Progress] = field(default_factory=list)

    def as_json(self) -> dict:
        return asdict(self)

    def count(self, program: TrainingProgram, counters: dict[str, int],
              tags: list[dict[str, int]]) -> None:
        """Take the counters of a device that measures cycles."""
        self.counters = counters
        self.cycles = counters["cycles"]
        for phase in PHASES:
            rows = [(group.name, found) for group, found in zip(program.counted, tags, strict=False)
                    if group.phase == phase]
            busy, words = (sum(row[name] for _, row in rows) for name in ("busy", "words"))
            self.utilisation[phase] = words / busy if busy else 0.0
            self.layers += [
                {"layer": name, "phase": phase, "busy_cycles": row["busy"],
                 "stream_words": row["words"], "utilisation": row["words"] / row["busy"]}
                for name, row in rows if row["busy"]]

    def text(self) -> str:
        """A few lines for the terminal."""
        lines = [f"{self.measure:<19}{self.test_accuracy:.2%}"]
        if self.skipped_images:
            lines.append(f"skipped images     {self.skipped_images:.1%}")
        if self.cycles:
            lines.append(f"simulated cycles   {self.cycles:,}  "
                         f"({self.cycles_per_second:,} a second)")
            lines.append("tensor utilisation " + "  ".join(
                f"{phase} {value:.1%}" for phase, value in self.utilisation.items()))
            lines += [f"  {row['layer']:<8} {row['phase']}  {row['utilisation']:6.1%} of "
                      f"{row['busy_cycles']:>10,} cycles" for row in self.layers]
        if self.live_weights:
            lines.append("live weights       " + "  ".join(
                f"{layer} {share:.1%}" for layer, share in self.live_weights.items()))
            lines += [f"warning            all weights of {layer} are pruned, or too small for "
                      f"FP8" for layer, share in self.live_weights.items() if not share]
        if self.memory_equal is not None:
            equal = "every byte equal" if self.memory_equal else \
                f"DIFFERS: {self.first_difference}"
            lines.append(f"memory and model   {equal}")
        return "\n".join(lines)


def picture(report: Report) -> bytes:
    """A PNG: loss and accuracy by step, utilisation by layer and phase."""
    figure, (left, right) = pictures.pyplot().subplots(1, 2, figsize=(11, 4), layout="constrained")
    steps = [point.step for point in report.curve]
    left.plot(steps, [point.accuracy for point in report.curve], label="training accuracy")
    left.plot(steps, [point.loss for point in report.curve], label="loss")
    left.axhline(report.test_accuracy, linestyle="--", color="grey",
                 label=f"{report.measure} {report.test_accuracy:.1%}")
    lowest = min(0.0, *(point.loss for point in report.curve))
    left.set(xlabel="step", ylim=(lowest, 1), title=f"{report.network} on the {report.device}")
    left.legend()
    names = list(dict.fromkeys(row["layer"] for row in report.layers))
    for shift, phase in enumerate(PHASES):
        rows = [row for row in report.layers if row["phase"] == phase]
        right.bar([names.index(row["layer"]) + 0.27 * (shift - 1) for row in rows],
                  [row["utilisation"] for row in rows], width=0.25, label=phase)
    right.set(xticks=range(len(names)), xticklabels=names, ylim=(0, 1),
              title="tensor core, words a cycle of its own operations")
    right.legend(loc="lower right")
    return pictures.png(figure)
