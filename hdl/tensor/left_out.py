"""How many multiply-adds an operation that is left out would have done."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import registers_layout
from hdl.tensor.events import EIGHTH, LEFT_OUT_BITS
from isa.config import LANES, TREES
from isa.registers import BLOCKS, COUNT_BITS, POSITIONS, REDUCTION, Unit

_LOW = (TREES * LANES // EIGHTH).bit_length() - 1  # zeros at the end of a number of eighths
WORDS_BITS = LEFT_OUT_BITS - _LOW


class LeftOut(wiring.Component):
    """Multiplies the counts of an operation, one bit a cycle.

    Members
    -------
    start : pulse; the registers hold from here to `done`
    registers
    done : pulse
    eighths : with `done`: words of all streams and cores, in multiply-adds over `EIGHTH`, modulo
        2^`LEFT_OUT_BITS`

    Timing
    ------
    A cycle for each count, one for each of its significant bits, and 2: `done` with all counts at 1
    comes 27 cycles after `start`.
    """

    def __init__(self):
        super().__init__({
            "start": In(1),
            "registers": In(registers_layout(Unit.TENSOR)),
            "done": Out(1),
            "eighths": Out(LEFT_OUT_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        registers = self.registers
        factors = [*(registers.positions[loop] for loop in (*POSITIONS, "cores")),
                   *(registers.reduction[loop] for loop in REDUCTION),
                   *(registers.blocks[loop] for loop in BLOCKS), registers.groups.groups]
        busy = Signal()
        at = Signal(range(len(factors) + 1))
        factor, multiplier = Signal(COUNT_BITS), Signal(COUNT_BITS)
        addend, product = Signal(WORDS_BITS), Signal(WORDS_BITS)
        with m.Switch(at):
            for i, value in enumerate(factors):
                with m.Case(i):
                    m.d.comb += factor.eq(value)
        m.d.comb += [
            self.done.eq(busy & (multiplier == 0) & (at == len(factors))),
            self.eighths.eq(Cat(Const(0, _LOW), product)),
        ]
        with m.If(multiplier != 0):
            m.d.sync += [product.eq(product + Mux(multiplier[0], addend, 0)),
                         multiplier.eq(multiplier >> 1), addend.eq(addend << 1)]
        with m.Elif(busy):
            m.d.sync += [at.eq(at + 1), multiplier.eq(factor), addend.eq(product), product.eq(0)]
        with m.If(self.done):
            m.d.sync += [busy.eq(0), product.eq(product)]
        with m.If(self.start):
            m.d.sync += [busy.eq(1), at.eq(0), multiplier.eq(0), product.eq(1)]
        return m
