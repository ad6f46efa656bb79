"""The external memory port: several readers and a writer share one AXI4 manager."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.axi import BURST_INCR, BURST_LAYOUT, ERROR_BIT, Axi4, ReadChannel, WriteChannel
from hdl.memory.beats import BeatQueue
from isa.config import WORD_BITS, WORD_BYTES


class ExternalPort(wiring.Component):
    """Joins read channels and one write channel to an AXI4 manager.

    Parameters
    ----------
    readers : int
        Read channels. Their numbers are the ids of their transactions. A lower number goes first,
        but not twice while another waits.
    words : int
        Words of a beat.

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

    def __init__(self, *, readers: int, words: int):
        if readers < 1:
            raise ValueError(f"readers = {readers}: must be at least 1")
        self.readers = readers
        self.words = words
        self.id_bits = max(1, (readers - 1).bit_length())
        super().__init__({
            "axi": Out(Axi4(id_bits=self.id_bits, words=words)),
            "reads": In(ReadChannel(words=words)).array(readers),
            "write": In(WriteChannel(words=words)),
        })

    def elaborate(self, platform):
        m = Module()
        self._requests(m)
        self._beats(m)
        self._write(m)
        return m

    def _aligned(self, address):
        """The address of the beat that a byte is in."""
        low = self.signature.members["axi"].signature.size
        return Cat(Const(0, low), address[low:])

    def _requests(self, m):
        axi = self.axi
        shown = Signal(BURST_LAYOUT)
        free = Signal()
        m.d.comb += [
            axi.araddr.eq(self._aligned(shown.address)),
            axi.arlen.eq(shown.length),
            axi.arsize.eq(self.signature.members["axi"].signature.size),
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
        m.submodules.beats = beats = BeatQueue(words=self.words, flags=2 + self.id_bits, depth=2)
        error, last, number = (beats.flags_out[0], beats.flags_out[1], beats.flags_out[2:])
        m.d.comb += [
            axi.rready.eq(beats.room),
            beats.write.eq(beats.push.replicate(self.words)),
            beats.push.eq(axi.rvalid & axi.rready),
            beats.flags_in.eq(Cat(axi.rresp[ERROR_BIT], axi.rlast, axi.rid)),
            *(word.eq(axi.rdata.word_select(i, WORD_BITS))
              for i, word in enumerate(beats.data_in)),
        ]
        for i, read in enumerate(self.reads):
            mine = number == i
            m.d.comb += [
                read.valid.eq(beats.valid & mine),
                *(to.eq(word) for to, word in zip(read.data, beats.data_out, strict=True)),
                read.error.eq(error),
                read.last.eq(last),
            ]
            with m.If(mine):
                m.d.comb += beats.pop.eq(beats.valid & read.ready)

    def _write(self, m):
        axi, write = self.axi, self.write
        m.d.comb += [
            axi.awid.eq(0),
            axi.awaddr.eq(self._aligned(write.request.payload.address)),
            axi.awlen.eq(write.request.payload.length),
            axi.awsize.eq(self.signature.members["axi"].signature.size),
            axi.awburst.eq(BURST_INCR),
            axi.awvalid.eq(write.request.valid),
            write.request.ready.eq(axi.awready),
            axi.wdata.eq(Cat(*write.data)),
            axi.wstrb.eq(Cat(lane.replicate(WORD_BYTES) for lane in write.lanes)),
            axi.wlast.eq(write.last),
            axi.wvalid.eq(write.valid),
            write.ready.eq(axi.wready),
            axi.bready.eq(1),
            write.response.eq(axi.bvalid),
            write.error.eq(axi.bresp[ERROR_BIT]),
        ]
