"""The writing end of the drain."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import WritePort
from hdl.streams.turn import turn_layout
from hdl.streams.walker import item_layout
from hdl.tensor.drain.companions import COMPANION_LAYOUT
from isa.config import TREES, WORD_BITS, WORD_BYTES, Config
from isa.formats import E4M3, E5M2, FormatCode
from isa.registers import ADDRESS_BITS, POSITIONS

FLOAT_BITS = 32
FLOAT_WORDS = TREES * FLOAT_BITS // WORD_BITS

OPEN = E4M3.one_code * sum(1 << 8 * i for i in range(WORD_BYTES))  # a gate word; else 0

CODE_LAYOUT = data.StructLayout({"code": 8, "saturated": 1})


class Output(wiring.Component):
    """Masks and writes the words of each position, and counts what is live.

    Parameters
    ----------
    config : Config
    loops : int
        Loops of the walker of the output.

    Members
    -------
    clear : between operations
    format, mask, norm
        Output format, and whether mask words and norm words are there; constant in an operation.
    gate : likewise, that a gate word follows the word of each position
    gate_away : words from that of a position to its gate word; likewise
    gates : stream, one a position, if `gate`
    open : words of FP8 and their positions may be written
    items : stream of `item_layout`, one a position
    codes : stream of `turn_layout(9, 1)`, elements as in `CODE_LAYOUT`, where the format is FP8
    value_valid, value, value_take
        A position of binary32. `value_take`, as `ready` of the streams, does not wait for valid.
    raw : stream of raw words
    companions : stream of `COMPANION_LAYOUT`, one a position, if `mask` or `norm`
    flushed : stream of writes that go before all others
    port : WritePort
    trap : the next position is inside and not in the scratchpad; it goes no further
    done : pulse; the last word is written with the end of this cycle
    section_done : pulse; likewise of a block, group and core
    code_valid, word : a word of FP8 is written in this cycle, with the norm word of `companions`
    saturations, nan : of the live outputs written in this cycle

    Timing
    ------
    A word is written in the cycle in which it comes, at most one a cycle, from the cycle after its
    item came.
    """

    def __init__(self, *, config: Config, loops: int):
        self.config = config
        self.loops = loops
        super().__init__({
            "clear": In(1),
            "format": In(2),
            "mask": In(1),
            "norm": In(1),
            "gate": In(1),
            "gate_away": In(ADDRESS_BITS),
            "gates": In(stream.Signature(1)),
            "open": In(1),
            "items": In(stream.Signature(item_layout(loops))),
            "codes": In(stream.Signature(turn_layout(CODE_LAYOUT.size, 1))),
            "value_valid": In(1),
            "value": In(FLOAT_BITS).array(TREES),
            "value_take": Out(1),
            "raw": In(stream.Signature(WORD_BITS)),
            "companions": In(stream.Signature(COMPANION_LAYOUT)),
            "flushed": In(WritePort(config).members["request"].signature),
            "port": Out(WritePort(config)),
            "trap": Out(1),
            "done": Out(1),
            "section_done": Out(1),
            "code_valid": Out(1),
            "word": Out(WORD_BITS),
            "saturations": Out(range(TREES + 1)),
            "nan": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        raw_words = self.config.raw_words
        item = Signal.like(self.items.payload, name="item", reset_less=True)  # at work
        there = Signal()
        request = self.port.request
        wide, raw = (self.format == code for code in (FormatCode.BINARY32, FormatCode.RAW))
        count = Signal(range(max(raw_words, FLOAT_WORDS)))  # words of this position written
        address = Signal.like(item.address, reset_less=True)  # of the next word
        legal = Signal()
        source, written, last = Signal(), Signal(), Signal()
        complete = Signal()  # the last word of the position is written
        dead = Signal(TREES)  # elements of the position that are masked
        dead_bytes = Signal(WORD_BYTES)  # of the present word
        unmasked, word = Signal(WORD_BITS), self.word
        companions, paired = self.companions, Signal()
        met = Signal()  # a word may be written
        free = Signal()  # it is, if it is there

        m.d.comb += [
            legal.eq(~item.inside | (address < self.config.words)),
            self.trap.eq(there & ~legal),
            paired.eq(self.mask | self.norm),
            met.eq((~paired | companions.valid) & (wide | raw | self.open)),
            dead.eq(Mux(self.mask, companions.payload.zeros, 0)),
            word.eq(Cat(Mux(dead_bytes[i], 0, unmasked.word_select(i, 8))
                        for i in range(WORD_BYTES))),
            request.valid.eq(self.flushed.valid
                             | (source & met & there & item.inside & legal & ~self.clear)),
            request.payload.address.eq(Mux(self.flushed.valid, self.flushed.payload.address,
                                           address)),
            request.payload.data.eq(Mux(self.flushed.valid, self.flushed.payload.data, word)),
            self.flushed.ready.eq(request.ready),
            free.eq(there & met & ~self.clear & (~item.inside | (legal & request.ready))),
            written.eq(source & free),
            complete.eq(written & last),
            companions.ready.eq(complete & paired),
            self.items.ready.eq(~there | complete),
            self.done.eq(complete & item.last[-1]),
            self.section_done.eq(complete & item.last[len(POSITIONS) - 1]),
        ]
        with m.If(raw):
            of_tree = dead.bit_select(count[:3], 1).replicate(WORD_BYTES)
            m.d.comb += [
                source.eq(self.raw.valid), unmasked.eq(self.raw.payload),
                self.raw.ready.eq(free), last.eq(count == raw_words - 1),
                # a tree's low word, or a byte of each tree
                dead_bytes.eq(Mux(count < TREES, of_tree, dead)),
            ]
        with m.Elif(wide):
            words = [Cat(self.value[2 * i], self.value[2 * i + 1]) for i in range(FLOAT_WORDS)]
            pair = dead.word_select(count[:2], 2)
            m.d.comb += [
                source.eq(self.value_valid), unmasked.eq(Array(words)[count[:2]]),
                self.value_take.eq(free & last), last.eq(count == FLOAT_WORDS - 1),
                dead_bytes.eq(Cat(bit.replicate(FLOAT_BITS // 8) for bit in pair)),
            ]
        with m.Else():
            elements = [data.View(CODE_LAYOUT, e) for e in self.codes.payload.elements]
            m.d.comb += [
                source.eq(self.codes.valid),
                unmasked.eq(Cat(e.code for e in elements)),
                self.codes.ready.eq(free & last), last.eq(~self.gate | count[0]),
                dead_bytes.eq(dead),
                self.code_valid.eq(written & item.inside & ~count[0]),
                self.gates.ready.eq(written & count[0]),
            ]
            with m.If(count[0]):
                m.d.comb += unmasked.eq(Mux(self.gates.payload, OPEN, 0))
            with m.If(written & item.inside & ~count[0]):
                m.d.comb += self.saturations.eq(
                    sum(e.saturated & ~dead[i] for i, e in enumerate(elements)))
        with m.If(written & item.inside):
            m.d.comb += self.nan.eq(self._nan(wide, raw, word))

        with m.If(written):
            m.d.sync += [count.eq(Mux(last, 0, count + 1)),
                         address.eq(address + Mux(self.gate, self.gate_away, 1))]
        with m.If(self.items.ready):
            m.d.sync += [there.eq(self.items.valid), item.eq(self.items.payload),
                         address.eq(self.items.payload.address)]
        with m.If(self.clear):
            m.d.sync += [count.eq(0), there.eq(0)]
        return m

    def _nan(self, wide, raw, word):
        """Whether an element of `word` is NaN, or for FP8 infinity. What is masked is zero."""
        floats = Cat(word.word_select(i, 32)[:31] > 0x7F800000 for i in range(2)).any()
        e4m3 = Cat(word.word_select(i, 8)[:7] == E4M3.nan_code for i in range(WORD_BYTES)).any()
        e5m2 = Cat(word.word_select(i, 8)[:7] >= E5M2.infinity_code
                   for i in range(WORD_BYTES)).any()
        fp8 = Mux(self.format == FormatCode.E5M2, e5m2, e4m3)
        return Mux(wide, floats, fp8 & ~raw)
