"""One input of the vector unit."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import ReadPort
from hdl.streams.reader import WordReader
from hdl.streams.walker import Walker
from hdl.vector.gather import Gather
from hdl.vector.layouts import COUNTS, FLOAT_BITS, STRIDES, WALKED, group_words
from isa.config import LANES, Config
from isa.formats import FormatCode
from isa.registers import ADDRESS_BITS, VECTOR_LOOPS


class Input(wiring.Component):
    """Reads the groups of an input in loop order.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse; `used`, `format`, `base`, `counts` and `strides` hold from here on
    clear : forgets everything
    used : whether it is read; if not there is always a group, of no matter what
    port : ReadPort
    trap : a word is not in the scratchpad
    valid, ready, values : stream of groups of binary32 numbers
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "used": In(1),
            "format": In(FormatCode),
            "base": In(ADDRESS_BITS),
            "counts": In(COUNTS),
            "strides": In(STRIDES),
            "port": Out(ReadPort(config)),
            "trap": Out(1),
            "valid": Out(1),
            "ready": In(1),
            "values": Out(FLOAT_BITS).array(LANES),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.walker = walker = Walker(loops=WALKED)
        m.submodules.reader = reader = WordReader(config=self.config, loops=len(WALKED))
        m.submodules.gather = gather = Gather()
        wiring.connect(m, walker.items, reader.items)
        wiring.connect(m, reader.port, wiring.flipped(self.port))
        wiring.connect(m, reader.words, gather.words)
        m.d.comb += [
            walker.start.eq(self.start & self.used),
            walker.stop.eq(self.clear),
            walker.base.eq(self.base),
            walker.counts.word.eq(group_words(self.format)),
            walker.steps.word.stride.eq(1),
            *(walker.counts[loop].eq(self.counts[loop]) for loop in VECTOR_LOOPS),
            *(walker.steps[loop].stride.eq(self.strides[loop]) for loop in VECTOR_LOOPS),
            reader.clear.eq(self.clear),
            self.trap.eq(reader.trap),
            gather.used.eq(self.used),
            gather.format.eq(self.format),
            gather.ready.eq(self.ready),
            self.valid.eq(gather.valid),
            *(here.eq(there) for here, there in zip(self.values, gather.values, strict=True)),
        ]
        return m
