import pytest

from isa.config import Config
from verif import bench
from verif.move.top import MoveTop

SMALLEST = {"scratchpad_kib": 1, "banks": 16}


@pytest.mark.parametrize("changes", [
    {}, SMALLEST, {"axi_words": 2}, {"axi_words": 4}, {"axi_words": 4} | SMALLEST])
@pytest.mark.parametrize("module", ["bench_move", "bench_live"])
def test_move(module, changes):
    bench.run(MoveTop(config=Config(**changes)), f"verif.move.{module}",
              parameters={"config": changes})
