"""Where the statistics of the outputs go, and when."""

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import WritePort
from hdl.streams.walker import item_layout
from hdl.tensor.drain.statistics import MOMENTS
from hdl.tensor.groups import core_bits
from isa.config import WORD_BITS, Config
from isa.registers import ADDRESS_BITS


class Sections(wiring.Component):
    """Follows the sections of the drain, each a block, group and core, and their addresses.

    The sums of a core stay where they are while its address does. When it changes, and at the end,
    they are flushed: added to the words at the address.

    Parameters
    ----------
    config : Config
    loops : int
        Loops of the walker, that over the cores of a group innermost if the chip has several.

    Members
    -------
    clear : between operations
    items : stream of `item_layout`, one a section: the address of its statistics
    open, section_done
        Words of the present section may be written; the last one was.
    core : whose sums are written to, or flushed
    restart, busy : of `Statistics`
    done_in, done : pulses; all words are written, and so are the statistics
    asked : stream of `item_layout(1)`, the two raw positions of a flush
    moment, sum_valid, sum_ready : a sum of `core` waits to be added to its raw position
    words : stream of raw words, the totals
    writes : stream of writes, as of a WritePort

    Timing
    ------
    Sections of an address that their core has already follow without a gap. A flush takes
    2 * raw_words + 4 cycles.
    """

    def __init__(self, *, config: Config, loops: int):
        self.config = config
        self.loops = loops
        super().__init__({
            "clear": In(1),
            "items": In(stream.Signature(item_layout(loops))),
            "open": Out(1),
            "section_done": In(1),
            "core": Out(core_bits(config)),
            "restart": Out(1),
            "busy": In(1),
            "done_in": In(1),
            "done": Out(1),
            "asked": Out(stream.Signature(item_layout(1))),
            "moment": Out(1),
            "sum_valid": Out(1),
            "sum_ready": In(1),
            "words": In(stream.Signature(WORD_BITS)),
            "writes": Out(WritePort(config).members["request"].signature),
        })

    def elaborate(self, platform):
        m = Module()
        cores = self.config.cores
        addresses = [Signal(ADDRESS_BITS, name=f"address_{i}") for i in range(cores)]
        kept = Signal(cores)  # cores that have sums, for these addresses
        present, same = Signal(), Signal()  # a section, and its core has sums for its address
        wanted = Signal(ADDRESS_BITS)
        present_core = Signal.like(self.core)
        load = Signal()
        ending, last_core = Signal(), Signal()
        end_core = Signal.like(self.core)
        flushing, flushed = Signal(), Signal()
        has_sums = Signal()

        item_core = self._item_core(m, load)
        m.d.comb += [
            self.open.eq(present & same),
            load.eq(self.items.valid & (~present | self.section_done)),
            self.items.ready.eq(load),
            self.core.eq(Mux(ending, end_core, present_core)),
            has_sums.eq((kept >> self.core)[0]),
            self.restart.eq(present & ~same & ~has_sums),
            last_core.eq(end_core == cores - 1),
            self.done.eq(ending & ~has_sums & last_core),
        ]
        with m.If(self.section_done):
            m.d.sync += present.eq(0)
        with m.If(load):
            m.d.sync += [
                present.eq(1), present_core.eq(item_core),
                wanted.eq(self.items.payload.address),
                same.eq((kept >> item_core)[0]
                        & (Array(addresses)[item_core] == self.items.payload.address)),
            ]
        with m.If(self.restart):
            m.d.sync += [same.eq(1), kept.bit_select(self.core, 1).eq(1),
                         Array(addresses)[self.core].eq(wanted)]
        with m.If(self.done_in):
            m.d.sync += [ending.eq(1), end_core.eq(0)]
        with m.Elif(ending & ~has_sums):
            m.d.sync += end_core.eq(end_core + 1)
        with m.If(has_sums & (ending | (present & ~same)) & ~self.busy & ~flushing):
            m.d.sync += flushing.eq(1)
        with m.If(flushed):
            m.d.sync += [flushing.eq(0), kept.bit_select(self.core, 1).eq(0)]
        self._flush(m, flushing, flushed, Array(addresses)[self.core])
        with m.If(self.done | self.clear):
            m.d.sync += ending.eq(0)
        with m.If(self.clear):
            m.d.sync += [present.eq(0), kept.eq(0), flushing.eq(0)]
        return m

    def _item_core(self, m, load):
        """The core of the next section."""
        if self.config.cores == 1:
            return Const(0, 1)
        core = Signal.like(self.core)
        with m.If(load):
            m.d.sync += core.eq(Mux(self.items.payload.last[0], 0, core + 1))
        with m.If(self.clear):
            m.d.sync += core.eq(0)
        return core

    def _flush(self, m, flushing, flushed, address):
        raw_words = self.config.raw_words
        last_word = MOMENTS * raw_words - 1
        asked, given = Signal(range(MOMENTS + 1)), Signal(range(MOMENTS + 1))  # moments
        count = Signal(range(MOMENTS * raw_words))  # words written
        place = Signal(ADDRESS_BITS, reset_less=True)  # of the next word
        m.d.comb += [
            self.asked.valid.eq(flushing & (asked != MOMENTS)),
            self.asked.payload.inside.eq(1),
            self.moment.eq(given[0]),
            self.sum_valid.eq(flushing & (given != MOMENTS)),
            self.writes.valid.eq(self.words.valid),
            self.writes.payload.address.eq(place),
            self.writes.payload.data.eq(self.words.payload),
            self.words.ready.eq(self.writes.ready),
            flushed.eq(self.writes.valid & self.writes.ready & (count == last_word)),
        ]
        asked_place = self.asked.payload.address  # a register
        with m.If(self.asked.valid & self.asked.ready):
            m.d.sync += [asked.eq(asked + 1), asked_place.eq(asked_place + raw_words)]
        with m.If(self.sum_valid & self.sum_ready):
            m.d.sync += given.eq(given + 1)
        with m.If(self.writes.valid & self.writes.ready):
            m.d.sync += [count.eq(count + 1), place.eq(place + 1)]
        with m.If(~flushing):
            m.d.sync += [asked_place.eq(address), place.eq(address)]
        with m.If(flushed | self.clear):
            m.d.sync += [asked.eq(0), given.eq(0), count.eq(0)]
