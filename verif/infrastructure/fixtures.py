"""Small components that the tests of the bench infrastructure run on."""

from amaranth.hdl import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hdl.clock import gated, lingering

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


class Total(wiring.Component):
    """Adds up `step` in cycles with `en`."""

    def __init__(self):
        super().__init__({"en": In(1), "step": In(8), "total": Out(8)})

    def elaborate(self, platform):
        m = Module()
        with m.If(self.en):
            m.d.sync += self.total.eq(self.total + self.step)
        return m


class GatedInside(wiring.Component):
    """A `Total` behind a gate that opens for `en`."""

    def __init__(self):
        super().__init__({"en": In(1), "step": In(8), "total": Out(8)})

    def elaborate(self, platform):
        m = Module()
        inner = Total()
        gated(m, "inner", self.en, {"counted": inner})
        m.d.comb += [inner.en.eq(self.en), inner.step.eq(self.step), self.total.eq(inner.total)]
        return m


class Gates(wiring.Component):
    """A `Total` without a gate and one behind two; `awake` opens the outer for 4 cycles more."""

    def __init__(self):
        super().__init__({"awake": In(1), "en": In(1), "step": In(8), "free": Out(8),
                          "behind": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.free = free = Total()
        behind = GatedInside()
        gated(m, "outer", lingering(m, self.awake), {"behind": behind})
        for unit, total in ((free, self.free), (behind, self.behind)):
            m.d.comb += [unit.en.eq(self.en), unit.step.eq(self.step), total.eq(unit.total)]
        return m
