"""`winnow bench sparsity`: on the model what is left out and counted, on the Verilog cycles too."""

import numpy as np
import pytest

from isa.config import Config, named
from winnow.bench import sparsity
from winnow.bench.layer import phases
from winnow.errors import UserError
from winnow.host import ModelDevice

CONFIG = Config("two", cores=2, banks=16, scratchpad_kib=256, slot=4, reach=2)


def on_model(config: Config, densities) -> list[sparsity.Result]:
    cases = list(phases(config, 32, 8, 8))
    external = sparsity.memory(config, cases)
    bench = sparsity.Bench(config, *(ModelDevice(config, external.size) for _ in range(2)),
                           external)
    return [sparsity._compare(config, bench, case, mechanism, density,
                              np.random.default_rng(1))
            for case in cases for mechanism in case.mechanisms for density in densities]


def test_each_mechanism_leaves_out_what_is_zero():
    for r in on_model(CONFIG, (1.0, 0.25)):
        assert r.equal, r
        edges = 0.1 if r.phase == "FP" else 0.12  # zeros around the map are elements as well
        if "elements" not in r.mechanism:
            edges = 0
        expected = r.density ** len(r.mechanism.split(" and "))
        if "tiles" in r.mechanism and r.cores > 1:  # left out where all cores of a group have none
            expected *= (1 - (1 - r.density)**2) / r.density
        assert expected * (0.8 - edges) - 0.02 <= r.live <= expected * 1.2 + 0.02, r


@pytest.mark.parametrize("given, message", [
    ((named("small"), 32, 8, 8), "configuration small: slot = 1"),
    ((CONFIG, 24, 8, 8), "channels = 24: must be a multiple of 32"),
    ((CONFIG, 32, 6, 8), "size = 6: must be a multiple of 4"),
    ((CONFIG, 32, 8, 0), "images = 0: must be a multiple of 8"),
    ((CONFIG, 128, 32, 8), "the operands need .* bytes of scratchpad or more, configuration two "
                           "has 262144"),
])
def test_layers_that_cannot_be_are_refused(given, message):
    with pytest.raises(UserError, match=message):
        list(phases(*given))


@pytest.mark.parametrize("density", [0, -0.5, 1.01])
def test_densities_that_cannot_be_are_refused(density):
    with pytest.raises(UserError, match=f"density = {density}: must be above 0, at most 1"):
        sparsity.check([0.5, density])


@pytest.mark.slow
def test_chip():
    """What is left out is cycles that are saved."""
    results = list(sparsity.measure(CONFIG, 32, 8, 8, [1.0, 0.25], show=False))
    assert all(r.equal for r in results)
    for r in results:
        if r.density == 1:
            assert r.ratio <= 1.02, r
        elif not (r.mechanism == "tiles" and r.cores > 1):
            assert r.ratio <= 0.5, r
