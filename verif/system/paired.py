"""Accuracy in FP8 beside binary32: the same initial weights, order of images, rates, momentum."""

from dataclasses import dataclass

import numpy as np

from verif.system.networks import float_network
from winnow.run import progress_bar, runner
from winnow.session import Session

AT_ONCE = 64  # test images
T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


@dataclass(frozen=True)
class Paired:
    """Accuracies by seed, and the mean of FP8 less binary32 with its 95 % interval."""

    fp8: list[float]
    binary32: list[float]

    @property
    def interval(self) -> tuple[float, float, float]:
        """Mean difference, and the two ends that Student's t gives."""
        d = np.subtract(self.fp8, self.binary32)
        half = T_95[d.size - 1] * d.std(ddof=1) / np.sqrt(d.size)
        return tuple(float(v) for v in (d.mean(), d.mean() - half, d.mean() + half))

    def __str__(self):
        mean, low, high = (f"{value:+.2%}" for value in self.interval)
        rows = [f"{name:<9}" + " ".join(f"{value:.2%}" for value in values)
                for name, values in (("FP8", self.fp8), ("binary32", self.binary32))]
        return "\n".join([*rows, f"FP8 less binary32 {mean}, 95 % from {low} to {high}"])


def fp8(session: Session) -> tuple[float, float]:
    """Train on the model: test accuracy, and the mean loss over the last quarter of the steps."""
    with runner(session, "model") as model, progress_bar(session.steps) as bar:
        session.place(model.device.memory)
        for work in session.rounds:
            model.run(work, bar)
        return model.test_accuracy(bar), late([point.loss for point in model.curve])


def binary32(session: Session) -> tuple[float, float]:
    """The same in binary32, by the textbook."""
    data, recipe = session.dataset, session.program.recipe
    network, losses = float_network(session, np.float32), []

    def gradients(images, labels, plain=network.gradients):
        before = dict(network.running)
        losses.append(loss(network.scores(images, training=True), labels, recipe.loss))
        network.running = before  # which the gradients move again
        return plain(images, labels)

    network.gradients = gradients
    rates = [recipe.rate(epoch) for epoch, order in enumerate(session.orders) for _ in order]
    network.train(_Planes(data.train_images), data.train_labels, np.concatenate(session.orders),
                  rates, recipe.momentum, recipe.decay)
    right = [network.scores(_Planes(data.test_images)[first:first + AT_ONCE]).argmax(axis=1)
             == data.test_labels[first:first + AT_ONCE]
             for first in range(0, data.test_labels.size, AT_ONCE)]
    return float(np.concatenate(right).mean()), late(losses)


class _Planes:
    """Images as (image, channel, row, column), made when indexed."""

    def __init__(self, images):
        self.images = images

    def __getitem__(self, rows):
        return self.images[rows].transpose(0, 3, 1, 2)


def late(losses: list[float]) -> float:
    return float(np.mean(losses[-max(1, len(losses) // 4):]))


def loss(scores: np.ndarray, labels: np.ndarray, kind: str) -> float:
    """The mean over images, as `Session.progress` tells it."""
    if kind == "mse":
        return float(((scores - np.eye(scores.shape[1])[labels]) ** 2).sum(axis=1).mean())
    power = np.exp(scores - scores.max(axis=1, keepdims=True))
    share = power[np.arange(labels.size), labels] / power.sum(axis=1)
    return float(-np.log(share).mean())
