"""The conversion of groups to words of FP8 and bfloat16."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.random import RandomBits
from hdl.arith.to_bfloat16 import ToBfloat16
from hdl.arith.to_fp8 import ToFp8
from hdl.clock import gated
from hdl.interfaces import address_bits
from hdl.vector.delay import delayed
from hdl.vector.layouts import (
    ELEMENT_INDEX_BITS,
    FLOAT_BITS,
    GROUP_INDEX_BITS,
    MODE,
    WORD_HALVES,
    place_layout,
)
from isa.config import LANES, WORD_BITS, Config
from isa.formats import FormatCode
from isa.registers import VECTOR_OUTPUTS

OUTPUT_BITS = (len(VECTOR_OUTPUTS) - 1).bit_length()


class Converter(wiring.Component):
    """Converts a group a cycle to FP8, or half a group to bfloat16; all outputs share it.

    Parameters
    ----------
    config : Config

    Members
    -------
    clear : forgets every group
    modes, key : of the outputs; constant while anything is on the way
    s0_valid, s0_ready, s0_output, s0_place, s0_index, s0_values
        Stream of groups, each for a word of an output; the index is the group's in its tensor.
    valid, ready, output, address, data : stream of words, in the same order
    saturations : elements of E5M2 in the word that is taken in this cycle that saturated
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
            "s0_index": In(GROUP_INDEX_BITS),
            "s0_values": In(FLOAT_BITS).array(LANES),
            "valid": Out(1),
            "ready": In(1),
            "output": Out(OUTPUT_BITS),
            "address": Out(address_bits(config)),
            "data": Out(WORD_BITS),
            "saturations": Out(range(LANES + 1)),
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
        s1_last = delayed(m, "s1_last", self.s0_place.last, RandomBits.LATENCY, en)
        s1_values = [delayed(m, f"s1_value_{i}", value, RandomBits.LATENCY, en)
                     for i, value in enumerate(self.s0_values)]
        s1_mode = Signal(MODE)
        halved = self._any(lambda mode: mode.format == FormatCode.BFLOAT16)
        m.d.comb += [
            s1_mode.eq(Array(mode.as_value() for mode in self.modes)[s1_output]),
            self.output.eq(delayed(m, "s2_output", s1_output, ToFp8.LATENCY, en)),
            self.address.eq(delayed(m, "address", self.s0_place.address, self.LATENCY, en)),
        ]
        randoms = self._randoms(m, en & self._any(lambda mode: mode.stochastic))
        codes, saturated = self._codes(m, en, s1_mode, s1_values, randoms)
        halves = self._halves(m, en & halved, s1_mode, s1_last, s1_values, randoms)
        format = delayed(m, "format", s1_mode.format, ToFp8.LATENCY, en)
        m.d.comb += self.data.eq(Mux(format == FormatCode.BFLOAT16, Cat(halves), Cat(codes)))
        with m.If(self.valid & self.ready & (format == FormatCode.E5M2)):
            m.d.comb += self.saturations.eq(sum(saturated))
        return m

    def _any(self, holds):
        """Whether something holds for the mode of an output, enabled or not."""
        return Cat(holds(mode) for mode in self.modes).any()

    def _randoms(self, m, en):
        """Random bits of the 8 elements."""
        randoms = [RandomBits() for _ in range(LANES)]
        gated(m, "randoms", en, {f"random_{i}": unit for i, unit in enumerate(randoms)})
        for i, random in enumerate(randoms):
            m.d.comb += [
                random.en.eq(en),
                random.key.eq(self.key),
                random.index.eq(Cat(Const(i, ELEMENT_INDEX_BITS), self.s0_index)),
            ]
        return [random.bits for random in randoms]

    def _codes(self, m, en, mode, values, randoms):
        """The codes of FP8, and which elements saturated."""
        roundings = [ToFp8() for _ in range(LANES)]
        gated(m, "codes", en, {f"round_{i}": unit for i, unit in enumerate(roundings)})
        for rounding, value, random in zip(roundings, values, randoms, strict=True):
            m.d.comb += [
                rounding.en.eq(en),
                rounding.value.eq(value),
                rounding.format.eq(mode.format == FormatCode.E5M2),
                rounding.scale.eq(mode.scale),
                rounding.stochastic.eq(mode.stochastic),
                rounding.random.eq(random),
            ]
        return ([rounding.code for rounding in roundings],
                [rounding.saturated for rounding in roundings])

    def _halves(self, m, en, mode, last, values, randoms):
        """The codes of the first or last half of a group in bfloat16."""
        roundings = [ToBfloat16() for _ in range(WORD_HALVES)]
        gated(m, "halves", en, {f"half_{i}": unit for i, unit in enumerate(roundings)})
        for i, rounding in enumerate(roundings):
            m.d.comb += [
                rounding.en.eq(en),
                rounding.value.eq(Mux(last, values[WORD_HALVES + i], values[i])),
                rounding.stochastic.eq(mode.stochastic),
                rounding.random.eq(Mux(last, randoms[WORD_HALVES + i], randoms[i])),
            ]
        return [rounding.code for rounding in roundings]
