"""What the drain does with the sum of one tree, up to an FP8 code."""

from amaranth.hdl import Module, Mux, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.add import FloatAdd
from hdl.arith.fixed_to_float import FixedToFloat
from hdl.arith.random import RandomBits
from hdl.arith.to_fp8 import ToFp8
from isa.config import Config


class Lane(wiring.Component):
    """Sum to binary32, times 2^scale, plus bias, ReLU, to FP8; each rounded once.

    Parameters
    ----------
    config : Config

    Members
    -------
    en : advances every register
    sum, poison : of one position; poison makes it NaN
    scale, relu, format, stochastic, key : constant in an operation
    bias : binary32, of the position at `BIAS_STAGE`; +0 changes nothing
    index : of the random bits, of the position at `INDEX_STAGE`
    value : binary32, of the position at `VALUE_STAGE`
    code, saturated : of the position at `STAGES`

    Latency
    -------
    A position is at stage i after i cycles with `en`.
    """

    BIAS_STAGE = FixedToFloat.LATENCY
    VALUE_STAGE = BIAS_STAGE + FloatAdd.LATENCY
    INDEX_STAGE = VALUE_STAGE - RandomBits.LATENCY
    STAGES = VALUE_STAGE + ToFp8.LATENCY

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "en": In(1),
            "sum": In(signed(config.accumulator_bits)),
            "poison": In(1),
            "scale": In(signed(8)),
            "relu": In(1),
            "format": In(1),
            "stochastic": In(1),
            "key": In(32),
            "bias": In(32),
            "index": In(32),
            "value": Out(32),
            "code": Out(8),
            "saturated": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.to_float = to_float = FixedToFloat(
            width=self.config.accumulator_bits, exponent=self.config.lowest_exponent)
        m.submodules.add = add = FloatAdd()
        m.submodules.random = random = RandomBits()
        m.submodules.to_fp8 = to_fp8 = ToFp8()
        for part in (to_float, add, random, to_fp8):
            m.d.comb += part.en.eq(self.en)
        m.d.comb += [
            to_float.value.eq(self.sum),
            to_float.nan.eq(self.poison),
            to_float.scale.eq(self.scale),
            add.a.eq(to_float.out),
            add.b.eq(self.bias),
            # every NaN of the adder is positive
            self.value.eq(Mux(self.relu & add.out[31], 0, add.out)),
            random.key.eq(self.key),
            random.index.eq(self.index),
            to_fp8.value.eq(self.value),
            to_fp8.format.eq(self.format),
            to_fp8.scale.eq(0),
            to_fp8.stochastic.eq(self.stochastic),
            to_fp8.random.eq(random.bits),
            self.code.eq(to_fp8.code),
            self.saturated.eq(to_fp8.saturated),
        ]
        return m
