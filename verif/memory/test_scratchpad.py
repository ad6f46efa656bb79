import pytest

from hdl.memory.scratchpad import Scratchpad
from isa.config import Config
from verif import bench

MODULE = "verif.memory.bench_scratchpad"
SMALLEST = {"scratchpad_kib": 1, "banks": 16}


@pytest.mark.parametrize("changes, ports", [
    ({}, {"reads": 6, "writes": 4}),
    (SMALLEST, {"reads": 1, "writes": 1}),
    (SMALLEST, {"reads": 3, "writes": 5}),
    ({"slot": 4}, {"reads": 3, "writes": 2, "wide": 4}),
    ({**SMALLEST, "slot": 8}, {"reads": 1, "writes": 1, "wide": 3}),
])
def test_scratchpad(changes, ports):
    bench.run(Scratchpad(config=Config(**changes), **ports), MODULE,
              parameters={"config": changes, **ports})


@pytest.mark.parametrize("ports", [{"reads": 0, "writes": 1}, {"reads": 1, "writes": 0}])
def test_constructor_errors(ports):
    with pytest.raises(ValueError, match=r"(reads|writes) = 0: must be a positive integer"):
        Scratchpad(config=Config(), **ports)
