"""How many numbers there are of each size."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.regfile import RegisterFile
from hdl.vector.layouts import FLOAT_BITS
from isa.config import LANES
from isa.memmap import BINS
from isa.registers import BIN_BITS, TALLY_BITS

TOGETHER = 2  # elements of a cycle, each with counts of its own
SIZE = slice(FLOAT_BITS - 1 - BIN_BITS, FLOAT_BITS - 1)  # of a binary32 number, without its sign


class Histogram(wiring.Component):
    """Counts elements of binary32 by their exponent and the two bits below it.

    Members
    -------
    start : pulse; all counts become zero
    clear : forgets the present group
    first : the size of bin 0; what is smaller counts there, and in the last bin what is larger than
        its size
    source : groups are `t` (0) or `u` (1)
    offer, took, t, u : a stream of groups
    busy : what was taken is not counted yet
    bin, count : a bin's count, in the same cycle, modulo 2^`TALLY_BITS`

    Timing
    ------
    A group in `LANES` / `TOGETHER` cycles; the last elements are counted one cycle later.
    """

    def __init__(self):
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "first": In(BIN_BITS),
            "source": In(1),
            "offer": In(1),
            "took": Out(1),
            "t": In(FLOAT_BITS).array(LANES),
            "u": In(FLOAT_BITS).array(LANES),
            "busy": Out(1),
            "bin": In(range(BINS)),
            "count": Out(TALLY_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        place = Signal(range(LANES // TOGETHER))
        sizes = [Mux(self.source, u[SIZE], t[SIZE])
                 for t, u in zip(self.t, self.u, strict=True)]
        m.d.comb += self.took.eq(self.offer & place.all())
        with m.If(self.offer):
            m.d.sync += place.eq(place + 1)
        m.d.sync += self.busy.eq(self.offer)
        with m.If(self.clear):
            m.d.sync += [place.eq(0), self.busy.eq(0)]
        counts = [self._part(m, i, Array(sizes[i::TOGETHER])[place]) for i in range(TOGETHER)]
        m.d.comb += self.count.eq(sum(counts))
        return m

    def _part(self, m, number, size):
        """Counts the elements of one place; gives the count of `bin`."""
        rows = RegisterFile(width=TALLY_BITS, depth=BINS, reads=2)
        m.submodules[f"rows_{number}"] = rows
        written = Signal(BINS, name=f"written_{number}")  # the others are zero
        above = Signal(signed(BIN_BITS + 1), name=f"above_{number}")
        place = Signal(range(BINS), name=f"place_{number}")
        m.d.sync += place.eq(Mux(above < 0, 0, Mux(above >= BINS, BINS - 1, above)))
        m.d.comb += [
            above.eq(size - self.first),
            rows.read_address[0].eq(place),
            rows.read_address[1].eq(self.bin),
            rows.write_enable.eq(self.busy),
            rows.write_address.eq(place),
        ]
        found = [Mux((written >> address)[0], data, 0)
                 for address, data in zip(rows.read_address, rows.read_data, strict=True)]
        m.d.comb += rows.write_data.eq(found[0] + 1)
        with m.If(self.busy):
            m.d.sync += written.bit_select(place, 1).eq(1)
        with m.If(self.start):
            m.d.sync += written.eq(0)
        return found[1]
