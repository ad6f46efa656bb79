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
    "slot": {**SMALL, "slot": 4, "reach": 2},
    "slots": {**SMALL, "block": 8, "cores": 4, "slot": 2, "reach": 1, "tree_stages": 1},
    "long_slots": {**SMALL, "block": 16, "cores": 2, "slot": 8, "reach": 3, "mode": "e4m3",
                   "accumulator_bits": 48},
    "e5m2": {**SMALL, "block": 16, "tree_stages": 3, "mode": "e5m2", "accumulator_bits": 88},
}

SLOW = ("smallest", "four", "four_e5m2", "long_slots", "e5m2")


def names(*but: str) -> list:
    """Of all configurations but some, the long ones marked."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
            for name in CONFIGS if name not in but]


@pytest.mark.parametrize("name", names())
def test_operations(name):
    config = CONFIGS[name]
    bench.run(TensorUnit(config=Config(**config)), "verif.tensor.bench_unit",
              parameters={"config": config})


@pytest.mark.parametrize("name", names())
def test_random(name):
    config = CONFIGS[name]
    bench.run(TensorUnit(config=Config(**config)), "verif.tensor.bench_random",
              parameters={"config": config, "count": 120})


@pytest.mark.parametrize("name", names("e5m2"))
def test_groups(name):
    config = CONFIGS[name]
    bench.run(TensorUnit(config=Config(**config)), "verif.tensor.bench_groups",
              parameters={"config": config})


@pytest.mark.parametrize("config", [SMALL, {"cores": 4, "scratchpad_kib": 64}])
def test_rate(config):
    bench.run(TensorUnit(config=Config(**config)), "verif.tensor.bench_rate",
              parameters={"config": config})


@pytest.mark.parametrize("config", [
    {}, {"slot": 4, "reach": 2},
    pytest.param({"slot": 4, "reach": 2, "cores": 4}, marks=pytest.mark.slow)])
def test_tiles_rate(config):
    config = {"scratchpad_kib": 128, **config}
    bench.run(TensorUnit(config=Config(**config)), "verif.tensor.bench_tiles_rate",
              parameters={"config": config, "least": 0.1 if "slot" in config else 0.5})


# By density of the stream: the most that an operation may take of its dense cycles
ELEMENTS = {1: 1.02, 0.75: 0.9, 0.5: 0.66, 0.2: 0.34, 0.1: 0.27}


@pytest.mark.parametrize("config, channels", [
    ({"scratchpad_kib": 32}, 128),
    pytest.param({"scratchpad_kib": 128, "cores": 4}, 64, marks=pytest.mark.slow),
])
def test_elements_rate(config, channels):
    config = {**config, "slot": 4, "reach": 2}
    bench.run(TensorUnit(config=Config(**config)), "verif.tensor.bench_elements_rate",
              parameters={"config": config, "channels": channels, "most": ELEMENTS})


@pytest.mark.parametrize("cores", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_outputs_rate(cores):
    config = {"slot": 4, "reach": 2, "scratchpad_kib": 128, "cores": cores}
    bench.run(TensorUnit(config=Config(**config)), "verif.tensor.bench_outputs_rate",
              parameters={"config": config})
