"""From the words of an input to groups of 8 binary32 numbers."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.from_fp8 import FromFp8
from hdl.streams.reader import word_layout
from hdl.vector.layouts import (
    ELEMENT_BITS,
    FLOAT_BITS,
    GROUP_WORDS,
    HALF_BITS,
    WALKED,
    WORD_FLOATS,
)
from isa.config import LANES
from isa.formats import FormatCode


class Gather(wiring.Component):
    """Decodes an FP8 word or 2 words of bfloat16 to a group, or joins 4 binary32 words to one.

    Members
    -------
    used : 0 for an input that is not read: there is always a group, of no matter what
    format : FormatCode
    words : stream of `word_layout`; `last` bit 0 marks the last word of a group
    valid, ready, values : stream of groups

    Timing
    ------
    A group is valid in the cycle of its last word.
    """

    def __init__(self):
        super().__init__({
            "used": In(1),
            "format": In(FormatCode),
            "words": In(stream.Signature(word_layout(len(WALKED)))),
            "valid": Out(1),
            "ready": In(1),
            "values": Out(FLOAT_BITS).array(LANES),
        })

    def elaborate(self, platform):
        m = Module()
        word = self.words.payload
        whole = word.last[0]
        wide, half = Signal(), Signal()
        floats = [word.data.word_select(i, FLOAT_BITS) for i in range(WORD_FLOATS)]
        # The words before the last one, the first of them in front.
        kept = [Signal(FLOAT_BITS, name=f"kept_{i}", reset_less=True)
                for i in range((GROUP_WORDS - 1) * WORD_FLOATS)]

        m.d.comb += [
            wide.eq(self.format == FormatCode.BINARY32),
            half.eq(self.format == FormatCode.BFLOAT16),
            self.valid.eq(~self.used | self.words.valid & whole),
            self.words.ready.eq(~whole | self.ready),
        ]
        with m.If(self.words.valid & ~whole):
            m.d.sync += [place.eq(value) for place, value in
                         zip(kept, [*kept[WORD_FLOATS:], *floats], strict=True)]
        halves = Cat(*kept[-WORD_FLOATS:], word.data)  # the word before, and this one
        for i, (value, joined) in enumerate(zip(self.values, [*kept, *floats], strict=True)):
            m.submodules[f"decode_{i}"] = decode = FromFp8()
            m.d.comb += [
                decode.code.eq(word.data.word_select(i, ELEMENT_BITS)),
                decode.format.eq(self.format == FormatCode.E5M2),
                value.eq(Mux(wide, joined, Mux(
                    half, Cat(Const(0, HALF_BITS), halves.word_select(i, HALF_BITS)),
                    decode.out))),
            ]
        return m
