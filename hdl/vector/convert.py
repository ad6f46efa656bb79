"""The conversion of groups to FP8 words."""

from amaranth.hdl import Array, Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.random import RandomBits
from hdl.arith.to_fp8 import ToFp8
from hdl.clock import gated
from hdl.interfaces import address_bits
from hdl.vector.delay import delayed
from hdl.vector.layouts import ELEMENT_BITS, FLOAT_BITS, MODE, place_layout
from isa.config import LANES, WORD_BITS, Config
from isa.formats import FormatCode
from isa.registers import VECTOR_OUTPUTS

OUTPUT_BITS = (len(VECTOR_OUTPUTS) - 1).bit_length()


class Converter(wiring.Component):
    """Converts a group a cycle to FP8; all outputs share it.

    Parameters
    ----------
    config : Config

    Members
    -------
    clear : forgets every group
    modes, key : of the outputs; constant while anything is on the way
    s0_valid, s0_ready, s0_output, s0_place, s0_values : stream of groups, each for an output
    valid, ready, output, address, data : stream of words, in the same order
    busy : there is a word on the way

    Timing
    ------
    `Converter.LATENCY` cycles: first the random bits, the values waiting, then the rounding.
    """

    LATENCY = RandomBits.LATENCY + ToFp8.LATENCY

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "clear": In(1),
            "modes": In(MODE).array(len(VECTOR_OUTPUTS)),
            "key": In(32),
            "s0_valid": In(1),
            "s0_ready": Out(1),
            "s0_output": In(OUTPUT_BITS),
            "s0_place": In(place_layout(config)),
            "s0_values": In(FLOAT_BITS).array(LANES),
            "valid": Out(1),
            "ready": In(1),
            "output": Out(OUTPUT_BITS),
            "address": Out(address_bits(config)),
            "data": Out(WORD_BITS),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        en = Signal()
        held = Signal(self.LATENCY)  # bit i: stage i holds a group
        m.d.comb += [
            self.valid.eq(held[-1]),
            self.busy.eq(held.any()),
            self.s0_ready.eq(~self.valid | self.ready),
            en.eq(self.s0_ready & (self.s0_valid | self.busy)),
        ]
        with m.If(en):
            m.d.sync += held.eq(Cat(self.s0_valid, held[:-1]))
        with m.If(self.clear):
            m.d.sync += held.eq(0)

        s1_output = delayed(m, "s1_output", self.s0_output, RandomBits.LATENCY, en)
        s1_mode = Signal(MODE)
        m.d.comb += [
            s1_mode.eq(Array(mode.as_value() for mode in self.modes)[s1_output]),
            self.output.eq(delayed(m, "s2_output", s1_output, ToFp8.LATENCY, en)),
            self.address.eq(delayed(m, "address", self.s0_place.address, self.LATENCY, en)),
        ]
        element = (LANES - 1).bit_length()
        first = Signal(32)  # number of the word's first element
        m.d.comb += first.eq(self.s0_place.offset << element)
        randoms = {f"random_{i}": RandomBits() for i in range(LANES)}
        roundings = {f"round_{i}": ToFp8() for i in range(LANES)}
        gated(m, "codes", en, randoms | roundings)
        for i, (random, rounding) in enumerate(
                zip(randoms.values(), roundings.values(), strict=True)):
            m.d.comb += [
                random.en.eq(en),
                random.key.eq(self.key),
                random.index.eq(first | Const(i, len(first))),
                rounding.en.eq(en),
                rounding.value.eq(
                    delayed(m, f"s1_value_{i}", self.s0_values[i], RandomBits.LATENCY, en)),
                rounding.format.eq(s1_mode.format == FormatCode.E5M2),
                rounding.scale.eq(s1_mode.scale),
                rounding.stochastic.eq(s1_mode.stochastic),
                rounding.random.eq(random.bits),
                self.data.word_select(i, ELEMENT_BITS).eq(rounding.code),
            ]
        return m
