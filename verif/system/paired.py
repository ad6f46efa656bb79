"""Accuracy in FP8 beside binary32: the same initial weights, order of images, rates, momentum."""

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from verif import build, reference
from verif.system import self_supervised
from verif.system.networks import float_network
from winnow import files, losses, probe, views
from winnow.run import Runner, progress_bar, runner
from winnow.session import Round, Session

AT_ONCE = 64  # test images
BEGINNING = 3  # steps that tell runs apart
RESULT = "result.json"
T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


@dataclass(frozen=True)
class Paired:
    """Accuracies by seed of two kinds of training, and the mean of the first less the second with
    its 95 % interval."""

    ours: list[float]
    theirs: list[float]
    names: tuple[str, str] = ("FP8", "binary32")

    @property
    def interval(self) -> tuple[float, float, float]:
        """Mean difference, and the two ends that Student's t gives."""
        d = np.subtract(self.ours, self.theirs)
        half = T_95[d.size - 1] * d.std(ddof=1) / np.sqrt(d.size)
        return tuple(float(v) for v in (d.mean(), d.mean() - half, d.mean() + half))

    def __str__(self):
        mean, low, high = (f"{value:+.2%}" for value in self.interval)
        width = max(9, *(len(name) + 1 for name in self.names))
        rows = [f"{name:<{width}}" + " ".join(f"{value:.2%}" for value in values)
                for name, values in zip(self.names, (self.ours, self.theirs), strict=True)]
        return "\n".join([*rows, f"{' less '.join(self.names)} {mean}, 95 % from {low} to {high}"])


@contextmanager
def on_the_model(session: Session) -> Iterator[tuple[Runner, tqdm]]:
    """The model after all of training, and the progress bar of the run."""
    with runner(session, "model") as model, progress_bar(session.steps) as bar:
        session.place(model.device.memory)
        for work in session.rounds:
            model.run(work, bar)
        yield model, bar


def fp8(session: Session) -> tuple[float, float]:
    """Train on the model: test accuracy, and the mean loss over the last quarter of the steps."""
    with on_the_model(session) as (model, bar):
        return model.test_accuracy(bar), late([point.loss for point in model.curve])


def untrained(session: Session) -> tuple[float, float]:
    """The same without training: what a linear probe makes of random weights."""
    with runner(session, "model") as model, progress_bar(0) as bar:
        session.place(model.device.memory)
        return model.test_accuracy(bar), 0.0


def binary32(session: Session) -> tuple[float, float]:
    """The same in binary32, by the textbook."""
    data, recipe = session.dataset, session.program.recipe
    network, seen = float_network(session, np.float32), []
    plain = network.gradients

    def gradients(images, labels):
        result = plain(images, labels)
        seen.append(network.loss_seen if recipe.by_host else
                    loss(network.last, labels, recipe.loss))
        bar.update()
        return result

    network.gradients = gradients
    rates = [recipe.rate(epoch) for epoch, order in enumerate(session.orders) for _ in order]
    with progress_bar(session.steps) as bar:
        bar.set_description("training in binary32")
        images, labels, order = (
            _Planes(data.train_images), data.train_labels, np.concatenate(session.orders))
        if recipe.by_host:
            images, labels, order = _Steps(session), np.zeros(session.steps), range(session.steps)
        network.train(images, labels, order, rates, recipe.momentum, recipe.decay)
    if recipe.by_host:
        features = [np.concatenate([network.features(_Planes(part)[first:first + AT_ONCE])
                                    for first in range(0, len(part), AT_ONCE)])
                    for part in (data.train_images, data.test_images)]
        return probe.accuracy(features[0], data.train_labels, features[1],
                              data.test_labels), late(seen)
    right = [network.scores(_Planes(data.test_images)[first:first + AT_ONCE]).argmax(axis=1)
             == data.test_labels[first:first + AT_ONCE]
             for first in range(0, data.test_labels.size, AT_ONCE)]
    return float(np.concatenate(right).mean()), late(seen)


def kept(precision: Callable[[Session], tuple[float, float]], session: Session):
    """What `fp8` or `binary32` gives, from build/accuracy where the same run was made before."""
    def make(folder: Path):
        files.write_json(folder / RESULT, precision(session))

    name = f"{session.program.network.name}-{session.dataset.name}-{precision.__name__}"
    folder = build.cached("accuracy", f"{name}-{session.seed}", build.digest(
        _content(precision, session)), make)
    return tuple(json.loads((folder / RESULT).read_text()))


def _content(precision, session: Session) -> Iterator[str | bytes | Path]:
    """What tells runs apart. A run on the model is known by what it is asked for and by the bits of
    its beginning: another schedule of the same sums is the same run."""
    recipe = session.program.recipe
    yield repr((session.program.network, recipe, session.seed))
    if recipe.gate:  # which shows when thresholds have moved
        yield repr(recipe.gate)
    yield session.dataset.content_hash()
    yield from (np.concatenate(session.orders).tobytes(),
                *(w.tobytes() for w in session.weights if w is not None))
    if recipe.by_host:
        yield from (Path(module.__file__) for module in (losses, probe, views))
        yield Path(self_supervised.__file__)
    if precision is binary32:
        yield from sorted(Path(reference.__file__).parent.glob("*.py"))
    else:
        yield _beginning(session)


@functools.lru_cache(maxsize=1)
def _beginning(session: Session) -> str:
    """The first steps and a batch of tests on the model: weights, scores, multiply-adds."""
    first = replace(session.rounds[0], images=session.rounds[0].images[:BEGINNING])
    test = Round(session.test_order[:1], None)
    with runner(session, "model") as model, progress_bar(BEGINNING) as bar:
        memory = model.device.memory
        session.place(memory)
        model.run(first, bar)
        weights = session.weight_hash(memory)
        model.run(test, bar)
        macs = {name: count for name, count in model.counters.items() if "macs" in name
                or "skipped" in name}
        return repr((weights, session.scores(memory, 1).tobytes(), sorted(macs.items())))


class _Planes:
    """Images as (image, channel, row, column), made when indexed."""

    def __init__(self, images):
        self.images = images

    def __getitem__(self, rows):
        return self.images[rows].transpose(0, 3, 1, 2)


class _Steps:
    """The images of each training step, made when indexed."""

    def __init__(self, session: Session):
        self.session, self.rounds = session, session.rounds

    def __getitem__(self, step):
        ((images, _),) = self.session.batches(self.rounds[step])
        return images.transpose(0, 3, 1, 2)


def late(losses: list[float]) -> float:
    return float(np.mean(losses[-max(1, len(losses) // 4):]))


def loss(scores: np.ndarray, labels: np.ndarray, kind: str) -> float:
    """The mean over images, as `Session.progress` tells it."""
    if kind == "mse":
        return float(((scores - np.eye(scores.shape[1])[labels]) ** 2).sum(axis=1).mean())
    power = np.exp(scores - scores.max(axis=1, keepdims=True))
    share = power[np.arange(labels.size), labels] / power.sum(axis=1)
    return float(-np.log(share).mean())
