import pytest

from hdl.tensor.unit import TensorUnit
from isa.config import Config
from verif import bench

SMALL = {"scratchpad_kib": 32}
CONFIGS = {
    "default": SMALL,
    "smallest": {**SMALL, "block": 1, "tree_stages": 0, "mode": "e4m3", "accumulator_bits": 40},
    "cores": {**SMALL, "block": 8, "tree_stages": 1, "cores": 2},
    "four": {**SMALL, "block": 16, "tree_stages": 3, "cores": 4},
    "four_e5m2": {**SMALL, "block": 1, "tree_stages": 0, "cores": 4, "mode": "e5m2",
                  "accumulator_bits": 96},
    "e5m2": {**SMALL, "block": 16, "tree_stages": 3, "mode": "e5m2", "accumulator_bits": 88},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_operations(name):
    config = CONFIGS[name]
    bench.run(TensorUnit(config=Config(**config)), "verif.tensor.bench_unit",
              parameters={"config": config})


@pytest.mark.parametrize("name", CONFIGS)
def test_random(name):
    config = CONFIGS[name]
    bench.run(TensorUnit(config=Config(**config)), "verif.tensor.bench_random",
              parameters={"config": config, "count": 120})


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "e5m2"])
def test_groups(name):
    config = CONFIGS[name]
    bench.run(TensorUnit(config=Config(**config)), "verif.tensor.bench_groups",
              parameters={"config": config})


@pytest.mark.parametrize("config", [SMALL, {"cores": 4, "scratchpad_kib": 64}])
def test_rate(config):
    bench.run(TensorUnit(config=Config(**config)), "verif.tensor.bench_rate",
              parameters={"config": config})
