import pytest

from hdl.control.decode import Decoder
from hdl.control.queue import Queue
from hdl.control.tokens import Tokens
from verif import bench
from verif.control.agents import Bench
from verif.control.top import ControlTop


def test_decode():
    bench.run(Decoder(), "verif.control.bench_decode")


@pytest.mark.parametrize("stall, axi_words", [(0.0, 1), (0.4, 1), (0.2, 2), (0.0, 4), (0.4, 4)])
@pytest.mark.parametrize("module", ["programs", "traps", "lists"])
def test_control(module, stall, axi_words):
    bench.run(ControlTop(config=Bench.CONFIG.with_(axi_words=axi_words)),
              f"verif.control.bench_{module}", parameters={"stall": stall, "axi_words": axi_words})


@pytest.mark.parametrize("make, what", [
    (lambda: Queue(width=8, depth=3), "depth = 3"),
    (lambda: Queue(width=8, depth=1), "depth = 1"),
    (lambda: Tokens(clients=0), "clients = 0"),
])
def test_constructor_errors(make, what):
    with pytest.raises(ValueError, match=f"{what}: must be"):
        make()
