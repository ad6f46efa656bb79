"""Random networks: compiler and model against float64 gradients, the chip against the model."""

import numpy as np
import pytest

from isa.config import Config
from isa.formats import E4M3
from sim import floats
from verif import seeds
from verif.reference.float_network import FloatNetwork, plain_weights
from verif.system.networks import BATCH, random_session
from winnow.compiler.layers import GROUP_WORDS
from winnow.host import Driver, ModelDevice

CONFIG = Config(scratchpad_kib=1024)


@pytest.mark.parametrize("case", range(25))
def test_first_update_against_float64(case):
    """After one step the masters have moved by the learning rate times the true gradient."""
    session = random_session(CONFIG, seeds.generator(f"network {case}"), steps=1)
    program, data = session.program, session.dataset
    device = ModelDevice(CONFIG, program.external.size)
    session.place(device.memory)
    region = program.external.slice("masters")
    before = device.memory[region].view(np.float32).copy()
    Driver(device).execute(0)
    moved = (before - device.memory[region].view(np.float32)) / 0.01

    stored = [floats.decode(E4M3, floats.encode(E4M3, w)[0]) for w in session.weights]
    network = FloatNetwork(program.network, plain_weights(program.network, stored))
    images = data.train_images[session.order[0]].transpose(0, 3, 1, 2)
    targets = np.eye(program.network.classes)[data.train_labels[session.order[0]]]
    expected, of_biases = network.gradients(images, targets)
    start, ours = 0, []
    for parameters in program.parameters:
        layer, size = parameters.layer, parameters.elements
        tiles = moved[start:start + size].reshape(
            layer.output.blocks, layer.input.blocks, layer.kernel, layer.kernel, 8, 8)
        rows = tiles.transpose(0, 4, 1, 5, 2, 3).reshape(
            layer.output.blocks * 8, layer.input.blocks * 8, layer.kernel, layer.kernel)
        ours.append(rows[:layer.output.channels, :layer.input.channels])
        rest = rows.copy()
        rest[:layer.output.channels, :layer.input.channels] = 0
        assert not rest.any()  # what pads a tile stays zero
        start += size
    close(plain_weights(program.network, ours), expected)
    snapshot = device.memory[program.external.slice("snapshots")].view(np.float32)
    at = sum(p.elements for p in program.parameters)
    ours = []
    for parameters, true in zip(program.parameters, of_biases, strict=True):
        ours.append(snapshot[at:at + true.size] / -0.01)
        at += parameters.layer.output.blocks * GROUP_WORDS * 2
    close(ours, of_biases)


def close(ours: list[np.ndarray], true: list[np.ndarray]) -> None:
    """Over all layers. Roundings add up and some ReLUs decide otherwise; each layer's nests are
    held to the bit in verif/compiler. This sees a layer fed with the wrong map, scale or sign."""
    ours, true = (np.concatenate([part.ravel() for part in parts]) for parts in (ours, true))
    assert np.linalg.norm(ours - true) <= 0.7 * np.linalg.norm(true)


def test_batch_is_what_it_says():
    session = random_session(CONFIG, seeds.generator("batch"), steps=3)
    assert session.order.shape == (3, BATCH)
    assert sorted(session.order.ravel()) == list(range(3 * BATCH))
