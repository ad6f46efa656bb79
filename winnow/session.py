"""One training run on a device: what the host places in memory, and what it reads back."""

import hashlib
from dataclasses import dataclass

import numpy as np

from isa.assembler import to_bytes
from isa.formats import E4M3
from sim import floats
from winnow.compiler.layers import GROUP_WORDS
from winnow.compiler.training import TrainingProgram
from winnow.datasets import Dataset
from winnow.errors import UserError
from winnow.layout import by_outputs, first_map, initial_weights, weight_tiles


@dataclass(frozen=True)
class Progress:
    """Where a run is, read from the log that the machine writes."""

    step: int
    loss: float  # mean squared error of the last step, summed over classes
    accuracy: float  # over the last steps of training


def _check(program: TrainingProgram, dataset: Dataset, seed: int) -> None:
    """`UserError` where data set, network and seed do not go together."""
    shape, network = dataset.train_images.shape[1:], program.network
    wanted = network.input.height, network.input.width, network.input.channels
    if shape != wanted:
        raise UserError(f"data set {dataset.name}: images of {shape}, network {network.name} "
                        f"takes {wanted} (rows, columns, channels)")
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    if labels.min() < 0 or labels.max() >= network.classes:
        raise UserError(f"data set {dataset.name}: labels from {labels.min()} to {labels.max()}, "
                        f"network {network.name} has classes 0 to {network.classes - 1}")
    if seed < 0:
        raise UserError(f"seed = {seed}: must not be negative")


class Session:
    """Data, labels and memory image of a training program under one seed."""

    def __init__(self, program: TrainingProgram, dataset: Dataset, seed: int):
        self.program, self.dataset, self.seed = program, dataset, seed
        _check(program, dataset, seed)
        recipe = program.recipe
        generator = np.random.default_rng(seed)
        self.weights = [initial_weights(layer, generator) for layer in program.layers]
        count = program.steps * recipe.batch
        # Each epoch is a fresh order, filled up to whole batches from its beginning.
        orders = [np.resize(generator.permutation(dataset.train_labels.size), count)
                  for _ in range(recipe.epochs)]
        self.order = np.concatenate(orders).reshape(-1, recipe.batch)
        self.steps = len(self.order)

    def place(self, memory: np.ndarray) -> None:
        """Write program, parameters and images into external memory."""
        self._put(memory, "program", np.frombuffer(to_bytes(self.program.instructions), np.uint8))
        masters = [weight_tiles(w) for w in self.weights]
        codes = [floats.encode(E4M3, m)[0] for m in masters]
        biases = [np.zeros(p.bias.words * 2, np.float32) for p in self.program.parameters]
        resident = [part for code, bias in zip(codes, biases, strict=True)
                    for part in (code, bias, bias)]
        self._put(memory, "parameters", *resident)
        self._put(memory, "masters", *masters)
        images = floats.encode(E4M3, first_map(self.program.layers[0],
                                               self.dataset.train_images))[0]
        targets = self._targets()
        steps = [part for rows in self.order for part in (images[rows], targets[rows])]
        self._put(memory, "data", *steps)
        self._put(memory, "test", floats.encode(
            E4M3, first_map(self.program.layers[0], self.dataset.test_images))[0])

    def _put(self, memory: np.ndarray, region: str, *parts: np.ndarray) -> None:
        data = np.concatenate([np.ascontiguousarray(p).view(np.uint8).ravel() for p in parts])
        where = self.program.external.slice(region)
        memory[where.start:where.start + data.size] = data

    def _targets(self) -> np.ndarray:
        """E4M3 one-hot rows, a whole number of channel blocks each."""
        classes = self.program.network.classes
        one_hot = np.eye(classes, dtype=np.float32)[self.dataset.train_labels]
        return floats.encode(E4M3, np.stack([by_outputs(row) for row in one_hot]))[0]

    # What the machine wrote.

    def progress(self, memory: np.ndarray, step: int, window: int = 20) -> Progress:
        """Loss and training accuracy after `step` steps, over the last `window` of them."""
        first = max(0, step - window)
        log = self._log(memory)[first:step]
        sums = GROUP_WORDS * 2
        batch = self.program.recipe.batch
        labels = self.dataset.train_labels[self.order[first:step]].ravel()
        right = self._classes(log[:, sums:].reshape(step - first, -1)) == labels
        return Progress(step, float(log[-1, :sums].sum()) / batch, float(right.mean()))

    def steps_done(self, memory: np.ndarray, known: int) -> int:
        """Steps whose log is there: the last thing written of one is its last score."""
        scores = self._log(memory)[:, GROUP_WORDS * 2:]
        rows = scores.reshape(self.steps, self.program.recipe.batch, -1)
        while known < self.steps and rows[known, -1].any():
            known += 1
        return known

    def test_accuracy(self, memory: np.ndarray) -> float:
        """The share of test images whose highest score is that of their class."""
        scores = memory[self.program.external.slice("scores")].view(np.float32)
        scores = scores.reshape(self.program.test_steps, -1)
        labels = self.dataset.test_labels
        return float((self._classes(scores)[:labels.size] == labels).mean())

    def weight_hashes(self, memory: np.ndarray) -> list[str]:
        """SHA-256 of all parameters after each epoch."""
        snapshots = memory[self.program.external.slice("snapshots")]
        return [hashlib.sha256(part.tobytes()).hexdigest()
                for part in snapshots.reshape(self.program.recipe.epochs, -1)]

    def _log(self, memory: np.ndarray) -> np.ndarray:
        return memory[self.program.external.slice("log")].view(np.float32).reshape(self.steps, -1)

    def _classes(self, scores: np.ndarray) -> np.ndarray:
        """Scores of batches, (steps, image x block x 8), as the winning class of each image."""
        rows = scores.reshape(-1, self.program.layers[-1].output.blocks * 8)
        return rows[:, :self.program.network.classes].argmax(axis=1)
