"""One bank of the scratchpad."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.sram import Sram, address_width
from isa.config import WORD_BITS, WORD_BYTES


class Bank(wiring.Component):
    """`depth` words, each with 8 zero flags: the ports and the timing of an `Sram`.

    Data and flags are two memories, since simulation is slow beyond 64 bits.
    """

    LATENCY = Sram.LATENCY

    def __init__(self, *, depth: int):
        self.depth = depth
        self.address_bits = address_width(depth)
        super().__init__({
            "read_enable": In(1),
            "read_address": In(self.address_bits),
            "read_data": Out(WORD_BITS),
            "read_zeros": Out(WORD_BYTES),
            "write_enable": In(1),
            "write_address": In(self.address_bits),
            "write_data": In(WORD_BITS),
            "write_zeros": In(WORD_BYTES),
        })

    def elaborate(self, platform):
        m = Module()
        for name, width in (("data", WORD_BITS), ("zeros", WORD_BYTES)):
            m.submodules[name] = memory = Sram(width=width, depth=self.depth)
            m.d.comb += [
                memory.read_enable.eq(self.read_enable),
                memory.read_address.eq(self.read_address),
                getattr(self, f"read_{name}").eq(memory.read_data),
                memory.write_enable.eq(self.write_enable),
                memory.write_address.eq(self.write_address),
                memory.write_data.eq(getattr(self, f"write_{name}")),
            ]
        return m
