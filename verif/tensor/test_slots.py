import pytest

from hdl.tensor.core.choose import Choose
from hdl.tensor.elements.balance import Balance
from hdl.tensor.elements.pick import Pick
from hdl.tensor.elements.slots import Slots
from isa.config import Config
from verif import bench

SIZES = [(2, 0), (2, 3), (4, 0), (4, 1), (4, 2), (4, 3), (8, 0), (8, 1), (8, 2), (8, 3)]


def run(unit, module, slot, reach, count):
    bench.run(unit(config=Config(slot=slot, reach=reach)), f"verif.tensor.{module}",
              parameters={"slot": slot, "reach": reach, "count": count})


@pytest.mark.parametrize("slot, reach", SIZES)
def test_balance(slot, reach):
    run(Balance, "bench_balance", slot, reach, 4000)


@pytest.mark.parametrize("slot, reach", SIZES)
def test_pick(slot, reach):
    run(Pick, "bench_pick", slot, reach, 150)


@pytest.mark.parametrize("slot, reach", SIZES)
def test_choose(slot, reach):
    bench.run(Choose(config=Config(slot=slot, reach=reach), rows=2), "verif.tensor.bench_choose",
              parameters={"slot": slot, "reach": reach, "rows": 2, "count": 300})


@pytest.mark.parametrize("slot, reach", [(2, 0), (4, 2), (8, 3)])
def test_slots(slot, reach):
    bench.run(Slots(config=Config(slot=slot, reach=reach), about=9), "verif.tensor.bench_slots",
              parameters={"slot": slot, "reach": reach, "about": 9, "count": 200})
