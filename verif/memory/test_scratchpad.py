import pytest

from hdl.memory.scratchpad import Scratchpad
from isa.config import Config
from verif import bench

MODULE = "verif.memory.bench_scratchpad"
SMALLEST = {"scratchpad_kib": 1, "banks": 16}


@pytest.mark.parametrize("changes, reads, writes", [
    ({}, 6, 4),
    (SMALLEST, 1, 1),
    (SMALLEST, 3, 5),
])
def test_scratchpad(changes, reads, writes):
    bench.run(Scratchpad(config=Config(**changes), reads=reads, writes=writes), MODULE,
              parameters={"config": changes, "reads": reads, "writes": writes})


@pytest.mark.parametrize("ports", [{"reads": 0, "writes": 1}, {"reads": 1, "writes": 0}])
def test_constructor_errors(ports):
    with pytest.raises(ValueError, match=r"(reads|writes) = 0: must be a positive integer"):
        Scratchpad(config=Config(), **ports)
