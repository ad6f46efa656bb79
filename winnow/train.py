"""`winnow train`: train a network on one device, in steps that survive an interruption."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from itertools import zip_longest
from math import inf
from pathlib import Path

import numpy as np

from isa.config import CONFIGS, Config
from winnow import checkpoint, datasets, files, losses, network, report, run
from winnow.checkpoint import Checkpoint
from winnow.compiler.gating.rule import Gating
from winnow.compiler.pruning.rule import Pruning
from winnow.compiler.recipe import RECIPES, Recipe, recipe_for
from winnow.compiler.training import TrainingProgram
from winnow.errors import UserError
from winnow.session import Progress, Round, Session

# What a user may set, beside the configuration: of the run, of the recipe, of its pruning.
RUN_OPTIONS = ("net", "data", "train_images", "test_images", "seed", "device")
RECIPE_OPTIONS = ("loss", "epochs", "batch", "rate", "decay", "momentum", "masters", "moments",
                  "rounding", "scaling", "error_scale", "clean_steps", "skip", "stream",
                  "skip_images")
PRUNE_OPTIONS = ("prune", "density", "refresh", "regrow", "shrink")
GATE_OPTIONS = ("gate", "gate_groups")
OPTIONS = RUN_OPTIONS + RECIPE_OPTIONS + PRUNE_OPTIONS + GATE_OPTIONS


@dataclass(frozen=True)
class Settings:
    """What decides the bits of a run. Counts of images are of the first ones, None is all."""

    config: Config = CONFIGS["small"]
    net: str = "digits"
    data: str = "digits"
    train_images: int | None = None
    test_images: int | None = None
    seed: int = 0
    device: str = "model"
    recipe: Recipe = RECIPES["digits"]

    @classmethod
    def of(cls, saved: Checkpoint) -> "Settings":
        """Those of a checkpoint."""
        given = {field.name: saved.settings[field.name] for field in fields(cls)}
        recipe = dict(given["recipe"])
        recipe["rates"] = tuple(map(tuple, recipe["rates"]))
        if recipe["prune"]:
            density = tuple(map(tuple, recipe["prune"]["density"]))
            recipe["prune"] = Pruning(**recipe["prune"] | {"density": density})
        if recipe.get("gate"):
            recipe["gate"] = Gating(**recipe["gate"])
        return cls(**given | {"config": Config(**given["config"]), "recipe": Recipe(**recipe)})

    def with_(self, config: Config, **options) -> "Settings":
        """Changed by what a user gave, of `OPTIONS`; another network or loss brings its own recipe.
        """
        net, loss = options.get("net", self.net), options.get("loss", self.recipe.loss)
        same = (net, loss) == (self.net, self.recipe.loss)
        recipe = self.recipe if same else recipe_for(net, options.get("loss"))
        run, own, prune, gate = (
            {name: options[name] for name in names if name in options}
            for names in (RUN_OPTIONS, RECIPE_OPTIONS, PRUNE_OPTIONS, GATE_OPTIONS))
        if "rate" in own:
            own["rates"] = _by_epoch("rate", own.pop("rate"))
        recipe = replace(recipe, prune=_pruning(recipe.prune, prune),
                         gate=_gating(recipe.gate, gate), **own)
        return replace(self, config=config, recipe=recipe, **run)


def _pruning(before: Pruning | None, given: dict) -> Pruning | None:
    """The rule for weights, changed by `PRUNE_OPTIONS`."""
    how = given.pop("prune", before and before.granularity)
    if how in (None, "none"):
        if given:
            raise UserError(f"--{next(iter(given))}: nothing is pruned, --prune says what is")
        return None
    if "density" in given:
        given["density"] = _by_epoch("density", given["density"])
    return replace(before or Pruning(), granularity=how, **given)


def _gating(before: Gating | None, given: dict) -> Gating | None:
    """How layers are gated, changed by `GATE_OPTIONS`."""
    rate = given.get("gate", before and before.rate)
    if rate in (None, "none"):
        if "gate_groups" in given:
            raise UserError("--gate-groups: nothing is gated, --gate says how much is open")
        return None
    try:
        rate = float(rate)
    except ValueError:
        raise UserError(f"--gate {rate}: must be a share above 0, at most 1, or none") from None
    return Gating(rate, given.get("gate_groups", before.groups if before else Gating.groups))


def _by_epoch(option: str, text: str) -> tuple[tuple[int, float], ...]:
    """Numbers by first epoch, from "R" or "R,EPOCH:R,..."."""
    wrong = UserError(f"--{option} {text}: must be R or R,EPOCH:R,... with numbers above 0 and "
                      f"epochs that rise")
    try:
        parts = [part.rpartition(":") for part in text.split(",")]
        rates = tuple((int(epoch or 0), float(rate)) for epoch, _, rate in parts)
    except ValueError:
        raise wrong from None
    epochs = [epoch for epoch, _ in rates]
    if epochs[0] or epochs != sorted(set(epochs)) or not all(0 < r < inf for _, r in rates):
        raise wrong
    return rates


def opened(out: Path, resume: bool) -> Checkpoint | None:
    """The checkpoint in `out` that a run is to go on from; a new run wants that there is none."""
    path = out / checkpoint.NAME
    if resume:
        if not path.exists():
            raise UserError(f"{out}: has no checkpoint to resume from")
        return checkpoint.read(path)
    if path.exists():
        raise UserError(f"{out}: has a checkpoint already: go on from it with --resume, or give "
                        f"another --out")
    return None


def train(settings: Settings, *, out: Path, data_path: Path | None = None,
          checkpoint_steps: int | None = None, saved: Checkpoint | None = None,
          keep: tuple[int, ...] = ()) -> report.Report:
    """Train and test; writes `out`/checkpoint after every `checkpoint_steps` steps at most, and
    `out`/report.json at the end. The checkpoints after `keep` steps stay, as `kept` names them.

    With `saved` the run goes on from there, to the same bits as one without interruption; where
    the images are and `checkpoint_steps` are then those of the checkpoint unless given.
    """
    if checkpoint_steps is not None and checkpoint_steps < 1:
        raise UserError(f"--checkpoint-steps {checkpoint_steps}: must be at least 1")
    if saved:
        data_path = data_path or (saved.record["data_path"] and Path(saved.record["data_path"]))
        checkpoint_steps = checkpoint_steps or saved.record["checkpoint_steps"]
    dataset = datasets.load(settings.data, data_path, settings.train_images, settings.test_images)
    net = losses.with_head(datasets.network_for(network.named(settings.net), dataset),
                           settings.recipe.loss)
    session = Session(TrainingProgram(settings.config, net, settings.recipe), dataset,
                      settings.seed)
    marks = content(settings, session)
    if saved:
        check(out / checkpoint.NAME, saved.settings, marks)
    run.prepare(session, settings.device, out)
    with run.runner(session, settings.device) as runner:
        options = {"data_path": data_path and str(data_path.absolute()),
                   "checkpoint_steps": checkpoint_steps}
        training = _Training(runner, marks, options, out, saved, keep)
        try:
            result = training.run(checkpoint_steps or session.program.round_steps)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(training.where()) from None
    files.write_json(out / "report.json", result.as_json() | {"settings": marks})
    return result


def kept(out: Path, step: int) -> Path:
    """Where a checkpoint stays."""
    return out / f"{checkpoint.NAME}-{step}"


def content(settings: Settings, session: Session) -> dict:
    """All that decides the bits of a run, as JSON has it: settings, and hashes of what they only
    name."""
    memory = np.zeros(session.program.external.size, np.uint8)
    session.place(memory)
    start = hashlib.sha256(checkpoint.lasting(session, memory))
    for order in session.orders:
        start.update(order)
    if session.program.recipe.by_host:
        views, _ = next(session.batches(session.rounds[0]))
        start.update(views)
    network = hashlib.sha256(repr(session.program.network).encode()).hexdigest()
    return json.loads(json.dumps(asdict(settings))) | {
        "network": network, "images": session.dataset.content_hash(), "start": start.hexdigest()}


def check(path: Path, saved: dict, marks: dict) -> None:
    """`UserError` where what a file was made with, as `content` tells it, is not `marks`."""
    for name, new in _flat(marks).items():
        old = _flat(saved).get(name)
        if old == new:
            continue
        if name == "network":
            raise UserError(f"{path}: was made with another network of the name {marks['net']}")
        if name == "images":
            raise UserError(f"{path}: was made with other images or labels")
        if name == "start":
            raise UserError(f"{path}: was made by another version of Winnow or numpy, which begins "
                            f"with other weights or another order")
        raise UserError(f"{path}: was made with {name} = {old}, not {new}")


def _flat(settings: dict) -> dict:
    """Nested settings by dotted name, hashes last."""
    plain = {}
    for name, value in settings.items():
        plain |= ({f"{name}.{inner}": v for inner, v in value.items()}
                  if isinstance(value, dict) else {name: value})
    return plain


def pieces(rounds: list[Round], done: int, most: int, ends: tuple[int, ...] = ()) \
        -> Iterator[Round]:
    """Rounds without their first `done` steps, in pieces of at most `most` that end, among others,
    after `ends` steps of the run."""
    before = 0
    for work in rounds:
        after = before + len(work.images)
        while done < after:
            last = min(after, done + most, *(end for end in ends if end > done))
            yield replace(work, images=work.images[done - before:last - before])
            done = last
        before = after


class _Training:
    """A run on one device, begun or restored.

    Parameters
    ----------
    marks : what a checkpoint must have been made with
    options : how it is run, kept in the checkpoint
    keep : steps after which the checkpoint stays

    Members
    -------
    step : training steps that are done and saved
    """

    def __init__(self, runner: run.Runner, marks: dict, options: dict, out: Path,
                 saved: Checkpoint | None, keep: tuple[int, ...] = ()):
        self.runner, self.session, self.marks, self.options = runner, runner.session, marks, options
        self.path, self.keep = out / checkpoint.NAME, keep
        self.step = 0
        memory = runner.device.memory
        if not saved:
            self.session.place(memory)
            if 0 in keep:
                self.save(0)
            return
        checkpoint.restore(self.session, memory, saved.memory)
        self.step, record = saved.step, saved.record
        runner.weight_hashes = record["weight_hashes"]
        runner.curve = [Progress(*point) for point in record["curve"]]
        runner.counters, runner.tags = record["counters"], record["tags"]
        runner.seconds, runner.skipped = record["seconds"], record.get("skipped", 0)

    def save(self, step: int) -> None:
        runner = self.runner
        record = self.options | {
            "weight_hashes": runner.weight_hashes,
            "curve": [[p.step, p.loss, p.accuracy] for p in runner.curve],
            "counters": runner.counters, "tags": runner.tags, "seconds": runner.seconds,
            "skipped": runner.skipped}
        memory = checkpoint.lasting(self.session, runner.device.memory)
        saved = Checkpoint(self.marks, step, record, memory)
        if step in self.keep:
            saved.write(kept(self.path.parent, step))
        saved.write(self.path)
        self.step = step

    def where(self) -> str:
        """Where an interrupted run can go on."""
        if not self.step:
            return "interrupted before the first checkpoint"
        return (f"interrupted: {self.path} holds step {self.step} of {self.session.steps}, go on "
                f"with winnow train --resume --out {self.path.parent}")

    def run(self, most: int) -> report.Report:
        """All steps that are left, saved every `most` at least and after each epoch, and the test.
        """
        session, runner = self.session, self.runner
        with run.progress_bar(session.steps, self.step) as bar:
            done, parts = self.step, [*pieces(session.rounds, self.step, most, self.keep)]
            for work, after in zip_longest(parts, parts[1:]):
                runner.run(work, bar)
                done += len(work.images)
                if (after is None or after.epoch != work.epoch or done in self.keep
                        or done + len(after.images) - self.step > most):
                    self.save(done)
            accuracy = runner.test_accuracy(bar)
        result = run.report_of(session, self.marks["net"], self.marks["device"])
        result.test_accuracy = accuracy
        runner.report(result)
        return result
