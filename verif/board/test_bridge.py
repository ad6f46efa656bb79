import pytest

from hdl.board.memory import BoardMemory
from hdl.board.top import Board
from hdl.board.uart import Receiver, Transmitter
from isa import config, serial
from verif import bench
from verif.board.top import Chipless


@pytest.mark.parametrize("divisor, words", [(4, 256), (9, 32)])
def test_bridge(divisor, words):
    bench.run(Chipless(memory_words=words, divisor=divisor), "verif.board.bench_bridge",
              parameters={"divisor": divisor, "words": words})


def test_constructor_errors():
    for unit in (Receiver, Transmitter):
        with pytest.raises(ValueError, match="divisor = 2: must be an integer of at least 3"):
            unit(divisor=2)
    with pytest.raises(ValueError):
        BoardMemory(words=300)
    with pytest.raises(ValueError, match="axi_words = 4: must be 1 on a board"):
        Board(config=config.named("bench"), memory_words=64, divisor=4)
    with pytest.raises(ValueError, match="units = 257: must be 1 to 256"):
        serial.request(serial.Op.READ_MEMORY, 0, 257)
