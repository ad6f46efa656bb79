"""The numbers of output elements, which their random bits are made from."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.streams.walker import item_layout
from isa.config import TREES
from isa.registers import ADDRESS_BITS


class Indexes(wiring.Component):
    """Gives the 8 elements of each position their number in the output tensor.

    Parameters
    ----------
    loops : int
        Loops of the walker that gives the words' addresses, from a base of zero.

    Members
    -------
    clear : between operations
    turn : constant in an operation; element j of position i of a group of 8 goes to byte i of the
        group's word j, else to byte j of its own word
    items : stream of `item_layout`, the output words in order
    valid, index : of the next position
    take

    Timing
    ------
    One position a cycle. With `turn` a group's first follows its eighth address by one cycle.
    """

    def __init__(self, *, loops: int):
        self.loops = loops
        super().__init__({
            "clear": In(1),
            "turn": In(1),
            "items": In(stream.Signature(item_layout(loops))),
            "valid": Out(1),
            "index": Out(32).array(TREES),
            "take": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        word = self.items.payload.address
        kept = [Signal(ADDRESS_BITS, name=f"kept_{i}", reset_less=True)
                for i in range(TREES - 1)]
        group = [Signal(ADDRESS_BITS, name=f"group_{i}", reset_less=True) for i in range(TREES)]
        level = Signal(range(TREES))
        present = Signal()
        byte = Signal(range(TREES))
        complete, load = Signal(), Signal()

        m.d.comb += [
            complete.eq(level == TREES - 1),
            load.eq(complete & self.items.valid
                    & (~present | (self.take & (byte == TREES - 1)))),
            self.valid.eq(Mux(self.turn, present, self.items.valid)),
            self.items.ready.eq(Mux(self.turn, ~complete | load, self.take)),
            *(self.index[j].eq(Mux(self.turn, Cat(byte, group[j]), Cat(Const(j, 3), word)))
              for j in range(TREES)),
        ]
        with m.If(self.turn):
            with m.If(self.take):
                m.d.sync += byte.eq(byte + 1)
                with m.If(byte == TREES - 1):
                    m.d.sync += present.eq(0)
            with m.If(load):
                m.d.sync += [present.eq(1), level.eq(0),
                             *(a.eq(b) for a, b in zip(group, [*kept, word], strict=True))]
            with m.Elif(self.items.valid & ~complete):
                m.d.sync += [level.eq(level + 1), kept[-1].eq(word),
                             *(a.eq(b) for a, b in pairwise(kept))]
        with m.If(self.clear):
            m.d.sync += [present.eq(0), level.eq(0), byte.eq(0)]
        return m
