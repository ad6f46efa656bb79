import pytest

from hdl.arith.fixed_to_float import FixedToFloat
from hdl.arith.round import Rounder
from verif import bench
from verif.arith.many import Many
from verif.arith.units import UNITS

COPIES = 8


@pytest.mark.parametrize("unit", UNITS)
def test_unit(unit):
    bench.run(Many(UNITS[unit][0], COPIES), "verif.arith.bench_units", name=f"arith_{unit}",
              parameters={"unit": unit, "copies": COPIES, "stalls": 0.1})


@pytest.mark.parametrize("make, what", [
    (lambda: FixedToFloat(width=1, exponent=0), "width = 1: must be 2 to 128"),
    (lambda: FixedToFloat(width=129, exponent=0), "width = 129: must be 2 to 128"),
    (lambda: Rounder(width=25), "width = 25: must be at least 26"),
])
def test_constructor_errors(make, what):
    with pytest.raises(ValueError, match=what):
        make()
