"""How weight gradients cut the outputs of a layer."""

import pytest

from isa.config import named
from sim import cycles
from sim.registers import defaults
from winnow import network
from winnow.compiler.drains import Sums
from winnow.compiler.gradients import weight_gradient
from winnow.compiler.operations import Buffer
from winnow.compiler.text import resolve
from winnow.compiler.tiles import Part, Tile
from winnow.graph import lower

CONFIG = named("bench")


def operation(number: int, images: int):
    """A tile's weight gradient of a layer of VGG-7, its raw sums added to earlier ones."""
    layer = lower(network.named("vgg7")).layers[number]
    x, dy = (Tile.new(name, Part.of(shape, range(images)), shape)
             for name, shape in (("x", layer.input), ("dy", layer.output)))
    sums = Buffer("sums", layer.tiles * 8 * CONFIG.raw_words)
    address = 0
    for buffer in (x.buffer, dy.buffer, sums):
        buffer.address = address
        address += buffer.words
    return weight_gradient(CONFIG, layer, x, dy, range(layer.output.height), None, 0,
                           Sums(sums, sums))


@pytest.mark.parametrize(("number", "images", "outputs"), [
    (0, 3, 2),  # one nest: half of the sums drain beside the other half
    (0, 24, 4),  # a long one: a hundredth at most is gained
    (1, 1, 4),  # 9 nests for each pair of blocks
])
def test_outputs_that_share_a_tile(number, images, outputs):
    assert operation(number, images).registers["tensor.positions"].get("p2", 1) == outputs


def test_less_is_left_to_drain():
    found = operation(0, 3)
    registers = defaults(found.unit)
    for name, fields in resolve(found).items():
        registers[name] = registers[name] | fields
    # 128 passes of 32 words an image, half of the sums, and what every operation takes
    assert cycles.tensor(CONFIG, registers) <= 3 * 4096 + 16 * 4 * CONFIG.raw_words + 50
