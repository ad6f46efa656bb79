"""Networks without meaning: one line that names the layer, the value and the rule, before anything
runs; and what pools make of shapes."""

import pytest

from winnow.graph import lower
from winnow.network import (
    AveragePool,
    Conv,
    Linear,
    MaxPool,
    Network,
    NetworkError,
    Residual,
    Shape,
    Window,
)

LAST = Linear("fc", 10)


def refused(network: Network, message: str) -> None:
    with pytest.raises(NetworkError) as error:
        lower(network)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("layers", "message"), [
    ((Conv("a", 0), LAST), "layer a: channels = 0: must be positive"),
    ((Conv("a", -8), LAST), "layer a: channels = -8: must be positive"),
    ((Conv("a", 8, kernel=4), LAST), "layer a: kernel = 4: must be 1, 3, 5 or 7"),
    ((Conv("a", 8, kernel=0), LAST), "layer a: kernel = 0"),
    ((Conv("a", 8, stride=3), LAST), "layer a: stride = 3: must be 1 or 2"),
    ((Conv("a", 8, stride=0), LAST), "layer a: stride = 0"),
    ((Conv("a", 8, padding=3), LAST), "layer a: padding = 3: must be from 0 to kernel - 1 = 2"),
    ((Conv("a", 8, padding=-1), LAST), "layer a: padding = -1"),
    ((Conv("a", 8, pool=0), LAST), "layer a: max pool of 0: must be from 1 to 5"),
    ((Conv("a", 8, pool=6), LAST), "layer a: max pool of 6"),
    ((Conv("a", 8, pool=Window(2, 0)), LAST), "layer a: stride 0 of its pool: must be positive"),
    ((MaxPool("p", Window(3, 2, 3)), LAST),
     "layer p: padding 3 of its pool: must be from 0 to kernel - 1 = 2"),
    ((AveragePool("p", Window(0)), LAST), "layer p: average pool of 0: must be positive"),
    ((AveragePool("p", Window(9)), LAST),
     "layer p: pool of 9x9 with padding 0 does not fit the map 1x8x8"),
    ((Conv("a", 8), Conv("b", 8, kernel=7, padding=0), Conv("c", 8, padding=0), LAST),
     "layer c: kernel 3 with padding 0 does not fit the map 8x2x2"),
    ((Conv("a", 8),), "network n: must end with a fully connected layer"),
    ((Linear("fc", -1),), "layer fc: channels = -1"),
    ((Linear("fc", 10, relu=True),), "layer fc: gives the scores: must be without ReLU"),
    ((), "network n: must end with a fully connected layer"),
    ((Conv("a", 8), Conv("a", 8), LAST), "layer a: has the name of another layer"),
    (("conv", LAST), "'conv': is no layer"),
])
def test_layers_without_meaning(layers, message):
    refused(Network("n", Shape(1, 8, 8), layers), message)


@pytest.mark.parametrize(("body", "shortcut", "message"), [
    ((Conv("b", 8, stride=2, relu=False),), None,
     "layer r: adds maps of unlike shapes: 8x4x4 and 8x8x8"),
    ((Conv("b", 9, relu=False),), None, "adds maps of unlike shapes: 9x8x8 and 8x8x8"),
    ((Conv("b", 8, relu=False),), Conv("s", 8, 1, 2, 0, relu=False),
     "adds maps of unlike shapes: 8x8x8 and 8x4x4"),
    ((), None, "layer r: its body must end with a convolution"),
    ((Conv("b", 8), MaxPool("p")), None, "layer r: its body must end with a convolution"),
    ((Conv("b", 8),), None, "layer b: the last layer of a residual body, and its shortcut, must"),
    ((Conv("b", 8, relu=False),), Conv("s", 8), "layer s: the last layer of a residual body"),
    ((Conv("b", 8, relu=False, pool=2),), None, "layer b: the last layer of a residual body"),
    ((Linear("l", 8), Conv("b", 8, relu=False)), None, "layer l: is fully connected, cannot be"),
])
def test_residuals_without_meaning(body, shortcut, message):
    layers = Conv("a", 8), Residual("r", body, shortcut), LAST
    refused(Network("n", Shape(1, 8, 8), layers), message)


def test_residual_on_the_images():
    block = Residual("r", (Conv("b", 8, relu=False),))
    refused(Network("n", Shape(8, 8, 8), (block, LAST)), "layer r: cannot come first")


@pytest.mark.parametrize("shape", [(0, 8, 8), (1, 0, 8), (1, 8, -1), (1, 2048, 8)])
def test_images_of_no_size(shape):
    refused(Network("n", Shape(*shape), (LAST,)),
            f"images of {Shape(*shape)}: must have at least one channel, and 1 to 2047 rows and")


def test_shapes_of_pools():
    """Over a map of 7 x 10."""
    for window, shape in ((Window(2), (3, 5)), (Window(3), (2, 3)), (Window(3, 2), (3, 4)),
                          (Window(3, 2, 1), (4, 5)), (Window(5, 1, 2), (7, 10)),
                          (Window(2, 3), (2, 3))):
        for layers in ((Conv("a", 5, pool=window),), (Conv("a", 5), MaxPool("p", window)),
                       (Conv("a", 5), AveragePool("p", window))):
            graph = lower(Network("n", Shape(1, 7, 10), (*layers, LAST)))
            assert graph.maps[-1].shape == Shape(5, *shape)
    graph = lower(Network("n", Shape(1, 7, 10), (Conv("a", 5), AveragePool("p"), LAST)))
    assert graph.maps[-1].shape == Shape(5)
