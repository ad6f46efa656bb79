"""The vector unit in a scratchpad, and some of its parts alone, against the model."""

import pytest

from hdl.vector.accumulate import LaneSum
from hdl.vector.fork import Fork
from hdl.vector.function import Function
from isa.config import Config
from verif import bench
from verif.arith.many import Many
from verif.vector.fixtures import StalledVector


@pytest.mark.parametrize("name, config, operations, groups", [
    ("main", {"scratchpad_kib": 16}, 120, 60),
    ("least", {"scratchpad_kib": 1}, 60, 3),
    ("two", {"scratchpad_kib": 16, "vector_datapaths": 2}, 120, 60),
    pytest.param("four", {"scratchpad_kib": 16, "vector_datapaths": 4, "banks": 32}, 200, 60,
                 marks=pytest.mark.slow),
])
@pytest.mark.parametrize("module", ["bench_vector", "bench_uses"])
def test_vector(name, config, operations, groups, module):
    bench.run(StalledVector(config=Config(**config)), f"verif.vector.{module}",
              name=f"vector_{name}",
              parameters={"config": config, "operations": operations, "groups": groups})


def test_lane_sum():
    bench.run(LaneSum(), "verif.vector.bench_lane_sum", parameters={"count": 20_000})


def test_function():
    copies = 16
    bench.run(Many(Function, copies), "verif.vector.bench_function", name="vector_function",
              parameters={"copies": copies})


@pytest.mark.parametrize("takers", [0, -1])
def test_fork_needs_takers(takers):
    with pytest.raises(ValueError, match=f"takers = {takers}: must be at least 1"):
        Fork(takers=takers)
