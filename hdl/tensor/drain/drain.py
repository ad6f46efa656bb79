"""The drain of the tensor unit: from complete sums to words of the scratchpad."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.clock import gated
from hdl.control.queue import Queue
from hdl.interfaces import ReadPort, WritePort, registers_layout
from hdl.streams.turn import Turn
from hdl.tensor.drain.bias import Bias
from hdl.tensor.drain.indexes import Indexes
from hdl.tensor.drain.intake import Intake
from hdl.tensor.drain.lane import Lane
from hdl.tensor.drain.output import CODE_LAYOUT, Output
from hdl.tensor.drain.raw import Raw
from hdl.tensor.drain.sections import Sections
from hdl.tensor.drain.sources import Sources
from hdl.tensor.drain.statistics import Statistics
from hdl.tensor.drain.steps import Steps
from hdl.tensor.feed.sequencer import BANKS, position_bits
from hdl.tensor.nest import drain_loops, section_loops, tensor_walker
from isa.config import TREES, Config
from isa.formats import FormatCode
from isa.registers import AuxMode, StatsMode, Unit

GATES_AHEAD = 1 << (Lane.STAGES + 2).bit_length()  # positions between intake and output


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
    positions_last, complete, complete_all, untouched, read_bank, read_position, drained : of
        `Intake`
    sum : [core][tree], in the cycle after its position
    poison : [core], a bit a tree
    open : bit by core, likewise: the gate of the position
    aux : ReadPort of all that the drain reads
    output : WritePort
    trap : an address is out of range
    done : pulse; everything is written with the end of this cycle
    saturations, nan : of `Output`

    Timing
    ------
    FP8: a position a cycle, with a gate one in 2 cycles, written 1 + `Lane.STAGES` cycles after it
    is read. Binary32: one in 4 cycles; raw stores and additions: one in `config.raw_words` cycles.
    Groups that are merged take a cycle each, so a position takes no less; they and elements come
    one cycle later. Aux, mask and norm words take a cycle each. With bias a block and core takes 4
    cycles more.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "registers": In(registers_layout(Unit.TENSOR)),
            "positions_last": In(position_bits(config)),
            "complete": In(config.cores),
            "complete_all": In(config.cores),
            "untouched": In(BANKS).array(config.cores),
            "read_bank": Out(1),
            "read_position": Out(position_bits(config)),
            "drained": Out(config.cores),
            "sum": In(signed(config.accumulator_bits)).array(config.cores, TREES),
            "poison": In(TREES).array(config.cores),
            "open": In(config.cores),
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
        loops = len(drain_loops(config))
        m.submodules.intake = intake = Intake(config=config)
        m.submodules.sources = sources = Sources(config=config)
        m.submodules.raw = raw = Raw(config=config)
        m.submodules.steps = steps = Steps()
        m.submodules.turn = turn = Turn(element_bits=CODE_LAYOUT.size, last_bits=1)
        m.submodules.output_port = output = Output(config=config, loops=loops)
        for part in (intake, sources, raw, steps, turn, output):
            m.d.comb += part.clear.eq(self.clear)
        connect(m, sources.port, flipped(self.aux))
        serial = Signal()  # tree by tree, through `raw`
        m.d.comb += [
            sources.start.eq(self.start),
            sources.registers.eq(self.registers),
            serial.eq((mode.aux == AuxMode.RAW) | (mode.output == FormatCode.RAW)),
            steps.serial.eq(serial),
            steps.wide.eq(mode.output == FormatCode.BINARY32),
            self.trap.eq(sources.trap | output.trap),
        ]
        lanes = self._lanes(m, intake, raw, steps, serial)
        statistics, sections = self._statistics(m, sources, output)
        self._collect(m, intake, raw, steps, serial)
        self._add(m, intake, raw, sources, statistics, sections)
        self._bias(m, steps, lanes, sources)
        self._indexes(m, steps, lanes)
        self._write(m, raw, steps, lanes, turn, output, sections)
        self._gates(m, intake, output)
        return m

    def _lanes(self, m, intake, raw, steps, serial):
        mode = self.registers.mode
        lanes = [Lane(config=self.config) for _ in range(TREES)]
        gated(m, "lanes", steps.en.any(), {f"lane_{i}": lane for i, lane in enumerate(lanes)})
        for tree, lane in enumerate(lanes):
            m.d.comb += [
                lane.en.eq(steps.en[tree]),
                lane.sum.eq(Mux(serial, raw.total, intake.sum[tree])),
                lane.poison.eq(Mux(serial, raw.total_poison, intake.poison[tree])),
                lane.scale.eq(mode.scale),
                lane.relu.eq(mode.relu),
                lane.format.eq(mode.output[0]),
                lane.stochastic.eq(mode.stochastic),
                lane.key.eq(self.registers.key.key),
            ]
        return lanes

    def _statistics(self, m, sources, output):
        """Adds what sums the outputs; it stands still in operations without."""
        mode, loops = self.registers.mode, section_loops(self.config)
        used = mode.stats != StatsMode.NONE
        statistics = Statistics(config=self.config)
        sections = Sections(config=self.config, loops=len(loops))
        gated(m, "statistics", used, {"statistics": statistics, "sections": sections})
        strides = {"group": 0}  # all groups share the address
        walker = tensor_walker(m, "statistics_walker", self.registers, "stats", loops,
                               start=self.start & used, stop=self.clear, strides=strides)
        connect(m, walker.items, sections.items)
        connect(m, sections.asked, sources.asked)
        connect(m, sections.writes, output.flushed)
        m.d.comb += [
            sections.clear.eq(self.clear),
            sections.section_done.eq(output.section_done),
            sections.busy.eq(statistics.busy),
            sections.done_in.eq(output.done),
            output.open.eq(sections.open | ~used),
            statistics.valid.eq(output.code_valid),
            statistics.word.eq(output.word),
            statistics.norm.eq(sources.companions.payload.norm),
            statistics.by_norm.eq(mode.stats == StatsMode.NORM),
            statistics.format.eq(mode.output[0]),
            statistics.core.eq(sections.core),
            statistics.restart.eq(sections.restart),
            statistics.moment.eq(sections.moment),
            self.done.eq(Mux(used, sections.done, output.done)),
        ]
        connect(m, sources.companions, output.companions)
        m.d.comb += [output.mask.eq(mode.mask), output.norm.eq(mode.stats == StatsMode.NORM)]
        return statistics, sections

    def _collect(self, m, intake, raw, steps, serial):
        m.d.comb += [
            intake.registers.eq(self.registers),
            intake.positions_last.eq(self.positions_last),
            intake.complete.eq(self.complete),
            intake.complete_all.eq(self.complete_all),
            *(to.eq(of) for to, of in zip(intake.untouched, self.untouched, strict=True)),
            self.read_bank.eq(intake.read_bank),
            self.read_position.eq(intake.read_position),
            self.drained.eq(intake.drained),
            intake.core_open.eq(self.open),
            *(to.eq(of) for to, of in zip(intake.core_poison, self.poison, strict=True)),
            *(intake.core_sum[core][tree].eq(self.sum[core][tree])
              for core in range(self.config.cores) for tree in range(TREES)),
            intake.ready.eq(Mux(serial, raw.ready, steps.ready)),
            steps.valid.eq(intake.valid),
            steps.last.eq(intake.last),
            steps.total_valid.eq(raw.total_valid),
            steps.total_last.eq(raw.total_last),
            raw.total_ready.eq(steps.total_ready),
        ]

    def _add(self, m, intake, raw, sources, statistics, sections):
        """What is added to sums, and to which: aux to those of a position, or what is stored to
        the statistics, since aux is not raw then."""
        mode = self.registers.mode
        stats, add = mode.stats != StatsMode.NONE, mode.aux == AuxMode.RAW
        store = mode.output == FormatCode.RAW
        m.d.comb += [
            intake.elements.valid.eq(sources.aux.valid),
            intake.elements.payload.eq(sources.aux.payload),
            sources.aux.ready.eq(Mux(add, raw.aux.ready, intake.elements.ready)),
            sources.stored.ready.eq(stats & raw.aux.ready),
            raw.aux.valid.eq(Mux(stats, sources.stored.valid, sources.aux.valid)),
            raw.aux.payload.eq(Mux(stats, sources.stored.payload, sources.aux.payload)),
            raw.add.eq(add | stats),
            raw.store.eq(store | stats),
            raw.valid.eq(Mux(stats, sections.sum_valid, intake.valid & (add | store))),
            raw.last.eq(intake.last),
            raw.sum.eq(Mux(stats, statistics.sum, Array(intake.sum)[raw.tree])),
            raw.poison.eq(Mux(stats, statistics.poison,
                              intake.poison.bit_select(raw.tree, 1))),
            statistics.tree.eq(raw.tree),
            sections.sum_ready.eq(raw.ready),
        ]

    def _bias(self, m, steps, lanes, sources):
        mode = self.registers.mode
        m.submodules.bias = bias = Bias()
        connect(m, sources.bias, bias.words)
        m.d.comb += [
            bias.clear.eq(self.clear),
            steps.bias_ready.eq(bias.valid | ~mode.bias),
            bias.release.eq(steps.bias_release & mode.bias),
            *(lane.bias.eq(value) for lane, value in zip(lanes, bias.bias, strict=True)),
        ]

    def _indexes(self, m, steps, lanes):
        """The numbers of elements, which stand still where nothing is rounded by them."""
        mode = self.registers.mode
        indexes = Indexes(config=self.config)
        gated(m, "indexes", mode.stochastic | self.clear, {"indexes": indexes})
        m.d.comb += [
            indexes.start.eq(self.start & mode.stochastic),
            indexes.clear.eq(self.clear),
            indexes.registers.eq(self.registers),
            indexes.take.eq(steps.index_take & mode.stochastic),
            steps.index_ready.eq(indexes.valid | ~mode.stochastic),
            *(lane.index.eq(index) for lane, index in zip(lanes, indexes.index, strict=True)),
        ]

    def _gates(self, m, intake, output):
        """The gates of the positions that are on their way."""
        gate = self.registers.mode.gate
        m.submodules.gates = gates = Queue(width=1, depth=GATES_AHEAD)
        connect(m, gates.outgoing, output.gates)
        m.d.comb += [
            gates.clear.eq(self.clear),
            gates.incoming.valid.eq(intake.valid & intake.ready & gate),
            gates.incoming.payload.eq(intake.open),
            output.gate.eq(gate),
            output.gate_away.eq(self.registers.gate_base.address
                                - self.registers.output_base.address),
        ]

    def _write(self, m, raw, steps, lanes, turn, output, sections):
        mode = self.registers.mode
        walker = tensor_walker(m, "output_walker", self.registers, "output",
                               drain_loops(self.config), start=self.start, stop=self.clear,
                               place="output")
        stats = mode.stats != StatsMode.NONE
        connect(m, walker.items, output.items)
        connect(m, turn.turned, output.codes)
        connect(m, output.port, flipped(self.output))
        m.d.comb += [
            output.raw.valid.eq(raw.words.valid & ~stats),
            output.raw.payload.eq(raw.words.payload),
            sections.words.valid.eq(raw.words.valid & stats),
            sections.words.payload.eq(raw.words.payload),
            raw.words.ready.eq(Mux(stats, sections.words.ready, output.raw.ready)),
            output.format.eq(mode.output),
            turn.enable.eq(mode.turn_output),
            turn.words.valid.eq(steps.out_valid & ~steps.wide),
            turn.words.payload.last.eq(steps.out_last),
            output.value_valid.eq(steps.out_valid & steps.wide),
            steps.out_take.eq(Mux(steps.wide, output.value_take, turn.words.ready)),
            self.saturations.eq(output.saturations),
            self.nan.eq(output.nan),
        ]
        for tree, lane in enumerate(lanes):
            m.d.comb += [
                turn.words.payload.elements[tree].eq(lane.code | lane.saturated << 8),
                output.value[tree].eq(lane.value),
            ]
