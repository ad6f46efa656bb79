"""The number of a group in its window."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.binary32 import BIAS, SIGNIFICAND_BITS, normalise
from hdl.vector.layouts import NUMBER_BITS


class Number(wiring.Component):
    """Counts groups from zero, and from zero again after the last one of a window.

    The counts of two loops have as many bits as a significand: every number is exact.

    Members
    -------
    clear : begins a window
    en : a group is counted
    last : it is the last one of its window
    first : it is the first one of its window
    number : in binary32, without the sign
    """

    clear: In(1)
    en: In(1)
    last: In(1)
    first: Out(1)
    number: Out(NUMBER_BITS)

    def elaborate(self, platform):
        m = Module()
        count = Signal(SIGNIFICAND_BITS)
        with m.If(self.clear):
            m.d.sync += count.eq(0)
        with m.Elif(self.en):
            m.d.sync += count.eq(Mux(self.last, 0, count + 1))
        significand, zeros = normalise(m, "count", count, count)
        m.d.comb += [
            self.first.eq(count == 0),
            self.number.eq(Mux(self.first, 0, Cat(
                significand[:-1], (BIAS + SIGNIFICAND_BITS - 1 - zeros)[:8]))),
        ]
        return m
