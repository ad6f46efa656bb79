import pytest

from hdl.tensor.core.core import Core
from hdl.tensor.core.skipping_core import SkippingCore
from isa.config import Config, ConfigError
from verif import bench


@pytest.mark.parametrize("changes, cycles", [
    ({}, 2000),
    ({"tree_stages": 0, "block": 1}, 1500),
    ({"tree_stages": 3, "block": 1}, 1500),
    ({"tree_stages": 2, "block": 2, "mode": "e5m2", "accumulator_bits": 88}, 500),
    ({"tree_stages": 1, "block": 8, "mode": "e4m3", "accumulator_bits": 40}, 1500),
])
def test_core(changes, cycles):
    bench.run(Core(config=Config(**changes)), "verif.tensor.bench_core",
              parameters={"config": changes, "cycles": cycles})


@pytest.mark.parametrize("changes, cycles", [
    ({"slot": 4, "reach": 2}, 600),
    ({"slot": 2, "block": 2, "tree_stages": 0}, 400),
    ({"slot": 8, "reach": 3, "block": 8, "tree_stages": 3, "mode": "e4m3",
      "accumulator_bits": 40}, 400),
])
def test_skipping_core(changes, cycles):
    bench.run(SkippingCore(config=Config(**changes)), "verif.tensor.bench_skipping_core",
              parameters={"config": changes, "cycles": cycles})


def test_constructor_errors():
    with pytest.raises(ConfigError, match="block = 3: must be a power of two from 1 to 128"):
        Core(config=Config(block=3))
