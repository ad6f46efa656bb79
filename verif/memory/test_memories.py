import pytest

from hdl.memory.regfile import RegisterFile
from hdl.memory.sram import Sram
from verif import bench

MODULE = "verif.memory.bench_memories"


@pytest.mark.parametrize("width, depth", [(1, 1), (8, 2), (64, 12)])
def test_sram(width, depth):
    bench.run(Sram(width=width, depth=depth), MODULE,
              parameters={"width": width, "depth": depth})


@pytest.mark.parametrize("width, depth, reads", [(1, 1, 1), (73, 16, 2), (9, 5, 3)])
def test_register_file(width, depth, reads):
    bench.run(RegisterFile(width=width, depth=depth, reads=reads), MODULE,
              parameters={"width": width, "depth": depth, "reads": reads})


@pytest.mark.parametrize("make, what", [
    (lambda: Sram(width=0, depth=4), "width = 0"),
    (lambda: Sram(width=8, depth=-1), "depth = -1"),
    (lambda: Sram(width=True, depth=1), "width = True"),
    (lambda: RegisterFile(width=8, depth=8, reads=0), "reads = 0"),
    (lambda: RegisterFile(width=8, depth=2.0), r"depth = 2\.0"),
])
def test_constructor_errors(make, what):
    with pytest.raises(ValueError, match=f"{what}: must be a positive integer"):
        make()
