"""Losses that the host computes in the middle of a step: what is handed in, and what is learned."""

import numpy as np
import pytest

from isa.config import Config, named
from verif import seeds
from verif.system.networks import LOW_PRECISION, random_session
from winnow.compiler import loss, training
from winnow.compiler.numbers import Numbers
from winnow.compiler.pruning.rule import Pruning
from winnow.compiler.recipe import Recipe
from winnow.compiler.step import PLANS
from winnow.compiler.training import TrainingProgram
from winnow.network import Conv, Linear, Network, Residual, Shape
from winnow.run import progress_bar, runner
from winnow.session import LASTING, Session

NETWORK = Network("mixed", Shape(3, 9, 7), (
    Conv("a", 8, norm=True),
    Residual("block", (Conv("b", 8, norm=True), Conv("c", 13, 3, 2, norm=True, relu=False)),
             Conv("s", 13, 1, 2, 0, norm=True, relu=False)),
    Linear("hidden", 12, relu=True),
    Linear("fc", 10)))


class Supervised(Session):
    """A session whose host hands in the errors of labels: those of a loss of the device."""

    def __init__(self, program: TrainingProgram, like: Session):
        super().__init__(program, like.dataset, like.seed)
        self.orders, self.weights = like.orders, like.weights

    def batches(self, work):
        data = self.dataset
        self.labels = data.train_labels[work.images[0]]
        yield data.train_images[work.images[0]], self.labels

    def loss(self, memory):
        scores = self.scores(memory, 1)[0]
        return 0.0, scores - np.eye(scores.shape[1], dtype=np.float32)[self.labels]


@pytest.fixture(autouse=True)
def one_plan(monkeypatch):
    """One plan of tile sizes instead of the best of all, which takes long to find."""
    monkeypatch.setattr(training, "PLANS", PLANS[:1])


def learned(session: Session) -> dict[str, bytes]:
    """What training on the model leaves."""
    with runner(session, "model") as model, progress_bar(session.steps) as bar:
        memory = model.device.memory
        session.place(memory)
        for work in session.rounds:
            model.run(work, bar)
        return {name: memory[session.program.external.slice(name)].tobytes() for name in LASTING}


@pytest.mark.parametrize("recipe", [{}, LOW_PRECISION, {"prune": Pruning(refresh=2)}],
                         ids=["nearest", "low precision", "pruned"])
@pytest.mark.parametrize("chip", ["small", "bench", "tiny"])
def test_handed_in_errors_teach_what_those_of_the_device_do(chip, recipe, monkeypatch):
    """Squared error by the host, to the bit, whatever the machine does with errors: scaled
    dynamically, rounded stochastically (with one key for both), weights pruned."""
    monkeypatch.setattr(loss, "Numbers", lambda _, key: Numbers("errors", key))
    config = Config(scratchpad_kib=32, cores=2) if chip == "tiny" else named(chip)
    on_device = random_session(config, seeds.generator("handed in"), 4, NETWORK,
                               **recipe | {"loss": "mse"})
    by_host = TrainingProgram(config, NETWORK, Recipe(
        **vars(on_device.program.recipe) | {"loss": "contrastive"}))
    expected = learned(on_device)
    taught = learned(Supervised(by_host, on_device))
    assert [name for name in LASTING if taught[name] != expected[name]] == []
