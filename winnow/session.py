"""One training run on a device: what the host places in memory, and what it reads back."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from isa.assembler import to_bytes
from isa.config import LANES, WORD_BYTES
from isa.formats import E4M3
from sim import floats
from winnow import losses, views
from winnow.compiler import averages, live
from winnow.compiler.choices import Choices
from winnow.compiler.scaling import State
from winnow.compiler.training import TrainingProgram
from winnow.datasets import Dataset
from winnow.errors import UserError
from winnow.layout import first_map, initial_weights, layer_tiles
from winnow.network import PREDICTION, PROJECTION

# Regions that training is about.
LASTING = ("parameters", "state", "weights", "masters", "moments", "masks", "limits")


@dataclass(frozen=True)
class Round:
    """Steps that one program runs on images that are in memory together."""

    images: np.ndarray  # indices, (steps, batch)
    rate: float | None  # learning rate; None evaluates
    epoch: int = 0
    probe: bool = False  # evaluates images for training, not those for testing


@dataclass(frozen=True)
class Progress:
    """Where a run is, read from the scores that the machine writes."""

    step: int
    loss: float  # of the last step, mean over its images
    accuracy: float  # in it; without labels the share of views that are nearest to the other one


def _check(program: TrainingProgram, dataset: Dataset, seed: int) -> None:
    """`UserError` where data set, network and seed do not go together."""
    shape, network = dataset.train_images.shape[1:], program.network
    wanted = network.input.height, network.input.width, network.input.channels
    if shape != wanted:
        raise UserError(f"data set {dataset.name}: images of {shape}, network {network.name} "
                        f"takes {wanted} (rows, columns, channels)")
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    if labels.min() < 0 or (labels.max() >= network.classes and not program.recipe.by_host):
        raise UserError(f"data set {dataset.name}: labels from {labels.min()} to {labels.max()}, "
                        f"network {network.name} has classes 0 to {network.classes - 1}")
    least = program.recipe.batch // 2
    if program.recipe.by_host and dataset.train_labels.size < least:
        raise UserError(f"data set {dataset.name}: {dataset.train_labels.size} images for "
                        f"training: loss {program.recipe.loss} needs half a batch, {least}")
    if seed < 0:
        raise UserError(f"seed = {seed}: must not be negative")


def _batches(images: np.ndarray, size: int) -> np.ndarray:
    """(batch, image), the last one filled up from the beginning."""
    return np.resize(images, -(-images.size // size) * size).reshape(-1, size)


class Session:
    """Data, labels and memory image of a training program under one seed."""

    def __init__(self, program: TrainingProgram, dataset: Dataset, seed: int):
        self.program, self.dataset, self.seed = program, dataset, seed
        _check(program, dataset, seed)
        recipe = program.recipe
        generator = np.random.default_rng(seed)
        self.weights = [initial_weights(layer, generator) if layer.learns else None
                        for layer in program.layers]
        images = recipe.batch // 2 if recipe.by_host else recipe.batch
        # Each epoch is a fresh order.
        self.orders = [_batches(generator.permutation(dataset.train_labels.size), images)
                       for _ in range(recipe.epochs)]
        self.test_order = _batches(np.arange(dataset.test_labels.size), recipe.batch)
        # What the host does between two programs it does for one step.
        self.round_steps = 1 if recipe.by_host else program.round_steps

    @property
    def steps(self) -> int:
        """Training steps of the run."""
        return sum(len(order) for order in self.orders)

    @property
    def rounds(self) -> list[Round]:
        """The whole of training."""
        return [Round(images, self.program.recipe.rate(epoch), epoch)
                for epoch, order in enumerate(self.orders) for images in self._rounds(order)]

    @property
    def test_rounds(self) -> list[Round]:
        """Evaluation of the test images."""
        return [Round(images, None) for images in self._rounds(self.test_order)]

    @property
    def probe_rounds(self) -> list[Round]:
        """Evaluation of the training images."""
        order = _batches(np.arange(self.dataset.train_labels.size), self.program.recipe.batch)
        return [Round(images, None, probe=True) for images in self._rounds(order)]

    def _rounds(self, order: np.ndarray) -> list[np.ndarray]:
        return [order[first:first + self.round_steps]
                for first in range(0, len(order), self.round_steps)]

    def density(self, epoch: int) -> float:
        """The share of weights that pruning leaves."""
        prune = self.program.recipe.prune
        return prune.density_in(epoch) if prune else 1.0

    # What the host writes.

    def place(self, memory: np.ndarray) -> None:
        """Write the initial parameters into external memory."""
        layouts = self.program.memory.layouts
        masters = [layer_tiles(layer, w, layouts)
                   for layer, w in zip(self.program.layers, self.weights, strict=True)
                   if w is not None]
        self._put(memory, "weights", *(floats.encode(E4M3, m)[0] for m in masters))
        self._put(memory, "masters", *(self._stored(m) for m in masters))
        memory[self.program.external.slice("masks")] = floats.encode(E4M3, np.float32(1))[0]
        if self.program.keeps_state:
            self._put(memory, "state", State.first(self.program.recipe).bytes)
        self._put(memory, "parameters", *self._resident())

    def _stored(self, masters: np.ndarray) -> np.ndarray:
        """Master weights in their format; from nowhere, so to nearest."""
        return (floats.to_bfloat16(masters) if self.program.recipe.masters == "bfloat16"
                else masters)

    def _resident(self):
        """The initial contents of what stays in the scratchpad."""
        resident = self.program.memory.resident
        constants = {b: factors for factors, b in self.program.memory.constants.items()}
        ones = {id(b) for p in self.program.memory.parameters if p.norm
                for b in (p.norm.gamma, p.norm.running_variance)}
        thresholds = {id(p.threshold) for p in self.program.memory.gated}
        for buffer in resident:
            if buffer in constants:
                yield floats.encode(E4M3, averages.tiles(constants[buffer]))[0]
            elif buffer is self.program.memory.ones:
                yield floats.encode(E4M3, np.ones(LANES, np.float32))[0]
            elif buffer is self.program.memory.threshold:
                yield np.full(LANES, live.ALL, np.float32)
            elif id(buffer) in thresholds:  # all gates are open
                yield np.full(buffer.words * 2, -np.inf, np.float32)
            else:
                yield np.full(buffer.words * 2, float(id(buffer) in ones), np.float32)

    def load(self, memory: np.ndarray, work: Round) -> None:
        """Write the program and the images of a round, and clear its log."""
        parts = []
        for images, labels in self.batches(work):
            first = first_map(self.program.layers[0], images, self.program.memory.layouts.maps)
            parts.append(floats.encode(E4M3, first)[0])
            if not self.program.recipe.by_host:
                parts.append(self._targets(labels))
        self._put(memory, "data", *parts)
        instructions = self.program.instructions(
            len(work.images), work.rate, self.seed, self.state(memory),
            1.0 if work.rate is None else self.density(work.epoch))
        self._put(memory, "program", np.frombuffer(to_bytes(instructions), np.uint8))
        memory[self.program.external.slice("log")] = 0

    def choose_streams(self, memory: np.ndarray) -> None:
        """Put into memory what this program's device chooses by the masks there: a program that
        leaves out something else may have left them."""
        if state := self.state(memory):
            program = self.program
            bits = Choices(program.memory, program.recipe).bits(memory)
            self._put(memory, "state", replace(state, streams=bits).bytes)

    def batches(self, work: Round) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The images of each step of a round, and their labels; where there is a loss without
        labels, two views of each image, which hang on the seed, the epoch and the images."""
        train = work.rate is not None or work.probe
        images = self.dataset.train_images if train else self.dataset.test_images
        labels = self.dataset.train_labels if train else self.dataset.test_labels
        for rows in work.images:
            if self.program.recipe.by_host and work.rate is not None:
                generator = np.random.default_rng([self.seed, work.epoch, *rows])
                yield views.two_views(self.dataset, rows, generator), np.tile(labels[rows], 2)
            else:
                yield images[rows], labels[rows]

    def hand_in(self, memory: np.ndarray) -> None:
        """Write the errors of the scores, which the host computes from what the forward part of a
        step has left: binary32, laid out like the scores."""
        _, errors = self.loss(memory)
        filled = np.zeros((len(errors), self.program.memory.classes), np.float32)
        filled[:, :errors.shape[1]] = errors
        self._put(memory, "data", filled.reshape(-1, LANES, filled.shape[1]).transpose(0, 2, 1),
                  offset=self.program.image_bytes)

    def loss(self, memory: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss of a step without labels, and the errors of its scores."""
        scores = self.scores(memory, 1)[0]
        embeddings = self.stored(memory, PREDICTION)
        return losses.LOSSES[self.program.recipe.loss](
            scores, scores if embeddings is None else embeddings)

    def features(self, memory: np.ndarray) -> np.ndarray:
        """What the head of a network has read in the last step, float32 (image, feature)."""
        return self.stored(memory, PROJECTION)

    def stored(self, memory: np.ndarray, name: str) -> np.ndarray | None:
        """What the layer of that name has read in the last step, as the layer before it stored it,
        (image, element), or None where there is no such layer."""
        made = self.program.graph.read_by(name)
        if made is None:
            return None
        stored = self.program.memory.outputs[made.source]
        size = self.program.recipe.batch * made.shape.words * WORD_BYTES
        codes = memory[stored.address:stored.address + size]
        return floats.decode(E4M3, codes.reshape(self.program.recipe.batch, -1))

    def _put(self, memory: np.ndarray, region: str, *parts: np.ndarray, offset: int = 0) -> None:
        data = [np.ascontiguousarray(p).view(np.uint8).ravel() for p in parts]
        where = self.program.external.slice(region).start + offset
        for part in data:
            memory[where:where + part.size] = part
            where += part.size

    def _targets(self, labels: np.ndarray) -> np.ndarray:
        """E4M3 one-hot, (group of 8 images, class, image)."""
        one_hot = np.eye(self.program.memory.classes, dtype=np.float32)[labels]
        return floats.encode(E4M3, one_hot.reshape(-1, LANES, one_hot.shape[1])
                             .transpose(0, 2, 1))[0]

    # What the machine wrote.

    def state(self, memory: np.ndarray) -> State | None:
        """What a round begins with, if the program keeps anything of the kind."""
        if not self.program.keeps_state:
            return None
        return State.read(memory[self.program.external.slice("state")])

    def scores(self, memory: np.ndarray, steps: int) -> np.ndarray:
        """Scores of the first steps of a round, (steps, image, class)."""
        log = self._log(memory, steps)[:, self.program.list_bytes:]
        inner = self.program.memory.classes
        rows = np.ascontiguousarray(log).view(np.float32).reshape(steps, -1, inner, LANES)
        rows = rows.transpose(0, 1, 3, 2).reshape(steps, -1, inner)
        return rows[..., :self.program.network.classes]

    def _log(self, memory: np.ndarray, steps: int) -> np.ndarray:
        """What the first steps of a round have logged, (steps, bytes)."""
        log = memory[self.program.external.slice("log")]
        return log.reshape(self.program.round_steps, -1)[:steps]

    def live(self, memory: np.ndarray, steps: int) -> np.ndarray:
        """Which images were not skipped in the first steps of a round, (steps, image)."""
        if not self.program.list_bytes:
            return np.ones((steps, self.program.recipe.batch), bool)
        return floats.decode(E4M3, self._log(memory, steps)[:, :self.program.list_bytes]) != 0

    def steps_done(self, memory: np.ndarray, work: Round, known: int = 0) -> int:
        """Steps of a round whose scores are there; where the host computes the loss, those known
        before: such a step is done when its program is."""
        if self.program.recipe.by_host:
            return known
        log = memory[self.program.external.slice("log")].reshape(self.program.round_steps, -1)
        while known < len(work.images) and log[known, -WORD_BYTES * LANES * LANES:].any():
            known += 1
        return known

    def progress(self, memory: np.ndarray, work: Round, done: int, before: int) -> Progress:
        """Loss and training accuracy of step `done` of a round, `before` + `done` of the run."""
        if self.program.recipe.by_host:
            loss, _ = self.loss(memory)
            return Progress(before + done, loss, losses.found(self.scores(memory, 1)[0]))
        scores = self.scores(memory, done)[-1].astype(np.float64)
        labels = self.dataset.train_labels[work.images[done - 1]]
        if self.program.recipe.loss == "mse":
            target = np.eye(scores.shape[1])[labels]
            loss = ((scores - target) ** 2).sum(axis=1).mean()
        else:
            most = scores.max(axis=1, keepdims=True)
            log_sum = np.log(np.exp(scores - most).sum(axis=1)) + most[:, 0]
            loss = (log_sum - scores[np.arange(len(labels)), labels]).mean()
        return Progress(before + done, float(loss),
                        float((scores.argmax(axis=1) == labels).mean()))

    def right(self, memory: np.ndarray, work: Round) -> np.ndarray:
        """For each image of a test round whether its highest score is that of its class."""
        scores = self.scores(memory, len(work.images))
        return scores.argmax(axis=2) == self.dataset.test_labels[work.images]

    def live_weights(self, memory: np.ndarray) -> dict[str, float]:
        """By layer that is pruned, the share of its weights that are not zero."""
        shares = {}
        for p in self.program.memory.pruned:
            codes = memory[p.weights:p.weights + WORD_BYTES * p.weight_words]
            live = np.count_nonzero(codes << 1 & 0xFF)  # zero has either sign
            shares[p.layer.name] = live / p.layer.weights
        return shares

    def weight_hash(self, memory: np.ndarray) -> str:
        """SHA-256 of everything that training changes, but for what streams."""
        digest = hashlib.sha256()
        for region in LASTING:
            part = memory[self.program.external.slice(region)]
            if region == "state" and (state := self.state(memory)):
                part = replace(state, streams=0).bytes
            digest.update(part.tobytes())
        return digest.hexdigest()

