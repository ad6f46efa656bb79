"""The other end of a board's serial pins, in a bench."""

import cocotb
from cocotb.queue import Queue
from cocotb.triggers import Timer

from verif.streams import PERIOD_NS


class Line:
    """Sends and receives bytes at the pins `received` and `sent`, one bit in `divisor` cycles.

    `skew` is how much slower the host's clock is, as a fraction.
    """

    def __init__(self, dut, divisor: int, skew: float = 0.0):
        self.dut = dut
        self.bit_ps = round(divisor * PERIOD_NS * 1000 * (1 + skew))
        self.out, self.got = Queue(), Queue()
        dut.received.value = 1
        cocotb.start_soon(self._send())
        cocotb.start_soon(self._receive())

    async def write(self, data: bytes) -> None:
        for byte in data:
            await self.out.put(byte)

    async def read(self, size: int) -> bytes:
        return bytes([await self.got.get() for _ in range(size)])

    async def _send(self):
        while True:
            byte = await self.out.get()
            for bit in (0, *(byte >> i & 1 for i in range(8)), 1):
                self.dut.received.value = bit
                await Timer(self.bit_ps, "ps")

    async def _receive(self):
        await Timer(5 * PERIOD_NS * 1000, "ps")  # the pin is undefined before the reset
        while True:
            await self.dut.sent.falling_edge
            await Timer(self.bit_ps // 2, "ps")
            assert self.dut.sent.value == 0, "a start bit that is too short"
            byte = 0
            for i in range(8):
                await Timer(self.bit_ps, "ps")
                byte |= int(self.dut.sent.value) << i
            await Timer(self.bit_ps, "ps")
            assert self.dut.sent.value == 1, "no stop bit"
            await self.got.put(byte)
