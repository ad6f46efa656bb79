"""The AXI4-Lite subordinate: from the bus to single reads and writes."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.axi import LITE_ADDRESS_BITS, LITE_DATA_BITS, AxiLite, Resp


class LitePort(wiring.Component):
    """Takes one write and one read at a time; all responses are OKAY.

    Members
    -------
    bus : AxiLite
    write, write_address, write_data, write_mask
        A pulse for each write; the mask has a one for each bit that is written.
    read, read_address : high until `read_taken`; the address is a byte's
    read_taken : the read is at work, and `read_data` has its answer in the next cycle
    """

    def __init__(self):
        super().__init__({
            "bus": In(AxiLite()),
            "write": Out(1),
            "write_address": Out(LITE_ADDRESS_BITS),
            "write_data": Out(LITE_DATA_BITS),
            "write_mask": Out(LITE_DATA_BITS),
            "read": Out(1),
            "read_address": Out(LITE_ADDRESS_BITS),
            "read_taken": In(1),
            "read_data": In(LITE_DATA_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        taken = Signal()  # the ready signals are registered: no path leads through the port
        m.d.comb += [
            bus.bresp.eq(Resp.OKAY),
            bus.rresp.eq(Resp.OKAY),
            # both channels of a write at once, so that nothing needs to be kept
            bus.awready.eq(taken),
            bus.wready.eq(taken),
            self.write.eq(taken),
            self.write_address.eq(bus.awaddr),
            self.write_data.eq(bus.wdata),
            self.write_mask.eq(Cat(strobe.replicate(8) for strobe in bus.wstrb)),
            self.read.eq(bus.arvalid & ~bus.arready & ~bus.rvalid),
            self.read_address.eq(bus.araddr),
        ]
        m.d.sync += taken.eq(bus.awvalid & bus.wvalid & ~taken & ~bus.bvalid)
        with m.If(taken):
            m.d.sync += bus.bvalid.eq(1)
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)

        m.d.sync += bus.arready.eq(self.read & self.read_taken)
        with m.If(bus.arready):
            m.d.sync += [bus.rvalid.eq(1), bus.rdata.eq(self.read_data)]
        with m.Elif(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        return m
