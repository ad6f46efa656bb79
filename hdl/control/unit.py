"""The control unit: runs the program, orders the units, keeps what the host sees."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.axi import AxiLite, ReadChannel
from hdl.control.counters import PULSES, Counters
from hdl.control.fetch import Fetch
from hdl.control.issue import Issue
from hdl.control.lite import LitePort
from hdl.control.registers import ControlRegisters
from hdl.control.tag_counters import TagCounters
from hdl.control.tokens import Tokens
from hdl.interfaces import UnitCommand
from hdl.tensor.events import SKIPPED, TensorEvents
from isa.config import Config
from isa.instructions import INSTRUCTION_BYTES
from isa.memmap import BINS, Trap
from isa.registers import COUNT_BITS, TALLY_BITS, Unit

_BYTE_BITS = INSTRUCTION_BYTES.bit_length() - 1


class ControlUnit(wiring.Component):
    """Control, as isa/memmap.py, isa/instructions.py and docs/architecture.md define it.

    Parameters
    ----------
    config : Config

    Members
    -------
    bus : AxiLite; the control registers
    external : ReadChannel; instructions
    tensor, vector, move : UnitCommand
    pulses : `PULSES`; the fields that control and the tensor unit know themselves are not looked at
    events : TensorEvents
    listed, live : pulse, of the move unit; how many elements of a list are live
    bin, bin_count : a bin of the vector unit's histogram, and its count in the same cycle
    interrupt : the program is done and the interrupt enabled

    Timing
    ------
    A program ends when all units are idle and no burst is under way, after a trap as well.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "bus": In(AxiLite()),
            "external": Out(ReadChannel(words=config.axi_words)),
            **{unit.name.lower(): Out(UnitCommand()) for unit in Unit},
            "pulses": In(PULSES),
            "events": In(TensorEvents()),
            "listed": In(1),
            "live": In(COUNT_BITS),
            "bin": Out(range(BINS)),
            "bin_count": In(TALLY_BITS),
            "interrupt": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.lite = lite = LitePort()
        m.submodules.registers = registers = ControlRegisters()
        m.submodules.fetch = fetch = Fetch(words=self.config.axi_words)
        m.submodules.issue = issue = Issue()
        m.submodules.tokens = tokens = Tokens(clients=len(Unit) + 1)
        connect(m, flipped(self.bus), lite.bus)
        connect(m, fetch.external, flipped(self.external))
        connect(m, fetch.words, issue.words)
        units = [getattr(self, unit.name.lower()) for unit in Unit]
        begin = Signal()  # the first cycle of a program: everything is cleared
        busy = Signal()  # from there until the end
        running = Signal()  # until the halt or the first trap

        m.d.sync += begin.eq(registers.start)
        m.d.comb += [
            busy.eq(registers.busy & ~begin),
            # fetch
            fetch.jump.eq(begin | issue.jump),
            fetch.flush.eq(begin),
            fetch.program.eq(registers.program),
            fetch.target.eq(Mux(begin, 0, issue.target)),
            issue.error.eq(fetch.error),
            issue.running.eq(running),
            issue.clear.eq(begin),
            # the bus and csr read the same registers
            registers.write.eq(lite.write),
            registers.write_address.eq(lite.write_address),
            registers.write_data.eq(lite.write_data),
            registers.write_mask.eq(lite.write_mask),
            registers.read_address.eq(Mux(issue.csr, issue.csr_address, lite.read_address)),
            lite.read_taken.eq(~issue.csr),
            lite.read_data.eq(registers.read_data),
            issue.csr_data.eq(registers.read_data),
            registers.pc.eq(issue.pc),
            registers.nan.eq(self.events.nan),
            registers.nan_pc.eq(self.events.pc),
            registers.listed.eq(self.listed),
            registers.live.eq(self.live),
            self.bin.eq(registers.bin),
            registers.bin_count.eq(self.bin_count),
            self.interrupt.eq(registers.interrupt),
        ]
        self._dispatch(m, units, issue, begin, running)
        trap = self._traps(m, units, issue, fetch, tokens, registers, begin, running)
        self._end(m, units, issue, fetch, registers, begin, busy, running, trap)
        self._count(m, issue, registers, begin, busy)
        return m

    def _dispatch(self, m, units, issue, begin, running):
        """Register writes and runs go to their unit; a program begins with all at the defaults."""
        for number, unit in enumerate(units):
            chosen = issue.unit == number
            m.d.comb += [
                unit.set.valid.eq((issue.set.valid & chosen) | begin),
                unit.set.payload.eq(issue.set.payload),
                unit.run.valid.eq(issue.run.valid & chosen),
                unit.run.payload.eq(issue.run.payload),
            ]
            # one cycle late, so that it never meets the start of what was granted just before
            m.d.sync += unit.stop.eq(~running)
            with m.If(begin):
                m.d.comb += unit.set.payload.clear.eq(1)
            with m.If(chosen):
                m.d.comb += [issue.set.ready.eq(unit.set.ready), issue.run.ready.eq(unit.run.ready)]
        m.d.comb += issue.units_idle.eq(~Cat(u.busy | u.pending for u in units).any())

    def _traps(self, m, units, issue, fetch, tokens, registers, begin, running):
        """Joins the clients of the tokens; returns the trap of the cycle: pulse, cause, pc."""
        trap = Signal()
        cause = Signal.like(issue.cause)
        pc = Signal.like(issue.pc)
        clients = (*units, issue)
        for i, client in enumerate(clients):
            m.d.comb += [
                tokens.wants[i].eq(client.wants),
                tokens.want[i].eq(client.want),
                tokens.give[i].eq(client.give),
                client.grant.eq(tokens.grant[i]),
            ]
        m.d.comb += [
            tokens.clear.eq(begin),
            tokens.hold.eq(~running),
            issue.units_busy.eq(Cat(u.busy for u in units).any() | Cat(tokens.grant).any()),
        ]
        # the one that is named last wins: units before control, traps before tokens
        m.d.comb += [trap.eq(issue.trap), cause.eq(issue.cause), pc.eq(issue.pc)]
        for i, client in reversed(tuple(enumerate(clients))):
            overflowed = Signal(name=f"overflowed_{i}")  # a cycle ago; it would come too late
            pc_then = Signal.like(client.pc, name=f"pc_then_{i}", reset_less=True)
            m.d.sync += [overflowed.eq(tokens.overflow[i]), pc_then.eq(client.pc)]
            with m.If(overflowed):
                m.d.comb += [trap.eq(1), cause.eq(Trap.TOKEN), pc.eq(pc_then)]
        for unit in reversed(units):
            with m.If(unit.trap):
                m.d.comb += [trap.eq(1), cause.eq(unit.cause), pc.eq(unit.pc)]
        # a program that is not aligned: nothing was fetched yet
        first = Signal()
        misaligned = registers.program[:_BYTE_BITS].any()
        m.d.sync += first.eq(begin)
        m.d.comb += fetch.stop.eq(~running | misaligned)
        with m.If(first & misaligned):
            m.d.comb += [trap.eq(1), cause.eq(Trap.ADDRESS), pc.eq(0)]
        return trap, cause, pc

    def _end(self, m, units, issue, fetch, registers, begin, busy, running, trap):
        """Halt and traps: stop, wait until all is quiet, tell the host."""
        pulse, cause, pc = trap
        ending = Signal.like(registers.ending)
        with m.If(begin):
            m.d.sync += running.eq(1)
        with m.If(running):
            with m.If(pulse):
                m.d.sync += [running.eq(0), ending.trapped.eq(1), ending.cause.eq(cause),
                             ending.pc.eq(pc), ending.code.eq(0)]
            with m.Elif(issue.halted):
                m.d.sync += [running.eq(0), ending.trapped.eq(0), ending.cause.eq(Trap.NONE),
                             ending.pc.eq(0), ending.code.eq(issue.code)]
        m.d.comb += [
            registers.done.eq(busy & ~running & issue.units_idle & fetch.idle),
            registers.ending.eq(ending),
        ]

    def _count(self, m, issue, registers, begin, busy):
        m.submodules.counters = counters = Counters()
        m.submodules.tag_counters = tag_counters = TagCounters()
        events = self.events
        m.d.comb += [
            counters.clear.eq(begin),
            counters.enable.eq(busy),
            counters.pulses.eq(self.pulses),
            counters.pulses.cycles.eq(1),
            counters.pulses.instructions.eq(issue.executed),
            counters.pulses.control_wait.eq(issue.waiting),
            *(counters.pulses[name].eq(getattr(events, name))
              for name in ("macs", *SKIPPED, "saturations")),
            counters.pulses.saturations_e5m2.eq(
                self.pulses.saturations_e5m2 + events.saturations_e5m2),
            counters.pulses.tensor_busy.eq(events.busy),
            counters.pulses.tensor_wait_stream.eq(events.wait_stream),
            counters.pulses.tensor_wait_stationary.eq(events.wait_stationary),
            counters.pulses.tensor_wait_drain.eq(events.wait_drain),
            counters.index.eq(registers.counter),
            registers.counter_value.eq(counters.value),
            tag_counters.clear.eq(begin),
            tag_counters.enable.eq(busy),
            tag_counters.tag.eq(registers.tag),
            *(registers.tag_counter[i].eq(value)
              for i, value in enumerate(tag_counters.counters)),
        ]
        connect(m, flipped(self.events), tag_counters.events)
