"""What goes on a board: chip, memory, and the bridge to its serial port."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from hdl.board.bridge import Bridge
from hdl.board.memory import BoardMemory
from hdl.board.uart import Receiver, Transmitter
from hdl.chip import Chip
from isa.config import Config


class Board(wiring.Component):
    """A chip that a host reaches over two serial pins (isa/serial.py).

    Parameters
    ----------
    config : Config
        With `axi_words` of 1.
    memory_words : int
        Of external memory, a power of two.
    divisor : int
        Cycles of a serial bit.

    Members
    -------
    received, sent : the pins
    busy : a light: the interrupt is not up
    """

    def __init__(self, *, config: Config, memory_words: int, divisor: int):
        if config.axi_words != 1:
            raise ValueError(f"axi_words = {config.axi_words}: must be 1 on a board")
        self.config = config
        self.memory_words = memory_words
        self.divisor = divisor
        super().__init__({"received": In(1, init=1), "sent": Out(1), "busy": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.chip = chip = Chip(config=self.config)
        m.submodules.memory = memory = BoardMemory(words=self.memory_words)
        m.submodules.receiver = receiver = Receiver(divisor=self.divisor)
        m.submodules.transmitter = transmitter = Transmitter(divisor=self.divisor)
        m.submodules.bridge = bridge = Bridge(address_bits=memory.address_bits)
        connect(m, chip.axi, memory.bus)
        connect(m, bridge.control, chip.control)
        connect(m, bridge.memory, memory.host)
        connect(m, receiver.bytes, bridge.received)
        connect(m, bridge.sent, transmitter.bytes)
        m.d.comb += [
            receiver.line.eq(self.received),
            self.sent.eq(transmitter.line),
            bridge.interrupt.eq(chip.interrupt),
            self.busy.eq(~chip.interrupt),
        ]
        return m
