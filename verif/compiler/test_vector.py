"""Vector operations as the compiler writes them: what they split, and the order of their loops."""

import numpy as np
import pytest

from isa.config import named
from isa.registers import VECTOR_LOOPS, Reduce, Unit
from sim import vector as model
from sim.registers import defaults
from verif import seeds
from winnow.compiler.operations import Buffer
from winnow.compiler.text import resolve
from winnow.compiler.vector import E4M3, K0, K1, ONE, ZERO, Stream, T, X, Y, vector

CONFIG = named("small")


def registers(operation) -> dict:
    values = defaults(Unit.VECTOR)
    for name, fields in resolve(operation).items():
        values[name] = values[name] | fields
    return values


@pytest.mark.parametrize(("counts", "reduce", "loop"), [
    ((32, 32, 4, 1, 1, 2), Reduce.NONE, "n2"),  # four have as much each, of the outermost such
    ((32, 32, 5, 1, 1, 2), Reduce.NONE, "n1"),
    ((32, 32, 4, 1, 1, 8), Reduce.NONE, "n5"),
    ((7,), Reduce.NONE, "n0"),
    ((5, 3), Reduce.NONE, "n0"),
    ((2, 2, 16, 16, 3, 1), Reduce.MAX, "n3"),
    ((64, 64, 3), Reduce.SUM, "n2"),
])
def test_the_most_even_loop_is_split(counts, reduce, loop):
    x, y = Buffer("x", 1 << 12, 0), Buffer("y", 1 << 12, 4096)
    operation = vector("split", counts, (X, ONE, ZERO), reduce=reduce,
                       x=Stream(x, E4M3), o0=Stream(y, E4M3))
    assert VECTOR_LOOPS[registers(operation)["vector.outer"]["split"] - 1] == loop


@pytest.mark.parametrize("reduce", [Reduce.NONE, Reduce.MAX])
@pytest.mark.parametrize("channel", [0, 0b11])
def test_backwards_is_the_same(reduce, channel):
    draw = seeds.generator(f"backwards {reduce} {channel}")
    counts = 3, 2, 4, 1, 2, 3
    sizes = np.cumprod((1, *counts))
    x, y, k = Buffer("x", sizes[-1], 100), Buffer("y", sizes[-1], 700), Buffer("k", 24, 1500)
    outputs = sizes[:6] if reduce is Reduce.NONE else (0, 0, *(sizes[2:6] // sizes[2]))
    before = draw.integers(0, 1 << 64, CONFIG.words, np.uint64)
    before[k.address:k.address + k.words] = draw.standard_normal(48).astype(np.float32).view(
        np.uint64)
    found = []
    for backwards in (False, True):
        words = before.copy()
        operation = vector(
            "backwards", counts, (X, K0, K1), (T, ONE, Y), reduce=reduce, channel=channel,
            coefficients=(k, 0, 8), constants={"k0": 0.5, "k1": 1.0}, backwards=backwards,
            x=Stream(x, E4M3, tuple(map(int, sizes[:6]))), y=Stream(x, E4M3, (1, 0, 5, 2)),
            o0=Stream(y, E4M3, tuple(map(int, outputs)), offset=3))
        assert not model.execute(CONFIG, registers(operation), words).trap
        found.append((words, registers(operation)))
    (forward, one), (backward, other) = found
    assert np.array_equal(forward, backward)
    assert not np.array_equal(forward, before)
    assert one["vector.o0.n23"]["n2"] == -other["vector.o0.n23"]["n2"] != 0
