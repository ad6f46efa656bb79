"""Every way to cut a matrix product, on the model, against float64; and what cannot be cut."""

import numpy as np
import pytest

from isa.config import WORD_BYTES, Config, named
from isa.memmap import Trap
from sim import cycles, tensor
from verif import seeds
from winnow.bench import lowering, operands, reference, shapes
from winnow.bench.lowering import Cut, Lowered, lower
from winnow.bench.shapes import Gemm
from winnow.errors import UserError

CASES = range(150)
CONFIG = Config(cores=8, banks=32, scratchpad_kib=1024)


def run(config: Config, lowered: Lowered, a, b) -> np.ndarray:
    """The product on the model."""
    words = np.full(config.words, 0x5A5A5A5A5A5A5A5A, np.uint64)
    for buffer, image in zip((lowered.stream, lowered.tiles), operands.images(lowered.cut, a, b),
                             strict=True):
        words[buffer.address:buffer.address + image.size // WORD_BYTES] = image.view(np.uint64)
    before = words.copy()
    assert tensor.execute(config, lowered.registers, words).trap is Trap.NONE
    start = lowered.result.address
    end = start + lowered.cut.words[2]
    assert np.array_equal(words[:start], before[:start])
    assert np.array_equal(words[end:], before[end:])
    return operands.product(lowered.cut, words[start:end].view(np.uint8))


@pytest.mark.parametrize("case", CASES)
def test_every_cut_is_the_product(case):
    draw = seeds.generator(f"gemm {case}")
    shape = Gemm(*(int(side) for side in draw.integers(1, 80, 3)))
    rows, groups = int(draw.integers(1, 33)), int(draw.integers(1, 9))
    cores = int(draw.choice([c for c in (1, 2, 4, 8) if c * groups <= 8])) if groups > 1 else (
        int(draw.integers(1, 9)))
    cut = Cut(shape, bool(draw.integers(2)), rows, cores, groups,
              merge=groups > 1 and bool(draw.integers(2)))
    a, b = operands.draw(draw, shape.m, shape.k), operands.draw(draw, shape.k, shape.n)
    scale = int(draw.integers(-5, 2))
    found = run(CONFIG, Lowered(CONFIG, cut, scale), a, b)
    assert np.array_equal(found, reference.product(a, b, scale))


def test_the_chosen_cut_has_the_fewest_cycles():
    draw = seeds.generator("cuts")
    config = CONFIG.with_(cores=2)
    for _ in range(6):
        shape = Gemm(*(int(side) for side in draw.integers(1, 40, 3)))
        every = [Lowered(config, cut, 0).predicted for cut in lowering.cuts(config, shape)]
        assert lower(config, shape, 0).predicted <= 1.02 * min(every)


def test_reference_rounds_like_the_definition():
    """Against the nearest value by exhaustive search, ties to even codes."""
    draw = seeds.generator("rounding")
    a = operands.draw(draw, 40, 3)
    b = operands.draw(draw, 3, 40)
    exact = reference.values(a) @ reference.values(b)
    found = reference.product(a, b, 0)
    distance = np.abs(np.abs(exact)[..., np.newaxis] - reference.VALUES)
    nearest = distance.min(axis=-1)
    size = found & 0x7F
    assert np.array_equal(np.take_along_axis(distance, size[..., np.newaxis], -1)[..., 0], nearest)
    tied = np.count_nonzero(distance == nearest[..., np.newaxis], axis=-1) > 1
    assert np.all(size[tied] % 2 == 0) and tied.any()
    assert np.array_equal(found >> 7, (exact < 0).astype(np.uint8))


@pytest.mark.parametrize(("text", "message"), [
    ("64x64", "shape '64x64': must be MxNxK, three integers of at least 1"),
    ("", "shape '': must be MxNxK"),
    ("4x4x4,,4x4x4", "shape '': must be MxNxK"),
    ("4x4xk", "shape '4x4xk': must be MxNxK"),
    ("8x0x8", "shape 8x0x8: n = 0, must be at least 1"),
    ("8x8x-2", "shape 8x8x-2: k = -2, must be at least 1"),
])
def test_shapes_that_are_none(text, message):
    with pytest.raises(UserError) as error:
        shapes.parse(text)
    assert message in str(error.value)


@pytest.mark.parametrize(("shape", "message"), [
    ((2048, 2048, 8), "needs 4227096 bytes of scratchpad, configuration small has 131072"),
    ((1, 8, 40000), "cannot be cut into loops of at most 4095 rounds"),
    ((1, 1, 32768), "cannot be cut into loops of at most 4095 rounds"),
])
def test_products_that_cannot_be_cut(shape, message):
    with pytest.raises(UserError, match=rf"shape {'x'.join(map(str, shape))}: .*{message}"):
        lower(named("small"), Gemm(*shape), 0)


def test_depth_of_an_accumulator_is_a_bound():
    config = Config(accumulator_bits=56, mode="mixed")
    most = config.max_passes
    assert most < 4095, "else the loops are the bound"
    with pytest.raises(UserError, match=f"an accumulator holds {most}"):
        lower(config, Gemm(1, 1, 8 * most + 1), 0)
    lower(config, Gemm(1, 1, 8 * most), 0)


def test_prediction_is_of_the_whole_operation():
    lowered = lower(named("small"), Gemm(12, 16, 16), 0)
    assert lowered.predicted == cycles.tensor(named("small"), lowered.registers) == 71
