"""The external memory port: several readers and a writer share one AXI4 manager."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.axi import (
    BURST_INCR,
    BURST_LAYOUT,
    DATA_BITS,
    DATA_BYTES,
    ERROR_BIT,
    SIZE,
    Axi4,
    ReadChannel,
    WriteChannel,
)
from hdl.control.queue import Queue


class ExternalPort(wiring.Component):
    """Joins read channels and one write channel to an AXI4 manager.

    Parameters
    ----------
    readers : int
        Read channels. Their numbers are the ids of their transactions. A lower number goes first,
        but not twice while another waits.

    Members
    -------
    axi : Axi4
    reads : array of ReadChannel
    write : WriteChannel

    Timing
    ------
    A request takes one cycle to the bus and a beat one cycle back. No path leads from an input of
    the bus to an output in the same cycle. A beat that is not taken holds up the others.
    """

    def __init__(self, *, readers: int):
        if readers < 1:
            raise ValueError(f"readers = {readers}: must be at least 1")
        self.readers = readers
        self.id_bits = max(1, (readers - 1).bit_length())
        super().__init__({
            "axi": Out(Axi4(id_bits=self.id_bits)),
            "reads": In(ReadChannel()).array(readers),
            "write": In(WriteChannel()),
        })

    def elaborate(self, platform):
        m = Module()
        self._requests(m)
        self._beats(m)
        self._write(m)
        return m

    def _requests(self, m):
        axi = self.axi
        shown = Signal(BURST_LAYOUT)
        free = Signal()
        m.d.comb += [
            axi.araddr.eq(shown.address),
            axi.arlen.eq(shown.length),
            axi.arsize.eq(SIZE),
            axi.arburst.eq(BURST_INCR),
            free.eq(~axi.arvalid | axi.arready),
        ]
        valid = Signal(self.readers)
        chosen = Signal(range(self.readers))
        m.d.comb += valid.eq(Cat(r.request.valid for r in self.reads))
        with m.If(free):
            m.d.sync += axi.arvalid.eq(valid.any())
        for i, read in reversed(tuple(enumerate(self.reads))):
            waits = (axi.arid == i) & (valid & ~(1 << i)).any()
            with m.If(valid[i] & ~waits):
                m.d.comb += chosen.eq(i)
            with m.If(free & valid.any() & (chosen == i)):
                m.d.comb += read.request.ready.eq(1)
                m.d.sync += [axi.arid.eq(i), shown.eq(read.request.payload)]

    def _beats(self, m):
        axi = self.axi
        m.submodules.words = words = Queue(width=DATA_BITS, depth=2)
        m.submodules.flags = flags = Queue(width=2 + self.id_bits, depth=2)
        error, last, number = (flags.outgoing.payload[0], flags.outgoing.payload[1],
                               flags.outgoing.payload[2:])
        taken = Signal()
        m.d.comb += [
            axi.rready.eq(words.incoming.ready),
            words.incoming.valid.eq(axi.rvalid),
            words.incoming.payload.eq(axi.rdata),
            flags.incoming.valid.eq(axi.rvalid),
            flags.incoming.payload.eq(Cat(axi.rresp[ERROR_BIT], axi.rlast, axi.rid)),
            words.outgoing.ready.eq(taken),
            flags.outgoing.ready.eq(taken),
        ]
        for i, read in enumerate(self.reads):
            mine = number == i
            m.d.comb += [
                read.valid.eq(words.outgoing.valid & mine),
                read.data.eq(words.outgoing.payload),
                read.error.eq(error),
                read.last.eq(last),
            ]
            with m.If(mine):
                m.d.comb += taken.eq(read.ready)

    def _write(self, m):
        axi, write = self.axi, self.write
        m.d.comb += [
            axi.awid.eq(0),
            axi.awaddr.eq(write.request.payload.address),
            axi.awlen.eq(write.request.payload.length),
            axi.awsize.eq(SIZE),
            axi.awburst.eq(BURST_INCR),
            axi.awvalid.eq(write.request.valid),
            write.request.ready.eq(axi.awready),
            axi.wdata.eq(write.data),
            axi.wstrb.eq((1 << DATA_BYTES) - 1),
            axi.wlast.eq(write.last),
            axi.wvalid.eq(write.valid),
            write.ready.eq(axi.wready),
            axi.bready.eq(1),
            write.response.eq(axi.bvalid),
            write.error.eq(axi.bresp[ERROR_BIT]),
        ]
