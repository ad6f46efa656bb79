"""Which tiles are known to be zero, since an earlier block had the same."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.regfile import RegisterFile
from hdl.streams.walker import origin_layout
from isa.registers import BLOCKS, REDUCTION

OUTER = len(REDUCTION) + len(BLOCKS)
DEPTH = 1024  # tiles that are remembered


class ZeroTiles(wiring.Component):
    """Remembers which tiles of a core were zero. When a loop over blocks that does not move tiles
    comes round, the same tiles come again: those that were zero need not be read.

    Members
    -------
    clear : between operations
    enable : tiles are remembered; constant in an operation
    repeats, moves : bit by loop over blocks: it runs more than once and moves no tile, or moves
        them; likewise
    origins : stream of `origin_layout(OUTER)`, one a tile
    marked : the same with one more flag above `last`: the tile is known to be zero
    found, zero, last : a tile was read to its end; it is zero; the `last` flags of its origin

    What is remembered are the tiles since the last move of a loop around one that repeats. They
    come again when a loop that repeats comes round, unless it is around such a move.

    Timing
    ------
    Marked origins come in the cycle of theirs. Where tiles come again for the first time, they wait
    until all were read.
    """

    clear: In(1)
    enable: In(1)
    repeats: In(len(BLOCKS))
    moves: In(len(BLOCKS))
    origins: In(stream.Signature(origin_layout(OUTER)))
    marked: Out(stream.Signature(origin_layout(OUTER + 1)))
    found: In(1)
    zero: In(1)
    last: In(OUTER)

    def elaborate(self, platform):
        m = Module()
        m.submodules.bits = bits = RegisterFile(width=1, depth=DEPTH, reads=1)
        index, written = Signal(range(DEPTH + 1)), Signal(range(DEPTH + 1))
        again = Signal()  # the tiles that come were remembered
        unsettled = Signal()  # ... but were not all read when they came again
        due = Signal(range(8))  # tiles begun and not found
        take, known = Signal(), Signal()
        origin = self.origins.payload
        m.d.comb += [
            self.marked.valid.eq(self.origins.valid & ~(unsettled & (due != 0))),
            self.origins.ready.eq(self.marked.ready & ~(unsettled & (due != 0))),
            take.eq(self.origins.valid & self.origins.ready & self.enable),
            bits.read_address[0].eq(index),
            known.eq(again & (index != DEPTH) & bits.read_data[0]),
            *(self.marked.payload[name].eq(origin[name]) for name in ("address", "row", "column")),
            self.marked.payload.last.eq(Cat(origin.last, known)),
            bits.write_enable.eq(self.found & self.enable & (written != DEPTH)),
            bits.write_address.eq(written),
            bits.write_data.eq(self.zero),
        ]
        m.d.sync += due.eq(due + take - (self.found & self.enable))
        with m.If(due == 0):
            m.d.sync += unsettled.eq(0)
        with m.If(take):
            begins, repeated = self._next(m, "taken", origin.last)
            m.d.sync += index.eq(Mux(begins, 0, index + (index != DEPTH)))
            with m.If(begins):
                m.d.sync += [again.eq(repeated), unsettled.eq(repeated & ~again)]
        with m.If(self.found):
            begins, _ = self._next(m, "found", self.last)
            m.d.sync += written.eq(Mux(begins, 0, written + (written != DEPTH)))
        with m.If(self.clear):
            m.d.sync += [index.eq(0), written.eq(0), again.eq(0), unsettled.eq(0), due.eq(0)]
        return m

    def _next(self, m, name, last):
        """Whether the tile after one with these flags is the first of those that are remembered,
        and whether they come again with it."""
        begins, repeated = Signal(name=f"{name}_begins"), Signal(name=f"{name}_repeated")
        inner = lost = 0  # a loop within repeats; so does one within a loop within that moves
        block_last = last[len(REDUCTION) - 1]
        before = block_last
        for i in range(len(BLOCKS)):
            with m.If(before & ~last[len(REDUCTION) + i]):  # this loop comes round
                m.d.comb += [begins.eq(self.repeats[i] | inner),
                             repeated.eq(self.repeats[i] & ~lost)]
            lost = lost | (inner & self.moves[i])
            inner = inner | self.repeats[i]
            before = last[len(REDUCTION) + i]
        return begins, repeated
