"""The tensor unit: front end, checks, feed, cores, drain."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.clock import gated
from hdl.control.front_end import FrontEnd
from hdl.interfaces import ReadPort, UnitCommand, WritePort
from hdl.tensor.checks import Checks
from hdl.tensor.core.core import Core
from hdl.tensor.core.planes import count
from hdl.tensor.core.skipping_core import SkippingCore
from hdl.tensor.drain.drain import Drain
from hdl.tensor.events import WORDS_BITS, TensorEvents
from hdl.tensor.feed.feed import Feed
from hdl.tensor.feed.sequencer import SETTLED
from hdl.tensor.left_out import LeftOut
from hdl.tensor.skips import skips
from isa.config import LANES, TREES, Config
from isa.formats import FormatCode
from isa.memmap import Trap
from isa.registers import Skip, Unit

SLOT_BITS = 4  # of a number of words in a slot


class TensorUnit(wiring.Component):
    """Runs tensor operations (docs/architecture.md).

    Parameters
    ----------
    config : Config

    Members
    -------
    command : UnitCommand, from control
    stream, stationary : arrays of ReadPort of the scratchpad, one a core, of `slot` words
    aux : ReadPort, for what the drain reads
    output : WritePort
    events : TensorEvents, to the performance counters

    Timing
    ------
    The first word enters the cores as `Feed` says. Done comes with the last write, or, if later,
    with the end of the checks. After a trap or a stop it comes two cycles later; requests that were
    not taken by then are withdrawn.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "command": In(UnitCommand()),
            "stream": Out(ReadPort(config, config.slot)).array(config.cores),
            "stationary": Out(ReadPort(config, config.slot)).array(config.cores),
            "aux": Out(ReadPort(config)),
            "output": Out(WritePort(config)),
            "events": Out(TensorEvents()),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.front = front = FrontEnd(unit=Unit.TENSOR)
        m.submodules.checks = checks = Checks(config=self.config)
        m.submodules.feed = feed = Feed(config=self.config)
        m.submodules.drain = drain = Drain(config=self.config)
        m.submodules.left_out = left_out = LeftOut()
        connect(m, flipped(self.command), front.command)
        for core in range(self.config.cores):
            connect(m, feed.stream[core], flipped(self.stream[core]))
            connect(m, feed.stationary[core], flipped(self.stationary[core]))
        connect(m, drain.aux, flipped(self.aux))
        connect(m, drain.output, flipped(self.output))

        clear = Signal()
        self._control(m, front.operation, checks, feed, drain, left_out, clear)
        for part in (checks, feed, drain):
            m.d.comb += [part.start.eq(front.operation.start), part.clear.eq(clear),
                         part.registers.eq(front.operation.registers)]
        m.d.comb += [
            left_out.start.eq(front.operation.leave),
            left_out.registers.eq(front.operation.registers),
            drain.positions_last.eq(checks.positions_last),
            feed.known.eq(checks.known),
            feed.drained.eq(drain.drained),
            *(to.eq(of) for to, of in zip(drain.untouched, feed.untouched, strict=True)),
        ]
        self._cores(m, front.operation.registers, feed, drain, clear)
        self._events(m, front, checks, feed, drain, left_out)
        return m

    def _control(self, m, operation, checks, feed, drain, left_out, clear):
        written = Signal()  # the last word is, and the checks are not done
        bad_address = Signal()
        running = Signal()
        end = Signal()
        trapped = Signal()
        cause = Signal.like(operation.cause)
        ending = Signal()  # everything is cleared in this cycle

        m.d.comb += [
            end.eq(running & checks.done & (drain.done | written)),
            bad_address.eq(checks.done & (feed.trap | drain.trap)),
            operation.done.eq(end | ending | left_out.done),
            operation.trap.eq(ending & trapped),
            operation.cause.eq(cause),
            clear.eq(operation.start | ending),
        ]
        m.d.sync += [
            written.eq((written | drain.done) & ~clear),
            ending.eq(running & ~end & ~ending
                      & (operation.stop | checks.trap | bad_address)),
            trapped.eq(~operation.stop & (checks.trap | bad_address)),
        ]
        with m.If(checks.trap):
            m.d.sync += cause.eq(checks.cause)
        with m.Else():
            m.d.sync += cause.eq(Trap.ADDRESS)
        with m.If(operation.start):
            m.d.sync += running.eq(1)
        with m.Elif(operation.done):
            m.d.sync += running.eq(0)

    def _cores(self, m, registers, feed, drain, clear):
        kind = Core if self.config.slot == 1 else SkippingCore
        for i in range(self.config.cores):
            core = kind(config=self.config)
            if i == 0:
                m.submodules.core_0 = core
            else:  # stands still in an operation that has no work for it
                gated(m, f"core_{i}", feed.works[i], {f"core_{i}": core})
            m.d.comb += [
                *(getattr(core, name).eq(feed.fed[i][name]) for name in ("bank", "first")),
                core.s_format.eq(registers.mode.stationary),
                core.m_format.eq(registers.mode.stream),
                core.read_bank.eq(drain.read_bank),
                core.read_position.eq(drain.read_position),
                drain.poison[i].eq(core.poison),
                drain.open[i].eq(feed.open[i]),
                feed.poison[i].eq(core.poisons),
                *(feed.sums[i][tree].eq(core.results[tree]) for tree in range(TREES)),
                *(drain.sum[i][tree].eq(core.sums[tree]) for tree in range(TREES)),
            ]
            if self.config.slot == 1:
                m.d.comb += [
                    core.valid.eq(feed.fed[i].valid),
                    core.position.eq(feed.fed[i].position),
                    core.word.eq(feed.word[i]),
                    *(core.tile[tree][lane].eq(feed.tile[i][tree][lane])
                      for tree in range(TREES) for lane in range(LANES)),
                ]
                continue
            m.d.comb += [
                core.valid.eq(feed.tree_valid[i]),
                *(to.eq(of) for to, of in zip(core.position, feed.tree_position[i], strict=True)),
                *(to.eq(of) for to, of in zip(core.word, feed.tree_word[i], strict=True)),
                *(core.tile[place][tree].eq(feed.tiles[i][place][tree])
                  for place in range(self.config.slot) for tree in range(TREES)),
                *(to.eq(of) for to, of in zip(core.pick_word, feed.pick_word[i], strict=True)),
                *(to.eq(of) for to, of in zip(core.pick_offset, feed.pick_offset[i], strict=True)),
            ]
        # a sum can be read when its last word was added, `tree_stages` cycles after it came, and
        # its gate some cycles later
        complete, stages = [Cat(feed.complete, feed.complete_all)], self.config.tree_stages
        for stage in range(1, stages + SETTLED):
            following = Signal(len(complete[0]), name=f"complete_{stage}")
            m.d.sync += following.eq(Mux(clear, 0, complete[-1]))
            complete.append(following)
        m.d.comb += [
            feed.read_bank.eq(drain.read_bank),
            feed.read_position.eq(drain.read_position),
            Cat(drain.complete, drain.complete_all).eq(
                Mux(registers.mode.gate, complete[-1], complete[stages])),
        ]

    def _later(self, m, name, values):
        """Values a cycle later."""
        later = [Signal.like(value, name=f"{name}_{i}") for i, value in enumerate(values)]
        m.d.sync += [to.eq(of) for to, of in zip(later, values, strict=True)]
        return later

    def _events(self, m, front, checks, feed, drain, left_out):
        events, busy = self.events, front.command.busy & ~front.operation.left_out
        registers = front.operation.registers
        # of the passes that were decided on two cycles ago
        words, skipped = Signal(WORDS_BITS), Signal(WORDS_BITS)
        decided = Signal.like(feed.decided)
        left_out_words = self._later(m, "left_out", feed.left_out)
        positions = checks.positions_last + 1
        rounds = Const(1, 1)  # of a pass
        outputs_left_out = [closed * TREES for closed in self._later(m, "closed", feed.closed)]
        work = [fed.valid * TREES for fed in feed.fed]  # multiply-adds by core
        if self.config.slot > 1:
            elements = skips(registers, Skip.ELEMENTS)
            rounds = Mux(elements, registers.reduction.r0[:SLOT_BITS], 1)
            outputs = skips(registers, Skip.OUTPUTS)
            outputs_left_out += self._later(m, "dead", feed.dead)
            work = [Cat(count(m, f"work_{i}", list(Mux(outputs, feed.tree_valid[i],
                                                       Mux(fed.valid, feed.take[i], 0)))))
                    for i, fed in enumerate(feed.fed)]
            m.d.comb += events.skipped_elements.eq(
                sum(feed.skipped) * registers.positions.cores)
        m.d.sync += [decided.eq(feed.decided), events.skipped_outputs.eq(sum(outputs_left_out)),
                     words.eq(sum(decided) * positions * rounds),
                     skipped.eq(sum(left_out_words) * positions)]
        m.d.comb += [
            events.busy.eq(busy),
            events.tag.eq(front.operation.tag),
            events.pc.eq(front.command.pc),
            events.stream_words.eq(Mux(registers.mode.skip != Skip.NONE, words,
                                        sum(feed.taken))),
            events.macs.eq(sum(work)),
            events.skipped_images.eq(Mux(left_out.done, left_out.eighths, 0)),
            events.skipped_tiles.eq(skipped * registers.positions.cores * TREES),
            events.wait_stream.eq(feed.wait_stream & busy),
            events.wait_stationary.eq(feed.wait_stationary & busy),
            events.wait_drain.eq(feed.wait_drain & busy),
            events.saturations.eq(drain.saturations),
            events.saturations_e5m2.eq(Mux(
                front.operation.registers.mode.output == FormatCode.E5M2, drain.saturations, 0)),
            events.nan.eq(drain.nan),
        ]
