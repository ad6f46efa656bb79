"""Channel gating in whole training programs."""

import numpy as np
import pytest

from isa.config import Config, named
from verif import seeds
from verif.reference import convolution, pooling
from verif.reference.float_network import FloatNetwork
from verif.system import test_networks
from verif.system.networks import LOW_PRECISION, float_network, random_session
from verif.system.test_chip import on_both
from verif.system.test_networks import angle, check, one_step
from winnow.compiler.gating.rule import Gating
from winnow.compiler.pruning.rule import Pruning
from winnow.errors import UserError
from winnow.host import Driver, ModelDevice
from winnow.network import Conv, Linear, Network, Residual, Shape, Window
from winnow.session import Session

CHIP = Config("gates", cores=2, banks=16, scratchpad_kib=256, slot=4, reach=2)
TINY = CHIP.with_(scratchpad_kib=64)  # bands everywhere
LEARNED = ("weights", "masters", "moments")
GATED = ("b", "c", "d", "s")  # layers of `NETWORK` that are
NETWORK = Network("gated", Shape(3, 9, 8), (
    Conv("a", 16, norm=True),
    Conv("b", 32, norm=True, pool=Window(2)),
    Residual("block", (Conv("c", 29, 3, 2, norm=True), Conv("d", 40, 1, 1, 0, norm=True,
                                                           relu=False)),
             Conv("s", 40, 1, 2, 0, norm=True, relu=False)),
    Linear("fc", 10)))
RATE = 0.4
EVERY_STEP = Pruning("element", ((0, 1.0),), refresh=1, regrow=0)  # thresholds move in each step


class GatedNetwork(FloatNetwork):
    """Convolutions with gates, in floating point.

    Members
    -------
    gates : by name of a layer: which of its weights are base, (output, channel), and which outputs
        take the others as well, (image, output, row, column)
    """

    gates: dict[str, tuple[np.ndarray, np.ndarray]]

    def _conv(self, layer: Conv, x):
        """The sum of two convolutions before whatever comes behind them."""
        if layer.name not in self.gates:
            return super()._conv(layer, x)
        weights, geometry = self.parameters[layer.name, "weights"], (layer.stride, layer.padding)
        base, gates = self.gates[layer.name]
        base = base[:, :, np.newaxis, np.newaxis]
        parts = (base, 1), (~base, gates)
        y = sum(is_open * convolution.forward(x, weights * mine, *geometry)
                for mine, is_open in parts)
        y, norm = self._norm(layer.name, y)
        live = y > 0 if layer.relu else np.ones(y.shape, bool)
        window = Window(layer.pool) if isinstance(layer.pool, int) else layer.pool
        y, pool = pooling.largest(y * live, window)

        def backward(g):
            g = norm(pool(g) * live)
            self.gradient[layer.name, "weights"] = sum(mine * convolution.weight_gradient(
                x, g * is_open, layer.kernel, *geometry) for mine, is_open in parts)
            return sum(convolution.input_gradient(g * is_open, weights * mine, x.shape[2:],
                                                  *geometry) for mine, is_open in parts)

        return y, backward


def session(name: str, steps: int = 2, config: Config = CHIP, network: Network = NETWORK,
            **recipe) -> Session:
    return random_session(config, seeds.generator(name), steps, network, **recipe)


def thresholds(made: Session, memory: np.ndarray) -> list[np.ndarray]:
    """Of each gated layer, (output block, 8), as they lie in memory."""
    found, at = [], made.program.address("parameters")
    by_buffer = {id(p.threshold): p for p in made.program.memory.gated}
    for buffer in made.program.memory.resident:
        if id(buffer) in by_buffer:
            found.append(memory[at:at + 8 * buffer.words].view(np.float32).reshape(-1, 8))
        at += 8 * buffer.words
    return found


def gates(made: Session, memory: np.ndarray) -> dict[str, np.ndarray]:
    """By layer, (image, channel, row, column), of the last step."""
    found = {}
    for p in made.program.memory.gated:
        stored = made.program.memory.gates[made.program.memory.parameters.index(p)]
        shape, size = stored.shape, made.program.recipe.batch * stored.shape.words * 8
        words = memory[stored.address:stored.address + size] != 0
        words = words.reshape(-1, shape.height, shape.width, shape.blocks * 8)
        found[p.layer.name] = words.transpose(0, 3, 1, 2)[:, :shape.channels]
    return found


def base(made: Session) -> dict[str, np.ndarray]:
    """By layer, which weights are base, (output, channel)."""
    found = {}
    for p in made.program.memory.gated:
        layer, groups = p.layer, p.groups
        o, c = np.ogrid[:layer.output.channels, :layer.input.channels]
        found[layer.name] = o // 8 % groups.count == c // 8 // groups.size
    return found


def run(made: Session, threshold: float | None = None) -> np.ndarray:
    """The memory after training on the model, perhaps with these thresholds of odd blocks."""
    device = ModelDevice(made.program.config, made.program.external.size)
    made.place(device.memory)
    if threshold is not None:
        for each in thresholds(made, device.memory):
            each[1::2] = threshold
    for work in made.rounds:
        made.load(device.memory, work)
        Driver(device).execute(made.program.address("program"))
    return device.memory


def learned(made: Session, memory: np.ndarray) -> dict[str, bytes]:
    return {name: memory[made.program.external.slice(name)].tobytes() for name in LEARNED}


@pytest.mark.parametrize("options", [{}, {"skip_images": "random:0.4", "batch": 16},
                                     {"scaling": "dynamic"}])
@pytest.mark.parametrize("config", [CHIP, TINY, named("bench")], ids=["gates", "tiny", "bench"])
def test_open_gates_change_no_bit(config, options):
    """Before the thresholds move all gates are open: sums in two parts, errors twice."""
    options = {"steps": 4, "config": config, **options}
    plain, gated = (session("open", gate=gate, **options) for gate in (None, Gating(RATE, 2)))
    memory = run(gated)
    assert learned(plain, run(plain)) == learned(gated, memory)
    assert {name: each.all() for name, each in gates(gated, memory).items()} == dict.fromkeys(
        GATED, True)


def test_closed_gates_leave_the_base():
    """Where no gate of a block is ever open it is as if all weights but the base were pruned."""
    gated = session("closed", 3, gate=Gating(RATE, 2))
    pruned = session("closed", 3, prune=Pruning("element", ((0, 1.0),), refresh=100))
    memory = run(gated, threshold=np.inf)
    device = ModelDevice(CHIP, pruned.program.external.size)
    pruned.place(device.memory)
    bases = base(gated)
    masks = {}
    for p in pruned.program.memory.parameters:
        if p.layer.name in bases:
            whole = bases[p.layer.name].copy()
            whole[np.arange(len(whole)) // 8 % 2 == 0] = True  # even blocks are open
            masks[p.layer.name] = keep = _as_words(p.layer, whole)
            where = slice(p.mask, p.mask + 8 * p.weight_words)
            device.memory[where] *= keep
            device.memory[p.weights:p.weights + 8 * p.weight_words] *= keep
    for work in pruned.rounds:
        pruned.load(device.memory, work)
        Driver(device).execute(pruned.program.address("program"))
    for ours, theirs in zip(gated.program.memory.parameters, pruned.program.memory.parameters,
                            strict=True):
        if not ours.layer.learns:
            continue
        size = 32 * ours.weight_words
        a, b = (m[at:at + size].view(np.float32) for m, at in (
            (memory, ours.master), (device.memory, theirs.master)))
        keep = masks.get(ours.layer.name, np.ones(a.size, np.uint8)).astype(bool)
        assert (a[keep] == b[keep]).all(), ours.layer.name


def _as_words(layer, keep: np.ndarray) -> np.ndarray:
    """A mask of weights by (output, channel), 0 or 1 for each element as they lie in memory:
    channels last in a word are 8 outputs."""
    blocks = np.ones((layer.output.blocks * 8, layer.input.blocks * 8), np.uint8)
    blocks[:keep.shape[0], :keep.shape[1]] = keep
    tiles = blocks.reshape(layer.output.blocks, 8, layer.input.blocks, 8).transpose(0, 2, 3, 1)
    tiles = tiles[:, :, np.newaxis].repeat(layer.kernel**2, axis=2)
    return tiles.ravel()


def test_gradients_against_float64():
    """Gates at the threshold zero, about half of them open, in float64 the same ones."""
    made = session("float", 1, gate=Gating(RATE, 4))
    memory = run(made, threshold=0)
    found = gates(made, memory)
    assert all(0.1 < gate.mean() < 0.95 for gate in found.values())
    network = float_network(made, kind=GatedNetwork)
    network.gates = {name: (base(made)[name], gate) for name, gate in found.items()}
    data, rows = made.dataset, made.orders[0][0]
    images = data.train_images[rows].transpose(0, 3, 1, 2)
    true = {test_networks.SCORES: network.scores(images, training=True)} | network.gradients(
        images, data.train_labels[rows])
    ours = one_step(made, lambda m: [_set(each) for each in thresholds(made, m)])
    for key in true:
        check(key, angle(ours, true, [key]))


def _set(each: np.ndarray) -> None:
    each[1::2] = 0


def test_rates_follow():
    """Thresholds move until the share of open gates is what was asked for."""
    made = session("rates", 60, gate=Gating(RATE, 4), prune=EVERY_STEP)
    memory = run(made)
    for name, gate in gates(made, memory).items():
        assert abs(gate.mean() - RATE) < 0.15, name
        by_block = gate[:, ::8].mean(axis=(0, 2, 3))
        assert by_block.min() > 0.02 and by_block.max() < 0.95, (name, by_block)


@pytest.mark.parametrize("case, options", [
    (0, {}), (1, {**LOW_PRECISION, "skip_images": "quantile:0.5", "batch": 16})])
def test_the_chip_gates_the_same(case, options):
    made = session(f"chip {case}", 12, gate=Gating(RATE, 2 + 2 * case), prune=EVERY_STEP,
                   **options)
    for chip, _ in on_both(made, 3, stalls=0.2 * case):
        shares = [gate.mean() for gate in gates(made, chip.device.memory).values()]
    assert min(shares) < 1, shares


@pytest.mark.parametrize("gating, message", [
    ({"rate": 0}, "gate = 0: must be a share above 0, at most 1"),
    ({"rate": float("nan")}, "gate = nan"),
    ({"groups": 1}, "gate_groups = 1: must be at least 2")])
def test_refused(gating, message):
    with pytest.raises(UserError, match=message):
        Gating(**gating)


def test_refused_shapes():
    with pytest.raises(UserError, match="gate_groups = 3: must divide the 4 blocks"):
        session("refused", gate=Gating(RATE, 3))
    with pytest.raises(UserError, match="slot = 1: gates need slots"):
        session("refused", config=named("small"), gate=Gating(RATE, 2))
