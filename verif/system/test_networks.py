"""Random networks: compiler and model against float64 gradients."""

import numpy as np
import pytest

from isa.config import Config
from verif import seeds
from verif.reference.float_network import plain_weights
from verif.system.networks import BATCH, float_network, random_session
from winnow.host import Driver, ModelDevice
from winnow.session import Session

CONFIG = Config(scratchpad_kib=1024, cores=4, banks=32)


def one_step(session: Session) -> dict[tuple[str, str], np.ndarray]:
    """What a step of the model moves the parameters by, over the learning rate, by layer."""
    program = session.program
    device = ModelDevice(program.config, program.external.size)
    session.place(device.memory)
    before = device.memory.copy()
    (work,) = session.rounds
    session.load(device.memory, work)
    Driver(device).execute(program.address("program"))

    def moved(address: int, size: int) -> np.ndarray:
        old, new = (m[address:address + 4 * size].view(np.float32) for m in (before, device.memory))
        return (old - new) / np.float32(work.rate)

    result, resident = {}, program.address("parameters")
    places = {}
    for buffer in program.memory.resident:
        places[buffer] = resident
        resident += 8 * buffer.words
    for p in program.memory.parameters:
        layer = p.layer
        if not layer.learns:
            continue
        tiles = moved(p.master, p.elements).reshape(
            layer.output.blocks, layer.input.blocks, layer.kernel, layer.kernel, 8, 8)
        rows = tiles.transpose(0, 4, 1, 5, 2, 3).reshape(
            layer.output.blocks * 8, layer.input.blocks * 8, layer.kernel, layer.kernel)
        ours = rows[:layer.output.channels, :layer.input.channels].copy()
        rows[:layer.output.channels, :layer.input.channels] = 0
        assert not rows.any()  # what pads a tile stays zero
        result[layer.name, "weights"] = plain_weights(layer, ours)
        learned = {"bias": p.bias} if p.bias else {}
        if p.norm:
            learned = {"gamma": p.norm.gamma, "beta": p.norm.beta}
        for kind, buffer in learned.items():
            result[layer.name, kind] = moved(places[buffer], layer.output.channels)
    return result


def angle(ours: dict, true: dict, kinds: tuple[str, ...]) -> float:
    """The cosine between our gradient and the true one."""
    keys = [key for key in true if key[1] in kinds]
    ours, true = (np.concatenate([part[key].ravel() for key in keys]) for part in (ours, true))
    return float(ours @ true / np.linalg.norm(ours) / np.linalg.norm(true))


@pytest.mark.parametrize("part", range(4))
def test_first_updates_against_float64(part):
    """After a step the parameters have moved by the learning rate times the true gradient.

    Roundings add up and some ReLUs decide otherwise; each layer's nests are held to the bit in
    verif/compiler. This sees a layer fed with the wrong map, scale or sign.
    """
    cosines, sizes = [], []
    for case in range(10):
        session = random_session(CONFIG, seeds.generator(f"network {part} {case}"), steps=1)
        data, rows = session.dataset, session.orders[0][0]
        expected = float_network(session).gradients(
            data.train_images[rows].transpose(0, 3, 1, 2), data.train_labels[rows])
        ours = one_step(session)
        assert ours.keys() == expected.keys()
        cosines.append(angle(ours, expected, ("weights", "bias", "gamma", "beta")))
        sizes += [np.linalg.norm(ours[key]) / np.linalg.norm(expected[key]) for key in ours
                  if key[1] == "weights"]
    assert min(cosines) > 0.5
    assert np.median(cosines) > 0.93
    assert 0.95 < np.median(sizes) < 1.1


def test_batch_is_what_it_says():
    session = random_session(CONFIG, seeds.generator("batch"), steps=3)
    (work,) = session.rounds
    assert work.images.shape == (3, BATCH)
    assert sorted(work.images.ravel()) == list(range(3 * BATCH))
