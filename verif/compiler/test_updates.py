"""Updates of parts of a layer's weights."""

import numpy as np
import pytest

from isa.config import Config
from isa.expressions import float_bits
from isa.registers import Unit
from sim import vector as model
from sim.registers import defaults
from verif import seeds
from winnow import network
from winnow.compiler import moves, update
from winnow.compiler.memory import Parameters
from winnow.compiler.numbers import Numbers
from winnow.compiler.operations import Buffer
from winnow.compiler.text import resolve
from winnow.compiler.tiles import Part
from winnow.compiler.vector import BFLOAT16
from winnow.graph import lower

CONFIG = Config(scratchpad_kib=2048)
LAYER = lower(network.named("vgg7")).layers[1]
SIZES = 4, 2, 2, 1  # words of 8 gradients, masters, moments, weights
RATE = 0.1


def updated(arrays: list[np.ndarray], first: int, runs=None) -> list[np.ndarray]:
    """Masters, moments and weights after a step; arrays (row, word), as in `SIZES`, of which the
    first row has that number."""
    buffers, address = [], 0
    words = np.zeros(CONFIG.words, np.uint64)
    for array in arrays:
        buffers.append(Buffer("", array.size, address))
        words[address:address + array.size] = array.ravel()
        address += array.size
    gradient, *learned = buffers
    for operation in update.momentum_step(
            "update", gradient, 0, update.Learned(
                **dict(zip(("master", "moment", "weights"), learned, strict=True)),
                master_format=BFLOAT16, moment_format=BFLOAT16, stochastic=True,
                numbers=Numbers("update", 0, first), runs=runs), 0.9, 0):
        registers = defaults(Unit.VECTOR)
        for name, fields in resolve(operation).items():
            registers[name] = registers[name] | fields
        registers["vector.k1"] = {"value": float_bits(-RATE)}
        assert not model.execute(CONFIG, registers, words).trap
    return [words[b.address:b.address + b.words].reshape(array.shape)
            for b, array in zip(learned, arrays[1:], strict=True)]


@pytest.mark.parametrize(("outputs", "blocks", "kernel"), [
    (range(2, 5), range(1, 4), None),
    (range(4), range(6, 7), range(1, 2)),
    (range(3, 4), range(LAYER.input.blocks), None),  # without gaps
])
def test_random_bits_follow_the_place(outputs, blocks, kernel):
    """A part, whose rows lie without gaps in its buffers, learns what it learns with the whole."""
    parameters = Parameters(LAYER, CONFIG)
    place = parameters.place(outputs, Part.of(LAYER.reads, range(1), blocks=blocks), kernel)
    rows = np.arange(place.run)
    for loop in place.loops:
        rows = np.add.outer(np.arange(loop.count) * loop.external, rows).reshape(-1)
    rows += place.first
    draw = seeds.generator(f"places {outputs} {blocks}")
    numbers = [draw.standard_normal((parameters.weight_words, 8)).astype(np.float32)
               for _ in SIZES[:3]]
    whole = [np.ascontiguousarray(numbers[0]).view(np.uint64)] + [
        (n.view(np.uint32) >> 16).astype(np.uint16).view(np.uint64) for n in numbers[1:]]
    whole.append(np.zeros((parameters.weight_words, 1), np.uint64))
    assert tuple(array.shape[1] for array in whole) == SIZES
    found = updated([array[rows] for array in whole], place.first,
                    moves.joined(place.run, place.loops))
    for part, all_rows in zip(found, updated(whole, 0), strict=True):
        assert np.array_equal(part, all_rows[rows])
