"""Sums of several groups, and elements, added to one."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.tensor.drain.element import fixed_elements, in_accumulator, lifted_decoder
from isa.config import TREES, WORD_BITS, Config


class Merge(wiring.Component):
    """Adds the sums of a position of all groups, one group after the other, and its elements.

    Parameters
    ----------
    config : Config

    Members
    -------
    clear : between operations
    element, format : a word of FP8 elements is added, one a tree; constant in an operation
    valid, first, final, last, ready
        The sums of a group wait, of the first or the final one of the position, the last position
        of a block and core; they are taken. A chip of one core has one group, first and final.
    sum, poison : by tree
    elements : stream of words, one a position, if `element`; they are kept a cycle before they are
        added
    total_valid, total_last, total, total_poison, total_ready : of the position, by tree

    Timing
    ------
    A group a cycle; the total is there one cycle after its final group.

    Numerics
    --------
    Exact. NaN and infinity poison.
    """

    def __init__(self, *, config: Config):
        self.config = config
        number = signed(config.accumulator_bits)
        super().__init__({
            "clear": In(1),
            "element": In(1),
            "format": In(1),
            "valid": In(1),
            "first": In(1),
            "final": In(1),
            "last": In(1),
            "ready": Out(1),
            "sum": In(number).array(TREES),
            "poison": In(TREES),
            "elements": In(stream.Signature(WORD_BITS)),
            "total_valid": Out(1),
            "total_last": Out(1),
            "total": Out(number).array(TREES),
            "total_poison": Out(TREES),
            "total_ready": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        decoder = lifted_decoder(m, "decoder", self.elements.payload, self.format)
        take, added = Signal(), Signal()
        there = Signal()  # elements, taken apart
        m.d.comb += [
            take.eq(self.valid & (~self.total_valid | self.total_ready) & (~added | there)),
            added.eq(self.element & (self.first if config.cores > 1 else 1)),
            self.ready.eq(take),
            self.elements.ready.eq(self.element & (~there | take & added)),
        ]
        with m.If(self.elements.ready):
            m.d.sync += there.eq(self.elements.valid)

        def kept(name, plane):
            register = Signal(TREES, name=name, reset_less=True)
            with m.If(self.elements.ready):
                m.d.sync += register.eq(plane)
            return register

        special = kept("special", decoder.special)
        elements = fixed_elements(
            m, kept("sign", decoder.sign),
            [kept(f"exponent_{i}", plane) for i, plane in enumerate(decoder.exponent)],
            [kept(f"significand_{i}", plane) for i, plane in enumerate(decoder.significand)])
        with m.If(self.total_ready | take):
            m.d.sync += self.total_valid.eq(take & (self.final if config.cores > 1 else 1))
        operands = [Mux(added, in_accumulator(config, value), 0) for value in elements]
        poison = Mux(added, special, 0)
        if config.cores > 1:
            operands = [Mux(self.first, operand, total)
                        for operand, total in zip(operands, self.total, strict=True)]
            poison = Mux(self.first, poison, self.total_poison)
        with m.If(take):
            m.d.sync += [self.total_last.eq(self.last), self.total_poison.eq(self.poison | poison)]
            for tree, operand in enumerate(operands):
                m.d.sync += self.total[tree].eq(self.sum[tree] + operand)
        with m.If(self.clear):
            m.d.sync += [self.total_valid.eq(0), there.eq(0)]
        return m
