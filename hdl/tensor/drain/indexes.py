"""The numbers of output elements, which their random bits are made from."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import registers_layout
from hdl.streams.walker import Walker
from hdl.tensor.nest import drain_loops, loop_count
from isa.config import TREES, Config
from isa.registers import INDEX_BITS, Unit

BYTE_BITS = (TREES - 1).bit_length()
WORD_BITS = INDEX_BITS - BYTE_BITS  # of the number of a word


class Indexes(wiring.Component):
    """Gives the 8 elements of each position their number in the output tensor.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse; `registers` hold from here on
    clear : between operations
    registers
        Of the stream `number`. With `turn_output` element j of position i of a group of 8 goes to
        byte i of the group's word j, else to byte j of its own word.
    valid, index : of the next position
    take

    Timing
    ------
    One position a cycle. In a turn a group's first follows its eighth word by one cycle.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "registers": In(registers_layout(Unit.TENSOR)),
            "valid": Out(1),
            "index": Out(INDEX_BITS).array(TREES),
            "take": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        loops, turn = drain_loops(self.config), self.registers.mode.turn_output
        m.submodules.walker = walker = Walker(loops=loops, bits=WORD_BITS)
        items, word = walker.items, walker.items.payload.address
        kept = [Signal(WORD_BITS, name=f"kept_{i}", reset_less=True)
                for i in range(TREES - 1)]
        group = [Signal(WORD_BITS, name=f"group_{i}", reset_less=True) for i in range(TREES)]
        level = Signal(range(TREES))
        present = Signal()
        byte = Signal(range(TREES))
        complete, load = Signal(), Signal()

        m.d.comb += [
            walker.start.eq(self.start),
            walker.stop.eq(self.clear),
            walker.base.eq(self.registers.number_base.word),
            *(walker.counts[loop].eq(loop_count(self.registers, loop)) for loop in loops),
            *(walker.steps[loop].stride.eq(self.registers[f"number_{loop}"].stride)
              for loop in loops),
            complete.eq(level == TREES - 1),
            load.eq(complete & items.valid
                    & (~present | (self.take & (byte == TREES - 1)))),
            self.valid.eq(Mux(turn, present, items.valid)),
            items.ready.eq(Mux(turn, ~complete | load, self.take)),
            *(self.index[j].eq(Mux(turn, Cat(byte, group[j]), Cat(Const(j, BYTE_BITS), word)))
              for j in range(TREES)),
        ]
        with m.If(turn):
            with m.If(self.take):
                m.d.sync += byte.eq(byte + 1)
                with m.If(byte == TREES - 1):
                    m.d.sync += present.eq(0)
            with m.If(load):
                m.d.sync += [present.eq(1), level.eq(0),
                             *(a.eq(b) for a, b in zip(group, [*kept, word], strict=True))]
            with m.Elif(items.valid & ~complete):
                m.d.sync += [level.eq(level + 1), kept[-1].eq(word),
                             *(a.eq(b) for a, b in pairwise(kept))]
        with m.If(self.clear):
            m.d.sync += [present.eq(0), level.eq(0), byte.eq(0)]
        return m
