import pytest

from hdl.tensor.drain.statistics import Statistics
from isa.config import Config
from verif import bench


@pytest.mark.parametrize("changes", [
    {},
    {"cores": 4, "mode": "e5m2", "accumulator_bits": 88},
    {"cores": 2, "mode": "e4m3", "accumulator_bits": 40},
])
def test_statistics(changes):
    bench.run(Statistics(config=Config(**changes)), "verif.tensor.bench_statistics",
              parameters={"config": changes})
