"""A board without its chip, whose buses the bench plays."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.axi import Axi4, AxiLite
from hdl.board.bridge import Bridge
from hdl.board.memory import BoardMemory
from hdl.board.uart import Receiver, Transmitter
from hdl.chip import ID_BITS


class Chipless(wiring.Component):
    """Serial port, bridge and memory."""

    def __init__(self, *, memory_words, divisor):
        self.memory_words, self.divisor = memory_words, divisor
        super().__init__({
            "received": In(1, init=1), "sent": Out(1), "interrupt": In(1),
            "axi": In(Axi4(id_bits=ID_BITS, words=1)), "control": Out(AxiLite()),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = BoardMemory(words=self.memory_words)
        m.submodules.receiver = receiver = Receiver(divisor=self.divisor)
        m.submodules.transmitter = transmitter = Transmitter(divisor=self.divisor)
        m.submodules.bridge = bridge = Bridge(address_bits=memory.address_bits)
        connect(m, flipped(self.axi), memory.bus)
        connect(m, bridge.control, flipped(self.control))
        connect(m, bridge.memory, memory.host)
        connect(m, receiver.bytes, bridge.received)
        connect(m, bridge.sent, transmitter.bytes)
        m.d.comb += [receiver.line.eq(self.received), self.sent.eq(transmitter.line),
                     bridge.interrupt.eq(self.interrupt)]
        return m
