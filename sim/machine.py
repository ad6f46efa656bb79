"""The instruction-level machine: runs programs on a memory image, as the chip does."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from isa import fields, instructions, memmap
from isa.config import Config
from isa.instructions import (
    INSTRUCTION_BYTES,
    LOOP_DEPTH,
    SCALARS,
    TOKEN_MOST,
    TOKENS,
    Condition,
    Guard,
)
from isa.memmap import Control, Flag, Status, Trap
from isa.registers import BY_INDEX, REGISTERS, TALLY_BITS, Unit
from sim import move, tensor, vector
from sim.outcome import Outcome, TrapError, require
from sim.registers import Values, registers_of

WORD32 = 1 << 32
SKIPPED = ("skipped_images", "skipped_tiles", "skipped_outputs", "skipped_elements")
PLANS = 1 << 12  # operations that a machine remembers, more than a training step has
UNITS = {Unit.TENSOR: tensor.Operation, Unit.VECTOR: vector.Operation, Unit.MOVE: move.Operation}

KEYS = {unit: REGISTERS[f"{unit.name.lower()}.key"].index for unit in (Unit.TENSOR, Unit.VECTOR)}


@dataclass
class Operation:
    """A `run` that was given to a unit and has not started."""

    pc: int
    wait: int
    post: int
    tag: int
    values: Values
    key: int | None  # of random bits: apart from the values, since it differs from step to step
    leave: bool  # it only takes and gives its tokens
    count: bool  # with `leave`: what it would have done is counted


@dataclass
class Loop:
    start: int
    end: int
    left: int


@dataclass
class State:
    """Everything that a start resets; `registers` are those that are not at their defaults."""

    pc: int = 0
    done: bool = False
    halt_code: int = 0
    trap: Trap = Trap.NONE
    trap_pc: int = 0
    nan_pc: int | None = None
    live: int = 0
    histogram: list[int] = field(default_factory=lambda: [0] * memmap.BINS)
    scalars: list[int] = field(default_factory=lambda: [0] * SCALARS)
    loops: list[Loop] = field(default_factory=list)
    tokens: list[int] = field(default_factory=lambda: [0] * TOKENS)
    registers: dict[Unit, dict[int, int]] = field(default_factory=lambda: {u: {} for u in Unit})
    pending: dict[Unit, Operation] = field(default_factory=dict)
    counters: Counter = field(default_factory=Counter)
    tag_words: Counter = field(default_factory=Counter)


class Machine:
    """A chip of `config` with `external` memory (uint8 array, which programs change).

    Operations happen at once, each when its turn and its tokens allow: a program that orders its
    operations as docs/architecture.md asks ("Order") leaves the same memory as on the chip.
    Programs repeat their operations, so what follows from registers alone is kept: `_planned`.

    Attributes
    ----------
    words : the scratchpad
    observer : called with each operation before it is done: its tag, and a `tensor.Operation`,
        `vector.Operation` or `move.Operation`; nothing by default
    """

    def __init__(self, config: Config, external: np.ndarray):
        self.config = config
        self.external = external
        whole = external.size // INSTRUCTION_BYTES * INSTRUCTION_BYTES
        self.instructions = external[:whole].view("<u8")
        self.words = np.zeros(config.words, np.uint64)
        self.state = State(done=True)
        self.program = 0
        self.interrupt_enable = 0
        self.observer: Callable[[int, object], object] = lambda tag, operation: None
        self._planned = lru_cache(PLANS)(self._plan)
        self._actions = {row.mnemonic: getattr(self, f"_do_{row.mnemonic}")
                         for row in instructions.TABLE}

    def start(self, program: int) -> None:
        """Begin the program at byte address `program`."""
        self.program = program
        self.state = State()
        if program % INSTRUCTION_BYTES:
            self._trap(Trap.ADDRESS, 0)

    def run(self, instructions_at_most: int | None = None) -> bool:
        """Go on until the program ends or that many instructions were executed; True at its end."""
        left = instructions_at_most
        while not self.state.done and left != 0:
            self._step()
            left = None if left is None else left - 1
        return self.state.done

    def control(self, offset: int) -> int:
        """What the host reads, and `csr`: exact counters and the state; cycles read as zero."""
        state = self.state
        if Control.COUNTERS <= offset < Control.COUNTERS + 8 * len(memmap.COUNTERS):
            index, high = divmod((offset - Control.COUNTERS) // 4, 2)
            return (state.counters[memmap.COUNTERS[index].name] >> 32 * high) % WORD32
        if Control.HISTOGRAM <= offset < Control.HISTOGRAM + 4 * memmap.BINS:
            return state.histogram[(offset - Control.HISTOGRAM) // 4]
        tag, part = divmod(offset - Control.TAG_COUNTERS, memmap.TAG_BYTES)
        if tag >= 0 and part // 8 == memmap.TAG_COUNTERS.index("words"):
            return (state.tag_words[tag] >> 32 * (part % 8 // 4)) % WORD32
        plain = {
            Control.ID: memmap.ID_VALUE,
            Control.STATUS: (not state.done) << Status.BUSY | state.done << Status.DONE
            | (state.trap is not Trap.NONE) << Status.TRAPPED,
            Control.PROGRAM: self.program,
            Control.PC: state.pc,
            Control.HALT_CODE: state.halt_code,
            Control.TRAP_CAUSE: int(state.trap),
            Control.TRAP_PC: state.trap_pc,
            Control.INTERRUPT_ENABLE: self.interrupt_enable,
            Control.FLAGS: (state.nan_pc is not None) << Flag.NAN,
            Control.NAN_PC: state.nan_pc or 0,
            Control.LIVE: state.live,
        }
        return plain.get(offset, 0)

    def _step(self) -> None:
        state = self.state
        pc = state.pc
        try:
            mnemonic, values = self._fetch(pc)
            state.pc = pc + 1
            self._actions[mnemonic](**values)
            state.counters["instructions"] += 1
            while state.loops and state.pc == state.loops[-1].end:
                loop = state.loops[-1]
                loop.left -= 1
                if loop.left:
                    state.pc = loop.start
                    break
                state.loops.pop()
        except TrapError as trap:
            self._trap(trap.cause, pc)

    def _fetch(self, pc: int):
        index = self.program // INSTRUCTION_BYTES + pc
        require(index < self.instructions.size, Trap.BUS)
        return _decode(self.instructions.item(index))

    def _trap(self, cause: Trap, pc: int) -> None:
        state = self.state
        if not state.done:
            state.trap, state.trap_pc, state.done = cause, pc, True

    # Instructions, by their mnemonic.

    def _do_nop(self):
        pass

    def _do_halt(self, code):
        self._wait_for(lambda: not self.state.pending)
        self.state.halt_code = code
        self.state.pc -= 1
        self.state.done = True

    def _do_li(self, rd, imm):
        self.state.scalars[rd] = imm % WORD32

    def _do_add(self, rd, rs, rt):
        scalars = self.state.scalars
        scalars[rd] = (scalars[rs] + scalars[rt]) % WORD32

    def _do_addi(self, rd, rs, imm):
        self.state.scalars[rd] = (self.state.scalars[rs] + imm) % WORD32

    def _do_csr(self, rd, offset):
        here = self.state.pc - 1
        self.state.scalars[rd] = here if offset == Control.PC else self.control(offset)

    def _do_skip(self, condition, rs, rt, end):
        a, b = self.state.scalars[rs], self.state.scalars[rt]
        less = (a ^ WORD32 >> 1) < (b ^ WORD32 >> 1)  # as signed numbers
        holds = {Condition.EQ: a == b, Condition.NE: a != b,
                 Condition.LT: less, Condition.GE: not less}[Condition(condition)]
        if holds:
            self.state.pc += end

    def _do_loop(self, count, end):
        state = self.state
        if count == 0 or end == 0:
            state.pc += end
            return
        require(len(state.loops) < LOOP_DEPTH, Trap.LOOP)
        state.loops.append(Loop(state.pc, state.pc + end, count))

    def _do_loopr(self, rs, end):
        self._do_loop(self.state.scalars[rs], end)

    def _do_set(self, register, value):
        unit = BY_INDEX[register].unit
        self._wait_for_room(unit)
        self.state.registers[unit][register] = value

    def _do_setr(self, register, rs, imm):
        self._do_set(register, (self.state.scalars[rs] + imm) % WORD32)

    def _do_clear(self, unit):
        unit = Unit(unit)
        self._wait_for_room(unit)
        self.state.registers[unit] = {}

    def _do_run(self, unit, wait, post, tag, guard, rs, count, least):
        unit = Unit(unit)
        self._wait_for_room(unit)
        values = dict(self.state.registers[unit])
        key = values.pop(KEYS[unit], 0) if unit in KEYS else None
        value = self.state.scalars[rs]
        leave = {Guard.NONE: False, Guard.GE: value < least, Guard.LT: value >= least}[guard]
        self.state.pending[unit] = Operation(self.state.pc - 1, wait, post, tag,
                                             frozenset(values.items()), key, leave, bool(count))
        self._progress()

    def _do_sync(self, wait, post):
        self._wait_for(lambda: self._available(wait))
        self._take(wait)
        self._give(post)
        self._progress()

    def _do_fence(self):
        self._wait_for(lambda: not self.state.pending)

    # Units and tokens.

    def _wait_for(self, condition) -> None:
        """Operations go on until `condition` holds."""
        while not condition():
            require(self._progress(), Trap.DEADLOCK)

    def _wait_for_room(self, unit: Unit) -> None:
        """Operations go on until `unit` has none pending."""
        while unit in self.state.pending:
            require(self._progress(), Trap.DEADLOCK)

    def _progress(self) -> bool:
        """Start every pending operation that can; True if there was one."""
        started = False
        for unit, operation in list(self.state.pending.items()):
            if not self.state.done and self._available(operation.wait):
                self._take(operation.wait)
                del self.state.pending[unit]
                self._execute(unit, operation)
                started = True
        return started

    def _execute(self, unit: Unit, operation: Operation) -> None:
        try:
            if operation.leave:
                if operation.count and unit is Unit.TENSOR:
                    self._count(tensor.left_out(registers_of(unit, operation.values)), operation)
                self._give(operation.post)
                return
            beside = self.external if unit is Unit.MOVE else operation.key
            planned = self._planned(unit, operation.values)
            self.observer(operation.tag, planned)
            outcome = planned.run(self.words, beside)
            self._count(outcome, operation)
            self._give(operation.post)
        except TrapError as trap:
            self._trap(trap.cause, operation.pc)

    def _plan(self, unit: Unit, values: Values):
        """The operation of `unit` that these register values ask for."""
        return UNITS[unit](self.config, registers_of(unit, values))

    def _count(self, outcome: Outcome, operation: Operation) -> None:
        counters = self.state.counters
        for name in ("macs", *SKIPPED, "saturations", "saturations_e5m2", "words_filled",
                     "words_stored"):
            counters[name] += getattr(outcome, name)
        self.state.tag_words[operation.tag] += outcome.stream_words
        if outcome.nan and self.state.nan_pc is None:
            self.state.nan_pc = operation.pc
        if outcome.live is not None:
            self.state.live = outcome.live
        if outcome.histogram is not None:
            before = self.state.histogram if outcome.more else [0] * memmap.BINS
            self.state.histogram = [(a + b) % (1 << TALLY_BITS) for a, b in zip(
                before, outcome.histogram, strict=True)]

    def _available(self, mask: int) -> bool:
        return all(self.state.tokens[i] for i in _bits(mask))

    def _take(self, mask: int) -> None:
        for i in _bits(mask):
            self.state.tokens[i] -= 1

    def _give(self, mask: int) -> None:
        for i in _bits(mask):
            require(self.state.tokens[i] < TOKEN_MOST, Trap.TOKEN)
            self.state.tokens[i] += 1


@lru_cache(maxsize=1 << 16)
def _bits(mask: int) -> tuple[int, ...]:
    return tuple(i for i in range(mask.bit_length()) if mask >> i & 1)


@lru_cache(maxsize=1 << 16)
def _decode(word: int):
    """Mnemonic and field values of an instruction; ILLEGAL if it is none."""
    row = instructions.BY_OPCODE.get(instructions.OPCODE.decode(word))
    require(row is not None and word & ~row.legal_bits == 0, Trap.ILLEGAL)
    values = fields.decode(row.fields, word)
    require(values.get("unit", 0) in tuple(Unit), Trap.ILLEGAL)
    require(values.get("guard", 0) in tuple(Guard), Trap.ILLEGAL)
    if "register" in values:
        register = BY_INDEX.get(values["register"])
        require(register is not None, Trap.ILLEGAL)
        require(values.get("value", 0) & ~fields.used_bits(register.fields) == 0, Trap.ILLEGAL)
    require(values.get("offset", 0) % 4 == 0, Trap.ILLEGAL)
    return row.mnemonic, values
