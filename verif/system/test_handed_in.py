"""Steps that stop for a loss of the host: what is handed in, and what the machine makes of it."""

import numpy as np
import pytest

from isa.config import Config, named
from isa.formats import E5M2
from sim import floats
from verif import seeds
from verif.system import paired
from verif.system.networks import LOW_PRECISION, float_network, random_session
from winnow import losses
from winnow.compiler import loss, training
from winnow.compiler.numbers import Numbers
from winnow.compiler.pruning.rule import Pruning
from winnow.compiler.recipe import Recipe
from winnow.compiler.step import PLANS
from winnow.compiler.training import LOSS_WANTED, TrainingProgram
from winnow.host import Driver, ModelDevice
from winnow.network import PREDICTION, Conv, Linear, Network, Residual, Shape
from winnow.run import difference, progress_bar, runner
from winnow.session import LASTING, Session

NETWORK = Network("mixed", Shape(3, 9, 7), (
    Conv("a", 8, norm=True),
    Residual("block", (Conv("b", 8, norm=True), Conv("c", 13, 3, 2, norm=True, relu=False)),
             Conv("s", 13, 1, 2, 0, norm=True, relu=False)),
    Linear("hidden", 12, relu=True),
    Linear("fc", 10)))
CHIPS = {"small": named("small"), "bench": named("bench"),
         "tiny": Config(scratchpad_kib=32, cores=2)}  # bands, chunks and pieces everywhere


@pytest.fixture(autouse=True)
def one_plan(monkeypatch):
    """One plan of tile sizes instead of the best of all, which takes long to find."""
    monkeypatch.setattr(training, "PLANS", PLANS[:1])


def session(kind: str, name: str, config: str = "small", steps: int = 2, **recipe) -> Session:
    """Of a loss without labels: a step has 16 views, of 8 images."""
    return random_session(CHIPS[config], seeds.generator(name), steps, losses.with_head(
        NETWORK, kind), **{"batch": 16} | recipe | {"loss": kind})


class Supervised(Session):
    """One whose host hands in the errors of labels: those of the squared error of the device."""

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


def learned(made: Session) -> dict[str, bytes]:
    """What training on the model leaves."""
    with paired.on_the_model(made) as (model, _):
        memory = model.device.memory
        return {name: memory[made.program.external.slice(name)].tobytes() for name in LASTING}


@pytest.mark.parametrize("recipe", [{}, LOW_PRECISION, {"prune": Pruning(refresh=2)}],
                         ids=["nearest", "low precision", "pruned"])
@pytest.mark.parametrize("chip", CHIPS)
def test_handed_in_errors_teach_what_those_of_the_device_do(chip, recipe, monkeypatch):
    """To the bit, whatever the machine does with errors: scales them dynamically, rounds them
    stochastically (with one key for both), prunes weights."""
    monkeypatch.setattr(loss, "Numbers", lambda _, key: Numbers("errors", key))
    on_device = random_session(CHIPS[chip], seeds.generator("handed in"), 4, NETWORK,
                               **recipe | {"loss": "mse"})
    by_host = TrainingProgram(CHIPS[chip], NETWORK, Recipe(
        **vars(on_device.program.recipe) | {"loss": "contrastive"}))
    expected, taught = learned(on_device), learned(Supervised(by_host, on_device))
    assert [name for name in LASTING if taught[name] != expected[name]] == []


def begun(made: Session) -> Driver:
    """The first step on the model, up to the halt for the loss."""
    device = ModelDevice(made.program.config, made.program.external.size)
    made.place(device.memory)
    made.load(device.memory, made.rounds[0])
    driver = Driver(device)
    assert driver.execute(made.program.address("program")) == LOSS_WANTED
    return driver


def test_errors_arrive_in_e5m2_times_their_scale():
    """Each class of 8 images is a word, as with scores; classes that fill up have none."""
    made = session("contrastive", "bits", error_scale=6)
    driver = begun(made)
    machine, memory = driver.device.machine, driver.device.memory
    _, errors = made.loss(memory)
    (last,) = [o for o in made.program.training.operations if o.label == "errors from the host"]
    buffer = last.registers["vector.o0.base"]["address"].buffer
    seen, vectors = [], []

    def observe(_, operation):
        vectors.append(operation)
        if len(vectors) == wanted + 1:  # the one before is done
            seen.append(machine.words[buffer.address:buffer.address + buffer.words].copy())

    _, resumed = training.straight_lines(made.program.training.operations)
    wanted = resumed.index(last) + 1
    machine.observer = observe
    made.hand_in(memory)
    driver.resume()
    assert machine.run()
    assert driver.finish() == 0
    codes = seen[0].view(np.uint8).reshape(made.program.memory.eights, -1, 8)
    expected = floats.encode(E5M2, errors, 6)[0].reshape(len(codes), 8, -1).transpose(0, 2, 1)
    assert np.array_equal(codes[:, :expected.shape[1]], expected) and expected.any()
    assert not codes[:, expected.shape[1]:].any()


def test_a_program_that_halts_is_one_step():
    program = session("contrastive", "one").program
    with pytest.raises(ValueError, match="2 steps in a program that halts in each: must be 1"):
        program.instructions(2, 0.1)
    assert program.instructions(2, None)  # evaluation does not


@pytest.mark.parametrize("kind", losses.LOSSES)
@pytest.mark.parametrize("chip", ["small", "bench"])
def test_what_the_host_reads_is_what_the_network_computes(chip, kind):
    """Scores, embeddings and features of two views, beside float64."""
    made = session(kind, f"reads {kind}", chip)
    memory = begun(made).device.memory
    network = float_network(made)
    ((images, _),) = made.batches(made.rounds[0])
    network.gradients(images.transpose(0, 3, 1, 2), None)
    pairs = [(made.scores(memory, 1)[0], network.last),
             (made.features(memory)[:, :13], network.reads["projection"])]
    if kind == "simsiam":
        pairs.append((made.stored(memory, PREDICTION), network.reads[PREDICTION]))
    for ours, true in pairs:
        assert np.corrcoef(ours.ravel(), true.ravel())[0, 1] > 0.95
    assert made.loss(memory)[0] == pytest.approx(network.loss_seen, abs=0.3)
    assert not made.features(memory)[:, 13:].any()


@pytest.mark.parametrize("kind", losses.LOSSES)
def test_parameters_move_along_the_true_gradient(kind):
    """After a step without momentum, masters less what they were, beside float64."""
    made = session(kind, f"moves {kind}", steps=1, error_scale=8)
    program, region = made.program, made.program.external.slice("masters")
    network = float_network(made)
    ((images, _),) = made.batches(made.rounds[0])
    true = network.gradients(images.transpose(0, 3, 1, 2), None)
    with runner(made, "model") as model, progress_bar(1) as bar:
        memory = model.device.memory
        made.place(memory)
        before = memory[region].view(np.float32).copy()
        model.run(made.rounds[0], bar)
    moved = (before - memory[region].view(np.float32)) / np.float32(0.01)
    ours = np.linalg.norm(moved)
    expected = np.sqrt(sum(np.sum(g**2) for (_, what), g in true.items() if what == "weights"))
    assert ours == pytest.approx(expected, rel=0.2)
    last = program.layers[-1]
    (p,) = [p for p in program.memory.parameters if p.layer is last]
    first = p.master - program.address("masters")
    tiles = moved[first // 4:first // 4 + p.elements].reshape(
        last.output.blocks, last.input.blocks, 8, 8).transpose(0, 2, 1, 3)
    rows = tiles.reshape(last.output.blocks * 8, -1)[:last.output.channels, :last.input.channels]
    gradient = true[last.name, "weights"].reshape(rows.shape)
    cosine = np.sum(rows * gradient) / np.linalg.norm(rows) / np.linalg.norm(gradient)
    assert cosine > 0.9


@pytest.mark.parametrize("kind", losses.LOSSES)
def test_begins_at_the_loss_of_binary32(kind):
    made = session(kind, "both", steps=1)
    assert abs(paired.fp8(made)[1] - paired.binary32(made)[1]) <= 0.3


def test_the_chip_does_the_same():
    """Three steps with a halt in each, pruned, in 16 bits, and evaluation: every byte."""
    made = session("simsiam", "chip", steps=3, **LOW_PRECISION, prune=Pruning(refresh=2))
    with runner(made, "model") as model, runner(made, "rtl") as chip, progress_bar(0) as bar:
        both = model.device.memory, chip.device.memory
        for memory in both:
            made.place(memory)
        for work in (*made.rounds, *made.probe_rounds[:1], *made.test_rounds):
            for each in (model, chip):
                each.run(work, bar)
            assert difference(made.program, *both) is None
        assert made.state(both[0]).step == len(made.rounds) == 3
        exact = [name for name in model.counters if "macs" in name or "skipped" in name]
        assert exact and all(model.counters[name] == chip.counters[name] for name in exact)
