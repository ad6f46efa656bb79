"""The external memory of a board: block memory behind the chip's bus, shared with the host."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.axi import Axi4, Resp
from hdl.chip import ID_BITS
from hdl.memory.sram import Sram
from isa.config import WORD_BITS, WORD_BYTES

_BYTE_BITS = exact_log2(WORD_BYTES)


class HostPort(wiring.Signature):
    """Words of memory, as the host's bridge asks for them.

    Members
    -------
    valid, write, address, write_data : a request, held until `ready`; `address` counts words
    ready : it is done at the end of this cycle
    read_data : of the read that was done in the cycle before
    """

    def __init__(self, *, address_bits: int):
        super().__init__({
            "valid": Out(1), "write": Out(1), "address": Out(address_bits),
            "write_data": Out(WORD_BITS), "ready": In(1), "read_data": In(WORD_BITS),
        })


class BoardMemory(wiring.Component):
    """`words` words of memory on an AXI4 bus of one word a beat.

    Parameters
    ----------
    words : int
        A power of two.

    Members
    -------
    bus : Axi4 subordinate; one burst at a time in each direction, INCR, whole words
    host : HostPort; waits for the bursts under way

    An address at or above the size is answered with SLVERR and writes nothing.

    Timing
    ------
    The first beat of a read comes two cycles after its request, then one a cycle. Beats of a write
    are taken from the cycle after its request on.
    """

    def __init__(self, *, words: int):
        self.words = words
        self.address_bits = exact_log2(words)
        super().__init__({
            "bus": In(Axi4(id_bits=ID_BITS, words=1)),
            "host": In(HostPort(address_bits=self.address_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.sram = sram = Sram(width=WORD_BITS, depth=self.words)
        host = self.host
        reading, writing = self._reads(m, sram), self._writes(m, sram)
        m.d.comb += host.read_data.eq(sram.read_data)
        with m.If(host.write & ~writing):
            m.d.comb += [
                host.ready.eq(host.valid),
                sram.write_enable.eq(host.valid),
                sram.write_address.eq(host.address),
                sram.write_data.eq(host.write_data),
            ]
        with m.If(~host.write & ~reading):
            m.d.comb += [
                host.ready.eq(host.valid),
                sram.read_enable.eq(host.valid),
                sram.read_address.eq(host.address),
            ]
        return m

    def _inside(self, address):
        return address[_BYTE_BITS + self.address_bits:] == 0

    def _reads(self, m, sram):
        """The read channels; whether a burst is under way."""
        bus = self.bus
        address = Signal(self.address_bits)
        left = Signal(9)  # beats to ask for
        last, shown_last, good = Signal(), Signal(), Signal()
        busy = Signal()
        m.d.comb += [
            bus.arready.eq(~busy),
            last.eq(left == 1),
            bus.rdata.eq(sram.read_data),
            bus.rlast.eq(shown_last),
        ]
        m.d.comb += bus.rresp.eq(Resp.SLVERR)
        with m.If(good):
            m.d.comb += bus.rresp.eq(Resp.OKAY)
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
            with m.If(bus.rvalid & shown_last):
                m.d.sync += busy.eq(0)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [address.eq(bus.araddr[_BYTE_BITS:]), left.eq(bus.arlen + 1), busy.eq(1),
                         bus.rid.eq(bus.arid), good.eq(self._inside(bus.araddr))]
        with m.If(busy):
            m.d.comb += [sram.read_address.eq(address),
                         sram.read_enable.eq((left != 0) & (~bus.rvalid | bus.rready))]
            with m.If(sram.read_enable):
                m.d.sync += [address.eq(address + 1), left.eq(left - 1), bus.rvalid.eq(1),
                             shown_last.eq(last)]
        return busy | bus.arvalid

    def _writes(self, m, sram):
        """The write channels; whether a burst is under way."""
        bus = self.bus
        address = Signal(self.address_bits)
        busy, good = Signal(), Signal()
        m.d.comb += [
            bus.awready.eq(~busy & ~bus.bvalid),
            bus.wready.eq(busy),
        ]
        m.d.comb += bus.bresp.eq(Resp.SLVERR)
        with m.If(good):
            m.d.comb += bus.bresp.eq(Resp.OKAY)
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [address.eq(bus.awaddr[_BYTE_BITS:]), busy.eq(1), bus.bid.eq(bus.awid),
                         good.eq(self._inside(bus.awaddr))]
        with m.If(busy):
            m.d.comb += [
                sram.write_address.eq(address),
                sram.write_data.eq(bus.wdata),
                sram.write_enable.eq(bus.wvalid & bus.wstrb.all() & good),
            ]
            with m.If(bus.wvalid):
                m.d.sync += address.eq(address + 1)
                with m.If(bus.wlast):
                    m.d.sync += [busy.eq(0), bus.bvalid.eq(1)]
        return busy
