"""When the operations of a straight-line program start and end.

Control executes an instruction a cycle and waits as docs/architecture.md, "Order", says. Units work
at the same time: an operation has the cycles that `sim.cycles` gives it alone, stretched while
others want its banks (`sim.contention`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import ceil

from isa import fields, instructions
from isa.config import Config
from isa.instructions import SCALARS, TOKENS, Guard
from isa.registers import BY_INDEX, Unit
from sim import cycles
from sim.contention import Contention, Part
from sim.cycles import Memory
from sim.registers import defaults

FIRST = 3  # cycles before the first instruction can come, beside the latency of memory
WORD32 = 1 << 32
LOOK = 2048  # cycles that rates hold for, where no operation begins or ends
NOTHING = 1e-6  # of a cycle


@dataclass(frozen=True)
class Span:
    """An operation: the program counter of its `run`, and its first and last cycle at work. One
    that is left out takes some cycles as well."""

    pc: int
    unit: Unit
    tag: int
    start: int
    end: int

    @property
    def cycles(self) -> int:
        return self.end - self.start + 1


@dataclass
class _Work:
    """An operation that was given to a unit.

    Members
    -------
    asked : first cycle in which it can be granted
    start : its first cycle at work, once that is known
    left : of its cycles alone, at the present
    """

    pc: int
    tag: int
    wait: int
    post: int
    asked: int
    key: str  # of the registers
    registers: dict  # none of an operation that is left out
    cycles: int
    start: int = 0
    left: float = 0.0


@dataclass
class _Front:
    """A unit: its registers, the operation it has ahead, the one at work, and when it can be given
    more."""

    registers: dict
    pending: _Work | None = None
    active: _Work | None = None
    open: int = 0  # first cycle without a pending operation
    idle: int = 0  # first cycle without one at work


@dataclass
class Schedule:
    """The operations in program order, and the cycle of the halt; the program starts in cycle 0."""

    spans: list[Span] = field(default_factory=list)
    total: int = 0

    def busy(self, unit: Unit) -> int:
        return sum(span.cycles for span in self.spans if span.unit is unit)


def schedule(config: Config, program: Iterable[int], memory: Memory | None = None) -> Schedule:
    """Predict a program without jumps that ends in a halt.

    Parameters
    ----------
    program : instruction words
    memory : external memory
    """
    return _Scheduler(config, memory or Memory()).run(program)


class _Scheduler:
    """Control goes through the program; units follow as far as it waits for them."""

    def __init__(self, config: Config, memory: Memory):
        self.config, self.memory = config, memory
        self.units = {unit: _Front(defaults(unit)) for unit in Unit}
        self.contention = Contention(config)
        self.scalars = [0] * SCALARS
        self.tokens = [[] for _ in range(TOKENS)]  # cycles from which each can be taken
        self.now = FIRST + memory.latency  # of the instruction at work
        self.present = 0.0  # cycle up to which units have worked
        self.rates: dict[Unit, float] | None = None  # at work now; None where that has changed
        self.looked = 0.0  # cycle in which rates were found
        self.result = Schedule()
        self.known: dict = {}  # cycles of operations, by their registers

    def run(self, program: Iterable[int]) -> Schedule:
        for pc, word in enumerate(program):
            row = instructions.BY_OPCODE[instructions.OPCODE.decode(word)]
            values = fields.decode(row.fields, word)
            self.now += 1
            self._fetched()
            getattr(self, f"_do_{row.mnemonic}")(pc, **values)
        self.result.total = self.now
        self.result.spans.sort(key=lambda span: span.pc)
        return self.result

    def _fetched(self) -> None:
        """An instruction comes over the bus, where it takes its part of a beat from a fill."""
        work = self.units[Unit.MOVE].active
        if (work and work.registers and not work.registers["move.mode"]["store"]
                and work.start <= self.now <= self.present + work.left):
            work.left += 1 / self.config.axi_words

    def _do_nop(self, pc):
        pass

    def _do_li(self, pc, rd, imm):
        self.scalars[rd] = imm % WORD32

    def _do_add(self, pc, rd, rs, rt):
        self.scalars[rd] = (self.scalars[rs] + self.scalars[rt]) % WORD32

    def _do_addi(self, pc, rd, rs, imm):
        self.scalars[rd] = (self.scalars[rs] + imm) % WORD32

    def _do_set(self, pc, register, value):
        row = BY_INDEX[register]
        unit = self._open(row.unit)
        unit.registers[row.name] = fields.decode(row.fields, value)

    def _do_setr(self, pc, register, rs, imm):
        row = BY_INDEX[register]
        value = (self.scalars[rs] + imm) % WORD32 & fields.used_bits(row.fields)
        self._do_set(pc, register, value)

    def _do_clear(self, pc, unit):
        self._open(Unit(unit)).registers = defaults(Unit(unit))

    def _do_run(self, pc, unit, wait, post, tag, guard, rs, count, least):
        front, value = self._open(Unit(unit)), self.scalars[rs]
        if {Guard.NONE: False, Guard.GE: value < least, Guard.LT: value >= least}[guard]:
            taken = cycles.left_out(Unit(unit), front.registers, count)
            front.pending = _Work(pc, tag, wait, post, self.now + 1, "", {}, taken)
            return
        registers = dict(front.registers)
        key = repr(sorted((name, sorted(values.items())) for name, values in registers.items()))
        if (unit, key) not in self.known:
            self.known[unit, key] = cycles.of(self.config, Unit(unit), registers, self.memory)
        front.pending = _Work(pc, tag, wait, post, self.now + 1, key, registers,
                              self.known[unit, key])

    def _do_sync(self, pc, wait, post):
        self._until(lambda: self._there(wait))
        self.now = max(self.now, self._take(wait))
        self._give(post, self.now + 1)

    def _do_fence(self, pc):
        units = self.units.values()
        self._until(lambda: not any(front.pending or front.active for front in units))
        self.now = max(self.now, *(front.idle for front in units))

    def _do_halt(self, pc, code):
        self._do_fence(pc)

    # Tokens.

    def _there(self, mask: int) -> bool:
        return all(self.tokens[i] for i in range(TOKENS) if mask >> i & 1)

    def _take(self, mask: int) -> int:
        """The cycle from which all tokens of `mask` are there; they are taken."""
        return max((self.tokens[i].pop(0) for i in range(TOKENS) if mask >> i & 1), default=0)

    def _give(self, mask: int, cycle: int) -> None:
        for i in range(TOKENS):
            if mask >> i & 1:
                self.tokens[i].append(cycle)

    # Units.

    def _open(self, unit: Unit) -> _Front:
        """A unit, once it can be given more."""
        front = self.units[unit]
        self._until(lambda: front.pending is None)
        self.now = max(self.now, front.open)
        return front

    def _until(self, condition) -> None:
        """Units work until `condition` holds."""
        while not condition():
            self._grant()
            if not condition():
                self._work()

    def _grant(self) -> None:
        """Operations begin that have their unit and their tokens."""
        for front in self.units.values():
            work = front.pending
            if work and not front.active and self._there(work.wait):
                granted = max(work.asked, front.idle, self._take(work.wait))
                work.start, work.left = granted + 1, work.cycles
                front.active, front.pending, front.open = work, None, granted + 1

    def _work(self) -> None:
        """To the next cycle in which an operation begins or ends, or rates are looked at again."""
        active = {unit: front.active for unit, front in self.units.items() if front.active}
        starts = [work.start for work in active.values() if work.start > self.present]
        at_work = {u: work for u, work in active.items() if work.start <= self.present}
        if self.rates is None or self.present >= self.looked + LOOK or set(at_work) != set(
                self.rates):
            self.looked = self.present
            self.rates = dict.fromkeys(at_work, 1.0) | self.contention.rates([
                Part(unit, work.key, work.registers, work.cycles, 1 - work.left / work.cycles)
                for unit, work in at_work.items() if work.registers])
        rates = self.rates
        ends = [self.present + work.left / rates[unit] for unit, work in at_work.items()
                if rates[unit]]
        until = min([*starts, *ends, *([self.looked + LOOK] if len(at_work) > 1 else [])])
        for unit, work in at_work.items():
            work.left -= (until - self.present) * rates[unit]
            if work.left < NOTHING:
                self._end(unit, work, ceil(until - NOTHING))
        self.present = until

    def _end(self, unit: Unit, work: _Work, idle: int) -> None:
        """An operation that was at work until before cycle `idle`."""
        front = self.units[unit]
        front.active, front.idle, self.rates = None, idle, None
        self._give(work.post, idle)
        self.result.spans.append(Span(work.pc, unit, work.tag, work.start, idle - 1))
