"""The host driver runs programs on a whole board, through its serial pins."""

import cocotb
from cocotb.task import bridge, resume

from verif import bench, seeds, streams
from verif.board.line import Line
from verif.board.test_device import COPY, place
from winnow.board import BoardDevice
from winnow.host import Driver

DIVISOR, BYTES = (bench.parameters()[name] for name in ("divisor", "bytes"))


@cocotb.test(timeout_time=60, timeout_unit="ms")
async def driver(dut):
    line = Line(dut, DIVISOR)
    await streams.start(dut)
    await streams.cycles(dut, 4)

    class Link:
        write = staticmethod(resume(line.write))
        read = staticmethod(resume(line.read))

    data = seeds.generator("board").integers(0, 256, 512).astype("uint8")

    def host():
        board = BoardDevice(Link(), BYTES)
        driver = Driver(board)
        place(board.memory, COPY, data)
        assert driver.execute(0) == 7
        assert (board.memory[6144:6144 + 512] == data).all()
        assert driver.counters()["words_stored"] == 64

    await bridge(host)()
