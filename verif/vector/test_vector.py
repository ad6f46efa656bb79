"""The vector unit in a scratchpad, against the model."""

import pytest

from isa.config import Config
from verif import bench
from verif.vector.fixtures import StalledVector

MODULE = "verif.vector.bench_vector"


@pytest.mark.parametrize("name, config, operations, groups", [
    ("main", {"scratchpad_kib": 16}, 200, 60),
    ("least", {"scratchpad_kib": 1}, 60, 3),
])
def test_vector(name, config, operations, groups):
    bench.run(StalledVector(config=Config(**config)), MODULE, name=f"vector_{name}",
              parameters={"config": config, "operations": operations, "groups": groups})
