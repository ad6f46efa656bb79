import pytest

from hdl.external import ExternalPort
from isa.config import Config
from verif import bench
from verif.move.top import MoveTop

SMALLEST = {"scratchpad_kib": 1, "banks": 16}


@pytest.mark.parametrize("changes", [
    {}, SMALLEST, {"axi_words": 2}, {"axi_words": 4}, {"axi_words": 4} | SMALLEST])
def test_move(changes):
    bench.run(MoveTop(config=Config(**changes)), "verif.move.bench_move",
              parameters={"config": changes})


def test_constructor_errors():
    with pytest.raises(ValueError, match="readers = 0: must be at least 1"):
        ExternalPort(readers=0, words=1)
