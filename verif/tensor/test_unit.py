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
    "four_e5m2": {**SMALL, "block": 8, "tree_stages": 0, "cores": 4, "mode": "e5m2",
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


@pytest.mark.parametrize("changes", [
    {"block": 16},
    {"block": 16, "cores": 4},
    {"block": 1, "cores": 2, "tree_stages": 0, "mode": "e4m3", "accumulator_bits": 40},
])
def test_groups(changes):
    config = {"scratchpad_kib": 64, **changes}
    bench.run(TensorUnit(config=Config(**config)), "verif.tensor.bench_groups",
              parameters={"config": config})


@pytest.mark.parametrize("cores", [1, 4])
def test_rate(cores):
    config = {"cores": cores, "scratchpad_kib": 64}
    bench.run(TensorUnit(config=Config(**config)), "verif.tensor.bench_rate",
              parameters={"config": config})
