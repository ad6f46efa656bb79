"""When the operations of a straight-line program start and end.

Control executes an instruction a cycle and waits as docs/architecture.md, "Order", says; units work
at the same time, each operation for the cycles that `sim.cycles` gives it alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from isa import fields, instructions
from isa.config import Config
from isa.instructions import SCALARS, TOKENS, Guard
from isa.registers import BY_INDEX, Unit
from sim import cycles
from sim.cycles import Memory
from sim.registers import defaults

FIRST = 3  # cycles before the first instruction can come, beside the latency of memory
WORD32 = 1 << 32


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
class _Front:
    """A unit: its registers, and when it can be given more."""

    registers: dict
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
    def __init__(self, config: Config, memory: Memory):
        self.config, self.memory = config, memory
        self.units = {unit: _Front(defaults(unit)) for unit in Unit}
        self.scalars = [0] * SCALARS
        self.tokens = [[] for _ in range(TOKENS)]  # cycles from which each can be taken
        self.now = FIRST + memory.latency  # of the instruction at work
        self.result = Schedule()
        self.known: dict = {}  # cycles of operations, by their registers

    def run(self, program: Iterable[int]) -> Schedule:
        for pc, word in enumerate(program):
            row = instructions.BY_OPCODE[instructions.OPCODE.decode(word)]
            values = fields.decode(row.fields, word)
            self.now += 1
            getattr(self, f"_do_{row.mnemonic}")(pc, **values)
        self.result.total = self.now
        return self.result

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
        unit = self.units[row.unit]
        self.now = max(self.now, unit.open)
        unit.registers[row.name] = fields.decode(row.fields, value)

    def _do_setr(self, pc, register, rs, imm):
        row = BY_INDEX[register]
        value = (self.scalars[rs] + imm) % WORD32 & fields.used_bits(row.fields)
        self._do_set(pc, register, value)

    def _do_clear(self, pc, unit):
        front = self.units[Unit(unit)]
        self.now = max(self.now, front.open)
        front.registers = defaults(Unit(unit))

    def _do_run(self, pc, unit, wait, post, tag, guard, rs, count, least):
        front = self.units[Unit(unit)]
        self.now = max(self.now, front.open)
        granted = max(self.now + 1, front.idle, self._take(wait))
        start = granted + 1
        value = self.scalars[rs]
        if {Guard.NONE: False, Guard.GE: value < least, Guard.LT: value >= least}[guard]:
            taken = cycles.left_out(Unit(unit), front.registers, count)
        else:
            taken = self._cycles(Unit(unit), front.registers)
        end = start + taken - 1
        front.open, front.idle = granted + 1, end + 1
        self._give(post, end + 1)
        self.result.spans.append(Span(pc, Unit(unit), tag, start, end))

    def _do_sync(self, pc, wait, post):
        self.now = max(self.now, self._take(wait))
        self._give(post, self.now + 1)

    def _do_fence(self, pc):
        self.now = max(self.now, *(front.idle for front in self.units.values()))

    def _do_halt(self, pc, code):
        self._do_fence(pc)

    def _take(self, mask: int) -> int:
        """The cycle from which all tokens of `mask` are there; they are taken."""
        return max((self.tokens[i].pop(0) for i in range(TOKENS) if mask >> i & 1), default=0)

    def _give(self, mask: int, cycle: int) -> None:
        for i in range(TOKENS):
            if mask >> i & 1:
                self.tokens[i].append(cycle)

    def _cycles(self, unit: Unit, registers: dict) -> int:
        key = repr(sorted((name, sorted(values.items())) for name, values in registers.items()))
        if (unit, key) not in self.known:
            self.known[unit, key] = cycles.of(self.config, unit, registers, self.memory)
        return self.known[unit, key]
