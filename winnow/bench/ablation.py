"""`winnow bench ablation`: whole training steps on the Verilog with each mechanism on and off.

The network is trained on the model, once for all variants that train alike; at stated steps its
memory is kept, and one whole step from there is run for each variant, every byte compared with the
model. What is done is kept in a folder, from which an interrupted bench goes on.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np

from hdl.cache import digest
from isa.registers import Unit
from winnow import checkpoint, datasets, files, network, progress, run, train
from winnow.bench import phases
from winnow.bench.mechanisms import Variant
from winnow.compiler.training import TrainingProgram
from winnow.datasets import Dataset
from winnow.errors import UserError
from winnow.session import Round, Session
from winnow.train import Settings

CHECKPOINT_STEPS = 50
SKIPPED = {cause: f"skipped_{cause}" for cause in ("images", "tiles", "outputs", "elements")}
ROOT = Path(__file__).resolve().parents[2]
WORDS = ("words_read", "words_written", "words_filled", "words_stored")
MEASURED = ("isa", "sim", "hdl", "winnow/compiler")  # what cycles and bits of a step depend on


@dataclass(frozen=True)
class Saved:
    """How many times fewer multiply-adds are done, and fewer cycles taken, than by the variant
    `over`; `conversion` is cycles over operations."""

    over: str
    operations: float
    cycles: float
    conversion: float


@dataclass(frozen=True)
class Result:
    """A training step of one variant.

    `saved` is over ``none`` (nothing pruned or left out, of a network trained so), `saved_of_own`
    over the same training with no exact mechanism (where that is not there, with the first
    variant that is trained so). `utilisation` is what is done over what all
    cores could do in its cycles, `means` those of the phases with all multiply-adds, left out or
    done, so they may be above 1.
    """

    variant: str
    mechanisms: tuple[str, ...]
    step: int  # training steps before it
    accuracy: float  # at the end of the run
    skipped_images: float  # the share of its images
    live_weights: dict[str, float]  # of layers that are pruned
    chooses: bool  # masks are chosen after the step, in cycles that are counted
    cycles: int
    macs: int  # that are done
    skipped: dict[str, int]  # by cause
    saved: Saved
    saved_of_own: Saved
    utilisation: float
    means: dict[str, float]
    words: dict[str, int]  # of the scratchpad, read and written, and of external memory
    difference: str | None  # what is not as it must be: nothing

    @property
    def equal(self) -> bool:
        """Every byte to the model's, weights those of `saved_of_own.over`, each multiply-add of its
        operations done or left out."""
        return self.difference is None


class Training:
    """One way of training, shared by the variants that differ in exact mechanisms alone.

    Parameters
    ----------
    settings : with which it is trained, on the model, with nothing left out: that is faster
    folder : where checkpoints and report are

    Members
    -------
    session : the run
    content : what its files must have been made with (`winnow.train.content`)
    accuracy, skipped_images : after all steps, once it has run
    """

    def __init__(self, settings: Settings, dataset: Dataset, folder: Path):
        self.settings, self.dataset, self.folder = settings, dataset, folder
        self.sessions: dict[tuple, Session] = {}
        self.session = self.session_with({"skip": "none"})
        self.content = train.content(settings, self.session)
        self.accuracy = self.skipped_images = 0.0

    def session_with(self, program: dict[str, str]) -> Session:
        """The same run by a program that no bit depends on: `skip` and, if given, `stream`."""
        key = tuple(program.items())
        if key not in self.sessions:
            settings = self.settings.with_(self.settings.config, **program)
            net = datasets.network_for(network.named(settings.net), self.dataset)
            self.sessions[key] = Session(TrainingProgram(settings.config, net, settings.recipe),
                                         self.dataset, settings.seed)
        return self.sessions[key]

    def run(self, steps: tuple[int, ...], data_path: Path | None) -> None:
        """Train, or take what is there: `accuracy`, and checkpoints after `steps`."""
        path = self.folder / "report.json"
        whole = all(train.kept(self.folder, step).exists() for step in steps)
        if whole and path.exists():
            found = _read(path)
            train.check(path, found["settings"], self.content)
            self.accuracy, self.skipped_images = found["test_accuracy"], found["skipped_images"]
            return
        report = train.train(self.settings, out=self.folder, data_path=data_path, keep=steps,
                             checkpoint_steps=CHECKPOINT_STEPS, saved=self._latest(steps))
        self.accuracy, self.skipped_images = report.test_accuracy, report.skipped_images

    def accuracy_after(self, step: int, data_path: Path | None) -> float:
        """Test accuracy of the run when so many of its steps were done."""
        path = self.folder / f"accuracy-{step}.json"
        if path.exists():
            found = _read(path)
            train.check(path, found["settings"], self.content)
            return found["test_accuracy"]
        self.run((step,), data_path)
        with run.runner(self.session, "model") as model, run.progress_bar(0) as bar:
            checkpoint.restore(self.session, model.device.memory,
                               checkpoint.read(train.kept(self.folder, step)).memory)
            accuracy = model.test_accuracy(bar)
        files.write_json(path, {"settings": self.content, "test_accuracy": accuracy})
        return accuracy

    def _latest(self, steps: tuple[int, ...]) -> checkpoint.Checkpoint | None:
        """The last checkpoint that no stated step lies before without one of its own."""
        paths = self.folder / checkpoint.NAME, *self.folder.glob(f"{checkpoint.NAME}-*")
        there = [checkpoint.read(path) for path in paths if path.exists()]
        return max((saved for saved in there
                    if all(train.kept(self.folder, s).exists() for s in steps if s <= saved.step)),
                   key=lambda saved: saved.step, default=None)

    def memory(self, session: Session, step: int) -> np.ndarray:
        """External memory of one of its sessions after so many steps, and what that would have
        chosen to stream."""
        memory = np.zeros(session.program.external.size, np.uint8)
        checkpoint.restore(session, memory, checkpoint.read(train.kept(self.folder, step)).memory)
        session.choose_streams(memory)
        return memory

    def work(self, step: int) -> Round:
        """The training step after so many."""
        epoch, index = divmod(step, len(self.session.orders[0]))
        return Round(self.session.orders[epoch][index:index + 1],
                     self.session.program.recipe.rate(epoch), epoch)


def measure(settings: Settings, mechanisms: dict[str, dict], made: list[Variant],
            steps: tuple[int, ...], folder: Path, *, data_path: Path | None = None,
            default: Callable[[int], tuple[int, ...]] = lambda steps: (steps - 1,),
            show: bool = True) -> list[Result]:
    """Variants at all steps.

    Parameters
    ----------
    settings : of the run, with no mechanism
    mechanisms : their settings, by name (`winnow.bench.mechanisms.chosen`)
    made : the variants; one is ``none``
    steps : training steps before the one that is measured
    default : steps if none are named, by how many the run has; all but the last
    folder : where what is done is kept
    data_path : of the data set
    show : progress bars on stderr
    """
    _version()  # of what runs, whatever becomes of the files
    dataset = datasets.load(settings.data, data_path, settings.train_images, settings.test_images)
    trainings = {names: training_with(settings, mechanisms, names, dataset, folder)
                 for names in dict.fromkeys(variant.training for variant in made)}
    session = next(iter(trainings.values())).session
    steps = checked(steps or default(session.steps), session)
    cases = [(step, variant, trainings[variant.training]) for step in steps for variant in made]
    found = {(step, variant.name): kept for step, variant, training in cases
             if (kept := _kept(folder, step, variant, training))}
    if found:
        then = "goes on from there" if len(found) < len(cases) else "no more is run"
        progress.say(f"{folder}: holds {len(found)} of {len(cases)} measured steps, {then}", show)
    for training in trainings.values():
        training.run(steps, data_path)
    announce = True
    for number, (step, variant, training) in enumerate(cases):
        if (step, variant.name) not in found:
            name = f"{number + 1}/{len(cases)} {variant.name}"
            found[step, variant.name] = _measure(folder, step, variant, training, name, announce,
                                                 show)
            announce = False
    own = {}  # what a variant is compared with, by how it is trained
    for variant in sorted(made, key=lambda variant: variant.skip != "none"):
        own.setdefault(variant.training, variant.name)
    return [_result(step, variant, training, found, own[variant.training])
            for step, variant, training in cases]


def training_with(settings: Settings, mechanisms: dict[str, dict], names: tuple[str, ...],
                  dataset: Dataset, folder: Path) -> Training:
    """The run with `settings_with` some mechanisms."""
    return Training(settings_with(settings, mechanisms, names), dataset,
                    folder / f"trained {'+'.join(names) or 'none'}")


def settings_with(settings: Settings, mechanisms: dict[str, dict],
                  names: tuple[str, ...]) -> Settings:
    """Those of training with some mechanisms."""
    given = {option: value for name in names for option, value in mechanisms[name].items()}
    return settings.with_(settings.config, skip="none", **given)


def checked(steps: tuple[int, ...], session: Session) -> tuple[int, ...]:
    """In order, once each."""
    for step in steps:
        if step not in range(session.steps):
            raise UserError(f"--steps {step}: must be from 0 to {session.steps - 1}, the run has "
                            f"{session.steps} steps of {session.program.recipe.batch} images")
    return tuple(sorted(set(steps)))


def _path(folder: Path, step: int, variant: Variant) -> Path:
    stream = f" stream {variant.stream}" if variant.stream else ""
    return folder / f"step {step} {'+'.join(variant.mechanisms) or 'none'}{stream}.json"


def _content(step: int, variant: Variant, training: Training) -> dict:
    """What a measured step must have been made with."""
    content = training.content
    return content | {"recipe": content["recipe"] | variant.program, "step": step,
                      "version": _version()}


@cache
def _version() -> str:
    return digest([path.read_bytes() for folder in MEASURED
                   for path in sorted((ROOT / folder).rglob("*.py"))])


def _measure(folder: Path, step: int, variant: Variant, training: Training, name: str,
             announce: bool, show: bool) -> dict:
    """Run one step, keep and return what is found."""
    session = training.session_with(variant.program)
    memory = training.memory(session, step)
    found = {"settings": _content(step, variant, training),
             "live_weights": session.live_weights(memory),
             "multiply_adds": _multiply_adds(session, memory)}
    measured = phases.one_step(session, training.work(step), memory, name=name, predict=False,
                               announce=announce, show=show)
    found["measured"] = measured.as_json()
    files.write_json(_path(folder, step, variant), found)
    return found


def _multiply_adds(session: Session, memory: np.ndarray) -> int:
    """Of all tensor operations of the next training step, by what streams in it."""
    state = session.state(memory)
    bits = state.streams if state else 0
    operations = chain.from_iterable(
        o.ways.rows[bits >> o.ways.number & 1] if o.ways else [o]
        for o in session.program.training.operations)
    return sum(o.multiply_adds for o in operations if o.unit is Unit.TENSOR)


def _kept(folder: Path, step: int, variant: Variant, training: Training) -> dict | None:
    """What was found before; `UserError` if that was with anything else."""
    path = _path(folder, step, variant)
    if not path.exists():
        return None
    found = _read(path)
    if found["settings"].get("version") != _version():
        raise UserError(f"{path}: was measured with another version of Winnow, the figures of two "
                        f"do not go together: remove {folder}, or give another --json")
    train.check(path, found["settings"], _content(step, variant, training))
    return found


def _read(path: Path) -> dict:
    try:
        found = json.loads(files.read_text(path))
        assert "settings" in found
        return found
    except (ValueError, TypeError, AssertionError):
        raise UserError(f"{path}: is not of this bench, or was changed") from None


def _result(step: int, variant: Variant, training: Training, found: dict, own: str) -> Result:
    kept, dense, base = (found[step, name] for name in (variant.name, "none", own))
    measured, counters = kept["measured"], kept["measured"]["counters"]
    lanes = training.settings.config.macs_per_cycle
    refresh = training.settings.recipe.refresh
    return Result(
        variant.name, variant.mechanisms, step, training.accuracy,
        training.skipped_images, kept["live_weights"],
        refresh is not None and (step + 1) % refresh == 0, measured["cycles"], counters["macs"],
        {cause: counters[name] for cause, name in SKIPPED.items()},
        _saved("none", measured, dense["measured"]), _saved(own, measured, base["measured"]),
        counters["macs"] / (lanes * measured["cycles"]), measured["means"],
        {name: counters[name] for name in WORDS},
        _difference(kept, base, own))


def _saved(over: str, measured: dict, base: dict) -> Saved:
    operations = base["counters"]["macs"] / measured["counters"]["macs"]
    cycles = base["cycles"] / measured["cycles"]
    return Saved(over, operations, cycles, cycles / operations)


def _difference(kept: dict, base: dict, own: str) -> str | None:
    """Where a step is not what the model says, or exact mechanisms change what they must not."""
    measured, there = kept["measured"], kept["multiply_adds"]
    if measured["difference"]:
        return f"memory differs from the model: {measured['difference']}"
    here = sum(measured["counters"][name] for name in ("macs", *SKIPPED.values()))
    if here != there:
        return f"{here:,} multiply-adds are done or left out, its operations have {there:,}"
    if measured["weight_hash"] != base["measured"]["weight_hash"]:
        return f"weights are not those of {own}"
    return None
