"""The outputs of the vector unit, and the converter that they share."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.clock import gated
from hdl.interfaces import WritePort
from hdl.streams.turn import Turn
from hdl.vector.convert import Converter
from hdl.vector.layouts import (
    COUNTS,
    ELEMENT_BITS,
    FLOAT_BITS,
    GROUP_INDEX_BITS,
    MODE,
    NUMBER_BITS,
    STRIDES,
)
from hdl.vector.output import Output
from isa.config import LANES, WORD_BITS, Config
from isa.registers import ADDRESS_BITS, VECTOR_OUTPUTS

_COUNT = len(VECTOR_OUTPUTS)


class Outputs(wiring.Component):
    """Writes each group to the outputs that want it; all but binary32 takes turns at the converter.

    The words of the output with `turn`, one at most, are turned behind it.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse; all below but the streams hold from here on
    clear : forgets everything
    sum : the last output writes the words of `sums` and takes no groups
    largest : groups are the largest of windows; the outputs take t, u, and `number`
    more : groups may come that are not offered yet
    offers, took : for each output, whether the group is offered, and that it was taken in whole
    t, u, number : the group
    index : its number in its tensor
    sums : stream of words
    o0, o1, o2 : write ports
    saturations : of `Converter`
    busy : not everything is written
    trap : a word is not in the scratchpad

    Timing
    ------
    All outputs in binary32 take a group in 4 cycles, one output in FP8 takes it in one, in
    bfloat16 in two. Turned words leave 8 words later.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "sum": In(1),
            "largest": In(1),
            "key": In(32),
            "modes": In(MODE).array(_COUNT),
            "bases": In(ADDRESS_BITS).array(_COUNT),
            "counts": In(COUNTS),
            "strides": In(STRIDES).array(_COUNT),
            "more": In(1),
            "offers": In(_COUNT),
            "took": Out(_COUNT),
            "t": In(FLOAT_BITS).array(LANES),
            "u": In(FLOAT_BITS).array(LANES),
            "number": In(NUMBER_BITS).array(LANES),
            "index": In(GROUP_INDEX_BITS),
            "sums": In(stream.Signature(WORD_BITS)),
            **{name: Out(WritePort(config)) for name in VECTOR_OUTPUTS},
            "saturations": Out(range(LANES + 1)),
            "busy": Out(1),
            "trap": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.convert = convert = Converter(config=self.config)
        outputs = []
        # Of the largest, the first output takes t, the second u, the third the number instead.
        sources = [Mux(self.largest, i != 0, mode.source) for i, mode in enumerate(self.modes)]
        number = [Signal(FLOAT_BITS, name=f"number_{i}") for i in range(LANES)]
        m.d.comb += [here.eq(Mux(self.largest, there, u)) for here, there, u in
                     zip(number, self.number, self.u, strict=True)]
        taken = [self.u, self.u, number]
        for i, name in enumerate(VECTOR_OUTPUTS):
            m.submodules[name] = output = Output(config=self.config)
            outputs.append(output)
            wiring.connect(m, output.port, wiring.flipped(getattr(self, name)))
            m.d.comb += [
                output.start.eq(self.start),
                output.clear.eq(self.clear),
                output.mode.eq(self.modes[i]),
                output.mode.source.eq(sources[i]),
                output.reduced.eq(self.largest),
                output.base.eq(self.bases[i]),
                output.counts.eq(self.counts),
                output.strides.eq(self.strides[i]),
                output.offer.eq(self.offers[i]),
                self.took[i].eq(output.took),
                *(here.eq(there) for here, there in zip(output.t, self.t, strict=True)),
                *(here.eq(there) for here, there in zip(output.u, taken[i], strict=True)),
                output.codes.payload.address.eq(convert.address),
            ]
        last = outputs[-1]
        m.d.comb += [last.summed.eq(self.sum), last.reduced.eq(self.sum | self.largest)]
        wiring.connect(m, wiring.flipped(self.sums), last.sums)

        # The first output that asks is served.
        chosen = Signal(range(_COUNT))
        source = Signal()
        for i in reversed(range(_COUNT)):
            with m.If(outputs[i].asked.valid):
                m.d.comb += chosen.eq(i)
        for i, output in enumerate(outputs):
            m.d.comb += output.asked.ready.eq(convert.s0_ready & (chosen == i))
        m.d.comb += [
            convert.clear.eq(self.clear),
            convert.key.eq(self.key),
            *(here.eq(there) for here, there in zip(convert.modes, self.modes, strict=True)),
            convert.s0_valid.eq(Array(output.asked.valid for output in outputs)[chosen]),
            convert.s0_output.eq(chosen),
            convert.s0_index.eq(self.index),
            convert.s0_place.eq(Array(
                output.asked.payload.as_value() for output in outputs)[chosen]),
            source.eq(Array(sources)[chosen]),
            *(value.eq(Mux(source, Mux(chosen == _COUNT - 1, late, u), t)) for value, t, u, late in
              zip(convert.s0_values, self.t, self.u, number, strict=True)),
            self.saturations.eq(convert.saturations),
            self.busy.eq(convert.busy | Cat(output.busy for output in outputs).any()),
            self.trap.eq(Cat(output.trap for output in outputs).any()),
        ]
        self._hand_out(m, convert, outputs)
        return m

    def _hand_out(self, m, convert, outputs):
        """Converted words go to their outputs, by way of the turn where it is asked for."""
        turn = Turn(element_bits=ELEMENT_BITS, last_bits=1)
        turns = Cat(mode.turn for mode in self.modes)
        gated(m, "turns", turns.any(), {"turn": turn})
        here = Signal()  # the converted word is to be turned
        ready = [Mux(mode.turn, turn.words.ready, output.codes.ready)
                 for mode, output in zip(self.modes, outputs, strict=True)]
        m.d.comb += [
            here.eq(turns.bit_select(convert.output, 1)),
            turn.enable.eq(1),
            turn.clear.eq(self.clear),
            turn.end.eq(~self.more & ~convert.busy),
            turn.words.valid.eq(convert.valid & here),
            Cat(turn.words.payload.elements).eq(convert.data),
            turn.turned.ready.eq(Cat(
                mode.turn & output.codes.ready
                for mode, output in zip(self.modes, outputs, strict=True)).any()),
            convert.ready.eq(Array(ready)[convert.output]),
        ]
        for i, (mode, output) in enumerate(zip(self.modes, outputs, strict=True)):
            with m.If(mode.turn):
                m.d.comb += [output.codes.valid.eq(turn.turned.valid),
                             output.codes.payload.data.eq(turn.turned.payload.elements)]
            with m.Else():
                m.d.comb += [output.codes.valid.eq(convert.valid & (convert.output == i)),
                             output.codes.payload.data.eq(convert.data)]
