"""Small components that the tests of the bench infrastructure run on."""

from amaranth.hdl import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

PAYLOAD = data.StructLayout({
    "tag": 3,
    "pair": data.StructLayout({"a": signed(4), "b": data.ArrayLayout(5, 3)}),
})


class Queue(wiring.Component):
    """A stream through a queue of three (a queue of two would run at half rate)."""

    def __init__(self):
        super().__init__({"i": In(stream.Signature(PAYLOAD)), "o": Out(stream.Signature(PAYLOAD))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=PAYLOAD.size, depth=3)
        m.d.comb += [
            fifo.w_data.eq(self.i.payload),
            fifo.w_en.eq(self.i.valid),
            self.i.ready.eq(fifo.w_rdy),
            self.o.payload.as_value().eq(fifo.r_data),
            self.o.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.o.ready),
        ]
        return m
