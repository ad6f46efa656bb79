"""The drain of the tensor unit: from complete sums to words of the scratchpad."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.clock import gated
from hdl.interfaces import ReadPort, WritePort, registers_layout
from hdl.streams.reader import WordReader
from hdl.tensor.bias import WORDS as BIAS_WORDS
from hdl.tensor.bias import Bias
from hdl.tensor.collector import Collector
from hdl.tensor.expand import Expand
from hdl.tensor.indexes import Indexes
from hdl.tensor.lane import Lane
from hdl.tensor.nest import tensor_walker
from hdl.tensor.output import CODE_LAYOUT, Output
from hdl.tensor.raw import Raw
from hdl.tensor.sequencer import position_bits
from hdl.tensor.steps import Steps
from hdl.tensor.turn import Turn
from isa.config import TREES, Config
from isa.formats import FormatCode
from isa.registers import TENSOR_STREAMS, AuxMode, Unit


class Drain(wiring.Component):
    """Takes each sum as soon as it is complete, finishes it and writes it.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse
    clear : everything is forgotten, nothing is asked for; also with `start`
    registers
    positions_last, complete, read_bank, read_position, drained : of `Collector`
    sum : [core][tree], in the cycle after its position
    poison : [core], a bit a tree
    aux : ReadPort of aux and bias
    output : WritePort
    trap : an address is out of range
    done, saturations, nan : of `Output`

    Timing
    ------
    FP8: a position a cycle, written 1 + `Lane.STAGES` cycles after it is read. Binary32: one in 4
    cycles; raw stores and additions: one in `config.raw_words` cycles. With bias a block and core
    takes 4 cycles more.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "registers": In(registers_layout(Unit.TENSOR)),
            "positions_last": In(position_bits(config)),
            "complete": In(1),
            "read_bank": Out(1),
            "read_position": Out(position_bits(config)),
            "drained": Out(1),
            "sum": In(signed(config.accumulator_bits)).array(config.cores, TREES),
            "poison": In(TREES).array(config.cores),
            "aux": Out(ReadPort(config)),
            "output": Out(WritePort(config)),
            "trap": Out(1),
            "done": Out(1),
            "saturations": Out(range(TREES + 1)),
            "nan": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, mode = self.config, self.registers.mode
        m.submodules.collector = collector = Collector(config=config)
        m.submodules.raw = raw = Raw(config=config)
        m.submodules.steps = steps = Steps()
        m.submodules.turn = turn = Turn(element_bits=CODE_LAYOUT.size, last_bits=1)
        m.submodules.output_port = output = Output(config=config,
                                                   loops=len(TENSOR_STREAMS["output"]))
        for part in (collector, raw, steps, turn, output):
            m.d.comb += part.clear.eq(self.clear)

        add, store, serial = Signal(), Signal(), Signal()
        m.d.comb += [
            add.eq(mode.aux == AuxMode.ADD),
            store.eq(mode.output == FormatCode.RAW),
            serial.eq(add | store),
            steps.serial.eq(serial),
            steps.wide.eq(mode.output == FormatCode.BINARY32),
            raw.add.eq(add),
            raw.store.eq(store),
        ]
        self._collect(m, collector, raw, steps, serial)
        lanes = self._lanes(m, raw, steps, serial)
        bias_trap, bias_port = self._bias(m, steps, lanes)
        aux_trap, aux_port = self._aux(m, raw, output, add)
        self._share(m, bias_port, aux_port)
        self._indexes(m, steps, lanes)
        self._write(m, raw, steps, lanes, turn, output)
        m.d.comb += self.trap.eq(bias_trap | aux_trap | output.trap)
        return m

    def _collect(self, m, collector, raw, steps, serial):
        m.d.comb += [
            collector.cores.eq(self.registers.positions.cores),
            collector.positions_last.eq(self.positions_last),
            collector.complete.eq(self.complete),
            self.read_bank.eq(collector.read_bank),
            self.read_position.eq(collector.read_position),
            self.drained.eq(collector.drained),
            collector.take.eq(Mux(serial, raw.ready, steps.ready)),
            raw.valid.eq(collector.valid & serial),
            raw.last.eq(collector.last),
            steps.valid.eq(collector.valid),
            steps.last.eq(collector.last),
            raw.poison.eq(Array(self.poison)[collector.core]),
            *(raw.sum[tree].eq(Array(core[tree] for core in self.sum)[collector.core])
              for tree in range(TREES)),
            steps.total_valid.eq(raw.total_valid),
            steps.total_last.eq(raw.total_last),
            raw.total_ready.eq(steps.total_ready),
        ]

    def _lanes(self, m, raw, steps, serial):
        mode = self.registers.mode
        lanes = [Lane(config=self.config) for _ in range(TREES)]
        gated(m, "lanes", steps.en.any(), {f"lane_{i}": lane for i, lane in enumerate(lanes)})
        for tree, lane in enumerate(lanes):
            m.d.comb += [
                lane.en.eq(steps.en[tree]),
                lane.sum.eq(Mux(serial, raw.total, raw.sum[tree])),
                lane.poison.eq(Mux(serial, raw.total_poison, raw.poison[tree])),
                lane.scale.eq(mode.scale),
                lane.relu.eq(mode.relu),
                lane.format.eq(mode.output[0]),
                lane.stochastic.eq(mode.stochastic),
                lane.key.eq(self.registers.key.key),
            ]
        return lanes

    def _bias(self, m, steps, lanes):
        """Gives the trap and the port of the reader."""
        mode = self.registers.mode
        loops = ("word", *TENSOR_STREAMS["bias"])
        walker = tensor_walker(m, "bias_walker", self.registers, "bias", loops,
                               start=self.start & mode.bias, stop=self.clear,
                               counts={"word": BIAS_WORDS}, strides={"word": 1})
        m.submodules.bias_reader = reader = WordReader(config=self.config, loops=len(loops))
        m.submodules.bias = bias = Bias()
        connect(m, walker.items, reader.items)
        m.d.comb += [
            reader.clear.eq(self.clear),
            bias.clear.eq(self.clear),
            bias.words.valid.eq(reader.words.valid),
            bias.words.payload.eq(reader.words.payload.data),
            reader.words.ready.eq(bias.words.ready),
            steps.bias_ready.eq(bias.valid | ~mode.bias),
            bias.release.eq(steps.bias_release & mode.bias),
            *(lane.bias.eq(value) for lane, value in zip(lanes, bias.bias, strict=True)),
        ]
        return reader.trap, reader.port

    def _aux(self, m, raw, output, add):
        """Gives the trap and the port of the reader."""
        mode = self.registers.mode
        loops = TENSOR_STREAMS["aux"]
        walker = tensor_walker(m, "aux_walker", self.registers, "aux", loops, place="output",
                               start=self.start & mode.aux.any(), stop=self.clear)
        m.submodules.expand = expand = Expand(config=self.config, loops=len(loops))
        m.submodules.aux_reader = reader = WordReader(config=self.config, loops=len(loops))
        connect(m, walker.items, expand.items)
        connect(m, expand.words, reader.items)
        m.d.comb += [
            expand.clear.eq(self.clear),
            expand.raw.eq(add),
            reader.clear.eq(self.clear),
            raw.aux.valid.eq(reader.words.valid),
            raw.aux.payload.eq(reader.words.payload.data),
            output.mask.valid.eq(reader.words.valid),
            output.mask.payload.zeros.eq(reader.words.payload.zeros),
            output.masked.eq(mode.aux == AuxMode.MASK),
            reader.words.ready.eq(raw.aux.ready | output.mask.ready),
        ]
        return reader.trap, reader.port

    def _share(self, m, bias, aux):
        """One port for both; bias first, since a whole block waits for it. Answers need no
        selection: a reader knows that its own is due."""
        port = self.aux
        m.d.comb += [
            port.request.valid.eq(bias.request.valid | aux.request.valid),
            port.request.payload.eq(Mux(bias.request.valid, bias.request.payload,
                                        aux.request.payload)),
            bias.request.ready.eq(port.request.ready),
            aux.request.ready.eq(port.request.ready & ~bias.request.valid),
        ]
        for reader in (bias, aux):
            m.d.comb += [reader.valid.eq(port.valid), reader.data.eq(port.data),
                         reader.zeros.eq(port.zeros)]

    def _indexes(self, m, steps, lanes):
        mode = self.registers.mode
        loops = TENSOR_STREAMS["output"]
        walker = tensor_walker(m, "index_walker", self.registers, "output", loops,
                               start=self.start & mode.stochastic, stop=self.clear, base=0)
        m.submodules.indexes = indexes = Indexes(loops=len(loops))
        connect(m, walker.items, indexes.items)
        m.d.comb += [
            indexes.clear.eq(self.clear),
            indexes.turn.eq(mode.turn_output),
            indexes.take.eq(steps.index_take & mode.stochastic),
            steps.index_ready.eq(indexes.valid | ~mode.stochastic),
            *(lane.index.eq(index) for lane, index in zip(lanes, indexes.index, strict=True)),
        ]

    def _write(self, m, raw, steps, lanes, turn, output):
        mode = self.registers.mode
        walker = tensor_walker(m, "output_walker", self.registers, "output",
                               TENSOR_STREAMS["output"], start=self.start, stop=self.clear,
                               place="output")
        connect(m, walker.items, output.items)
        connect(m, raw.words, output.raw)
        connect(m, turn.turned, output.codes)
        connect(m, output.port, flipped(self.output))
        m.d.comb += [
            output.format.eq(mode.output),
            turn.enable.eq(mode.turn_output),
            turn.words.valid.eq(steps.out_valid & ~steps.wide),
            turn.words.payload.last.eq(steps.out_last),
            output.value_valid.eq(steps.out_valid & steps.wide),
            steps.out_take.eq(Mux(steps.wide, output.value_take,
                                  turn.words.valid & turn.words.ready)),
            self.done.eq(output.done),
            self.saturations.eq(output.saturations),
            self.nan.eq(output.nan),
        ]
        for tree, lane in enumerate(lanes):
            m.d.comb += [
                turn.words.payload.elements[tree].eq(lane.code | lane.saturated << 8),
                output.value[tree].eq(lane.value),
            ]
