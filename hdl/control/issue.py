"""Executes instructions one by one, and hands the units theirs."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.axi import LITE_ADDRESS_BITS
from hdl.control.decode import ACTIONS, Decoder, field
from hdl.control.loops import LoopStack
from hdl.control.registers import CODE_BITS
from hdl.control.scalar import SCALAR_BITS, Scalars
from hdl.interfaces import CAUSE_BITS, PC_BITS, RUN_LAYOUT, SET_LAYOUT
from isa.config import WORD_BITS
from isa.instructions import BY_MNEMONIC, TOKENS, Condition, Guard
from isa.memmap import Trap
from isa.registers import Unit

DEADLOCK_CYCLES = 8  # without any progress, before it is called a deadlock; a margin, any will do


class Issue(wiring.Component):
    """The instruction at work, the program counter, the scalars and the loops.

    Members
    -------
    clear : pulse; program counter, scalars and loops begin anew
    running : instructions are executed
    words, error : instructions in order, from fetch
    jump, target : pulse, one cycle after the instruction that jumps; the next instruction is that
        of number `target`, and what comes in this cycle is not looked at
    pc : the instruction at work, or the one that comes next
    unit : whom `set` and `run` are for
    set, run : as in UnitCommand
    units_idle : no unit is busy and none has a pending operation
    units_busy : some unit is at work, or gets its tokens in this cycle
    wants, want, grant, give : as a client of the tokens
    csr, csr_address, csr_data : pulse; the answer is there in the next cycle
    executed : pulse; an instruction is done
    waiting : the instruction waits for a unit or a token
    halted, code : pulse; the halt is done
    trap, cause : pulse; the instruction at `pc` traps

    Timing
    ------
    One instruction a cycle; csr takes two. The cycle after an instruction came from fetch it is at
    work.
    """

    def __init__(self):
        super().__init__({
            "clear": In(1),
            "running": In(1),
            "words": In(stream.Signature(WORD_BITS)),
            "error": In(1),
            "jump": Out(1),
            "target": Out(PC_BITS),
            "pc": Out(PC_BITS),
            "unit": Out(Unit),
            "set": Out(stream.Signature(SET_LAYOUT)),
            "run": Out(stream.Signature(RUN_LAYOUT)),
            "units_idle": In(1),
            "units_busy": In(1),
            "wants": Out(1),
            "want": Out(TOKENS),
            "grant": In(1),
            "give": Out(TOKENS),
            "csr": Out(1),
            "csr_address": Out(LITE_ADDRESS_BITS),
            "csr_data": In(SCALAR_BITS),
            "executed": Out(1),
            "waiting": Out(1),
            "halted": Out(1),
            "code": Out(CODE_BITS),
            "trap": Out(1),
            "cause": Out(CAUSE_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = Decoder()
        m.submodules.scalars = scalars = Scalars()
        m.submodules.loops = loops = LoopStack()
        # the instruction at work
        valid = Signal()
        word = Signal(WORD_BITS, reset_less=True)
        actions = Signal(ACTIONS, reset_less=True)
        unit = Signal(Unit, reset_less=True)
        wrong = Signal(reset_less=True)  # it may not be executed, for `reason`
        reason = Signal(CAUSE_BITS, reset_less=True)

        working = Signal()
        complete = Signal()
        advance = Signal()
        jumps = Signal()
        # kept, because the sum comes too late; after a jump there is a cycle to make it anew
        next_pc = Signal(PC_BITS, init=1)
        m.d.comb += [
            working.eq(valid & self.running & ~wrong),
            advance.eq(working & complete & ~self.trap),
            self.words.ready.eq(~valid | advance),
            decoder.word.eq(self.words.payload),
            self.executed.eq(advance),
            self.target.eq(self.pc),
        ]
        with m.If(self.words.ready):
            m.d.sync += [
                valid.eq(self.words.valid & ~jumps & ~self.jump),
                word.eq(self.words.payload),
                actions.eq(decoder.actions),
                unit.eq(decoder.unit),
                wrong.eq(self.error | decoder.illegal),
                reason.eq(Mux(self.error, Trap.BUS, Trap.ILLEGAL)),
            ]
        m.d.sync += self.jump.eq(jumps)
        with m.If(self.jump):
            m.d.sync += next_pc.eq(self.pc + 1)
        with m.If(advance & ~actions["halt"]):
            m.d.sync += [self.pc.eq(loops.target), next_pc.eq(next_pc + 1)]
        with m.If(self.clear):
            m.d.sync += [valid.eq(0), self.pc.eq(0), next_pc.eq(1), self.jump.eq(0)]

        operand = self._scalars(m, scalars, word, actions, advance)
        elsewhere = self._flow(m, loops, word, actions, advance, operand, next_pc)
        m.d.comb += jumps.eq(advance & elsewhere)
        self._units(m, word, actions, unit, working, operand)
        self._complete(m, word, actions, working, complete)
        self._trap(m, valid, wrong, reason, working, actions, loops)
        return m

    def _scalars(self, m, scalars, word, actions, advance):
        """Reads and writes of scalar registers; returns the value of a field of an instruction."""
        ports = {}  # by the place of the field in the word
        values = {}
        for mnemonic, row in BY_MNEMONIC.items():
            for f in row.fields:
                if f.name in ("rs", "rt"):
                    if f.low not in ports:
                        ports[f.low] = len(ports)
                        m.d.comb += scalars.read_address[ports[f.low]].eq(
                            field(word, mnemonic, f.name))
                    values[mnemonic, f.name] = scalars.read_data[ports[f.low]]

        def operand(mnemonic, name):
            return values[mnemonic, name]

        result = scalars.write_data
        with m.If(actions["li"]):
            m.d.comb += result.eq(field(word, "li", "imm"))
        with m.If(actions["add"]):
            m.d.comb += result.eq(operand("add", "rs") + operand("add", "rt"))
        with m.If(actions["addi"]):
            m.d.comb += result.eq(operand("addi", "rs") + field(word, "addi", "imm"))
        with m.If(actions["csr"]):
            m.d.comb += result.eq(self.csr_data)
        m.d.comb += [
            scalars.clear.eq(self.clear),
            scalars.write_address.eq(field(word, "li", "rd")),
            scalars.write_enable.eq(advance & (actions["li"] | actions["add"] | actions["addi"]
                                               | actions["csr"])),
        ]
        return operand

    def _flow(self, m, loops, word, actions, advance, operand, next_pc):
        """Where the program goes on; returns whether that is another place than `next_pc`."""
        beyond = Signal(PC_BITS)  # the instruction after those jumped over, or of the loop
        holds = Signal()
        left, right = operand("skip", "rs"), operand("skip", "rt")
        equal, less = Signal(), Signal()
        looping = Signal()
        empty = Signal()
        over = Signal()
        body = Mux(actions["loopr"], field(word, "loopr", "end"), field(word, "loop", "end"))
        m.d.comb += [
            beyond.eq(next_pc + Mux(actions["skip"], field(word, "skip", "end"), body)),
            equal.eq(left == right),
            less.eq(left.as_signed() < right.as_signed()),
            looping.eq(actions["loop"] | actions["loopr"]),
            loops.count.eq(Mux(actions["loopr"], operand("loopr", "rs"),
                               field(word, "loop", "count"))),
            empty.eq((loops.count == 0) | (body == 0)),
            loops.clear.eq(self.clear),
            loops.advance.eq(advance),
            loops.push.eq(looping & ~empty),
            loops.start.eq(next_pc),
            loops.end.eq(beyond),
            over.eq((actions["skip"] & holds) | (looping & empty)),
            loops.following.eq(next_pc),
            loops.beyond.eq(beyond),
            loops.over.eq(over),
        ]
        with m.Switch(field(word, "skip", "condition")):
            for condition, value in ((Condition.EQ, equal), (Condition.NE, ~equal),
                                     (Condition.LT, less), (Condition.GE, ~less)):
                with m.Case(condition):
                    m.d.comb += holds.eq(value)
        return over | loops.again

    def _units(self, m, word, actions, unit, working, operand):
        """The instructions that go to a unit."""
        write, run = self.set.payload, self.run.payload
        sum_ = operand("setr", "rs") + field(word, "setr", "imm")
        guard, less = field(word, "run", "guard"), Signal()
        m.d.comb += [
            less.eq(operand("run", "rs") < field(word, "run", "least")),
            self.unit.eq(unit),
            self.set.valid.eq(working & (actions["set"] | actions["setr"] | actions["clear"])),
            write.clear.eq(actions["clear"]),
            write.index.eq(field(word, "set", "register")),
            write.value.eq(Mux(actions["setr"], sum_[:SCALAR_BITS], field(word, "set", "value"))),
            self.run.valid.eq(working & actions["run"]),
            run.pc.eq(self.pc),
            run.wait.eq(field(word, "run", "wait")),
            run.post.eq(field(word, "run", "post")),
            run.tag.eq(field(word, "run", "tag")),
            run.leave.eq(((guard == Guard.GE) & less) | ((guard == Guard.LT) & ~less)),
            run.count.eq(field(word, "run", "count")),
            self.wants.eq(working & actions["sync"]),
            self.want.eq(field(word, "sync", "wait")),
            self.give.eq(Mux(self.grant, field(word, "sync", "post"), 0)),
        ]

    def _complete(self, m, word, actions, working, complete):
        """Whether the instruction is done in this cycle."""
        csr_there = Signal()
        m.d.comb += [
            self.csr.eq(working & actions["csr"] & ~csr_there),
            self.csr_address.eq(field(word, "csr", "offset")),
            self.halted.eq(working & actions["halt"] & self.units_idle),
            self.code.eq(field(word, "halt", "code")),
        ]
        m.d.sync += csr_there.eq(self.csr)
        conditions = {
            "halt": self.units_idle,
            "fence": self.units_idle,
            "csr": csr_there,
            "set": self.set.ready,
            "setr": self.set.ready,
            "clear": self.set.ready,
            "run": self.run.ready,
            "sync": self.grant,
        }
        holds = Cat(actions[name] & ~condition for name, condition in conditions.items())
        m.d.comb += [
            complete.eq(~holds.any()),
            self.waiting.eq(working & ~complete & ~actions["csr"]),
        ]

    def _trap(self, m, valid, wrong, reason, working, actions, loops):
        still = Signal(range(DEADLOCK_CYCLES + 1))
        with m.If(self.waiting & ~self.units_busy):
            m.d.sync += still.eq(still + 1)
        with m.Else():
            m.d.sync += still.eq(0)
        m.d.comb += self.cause.eq(reason)
        with m.If(valid & self.running):
            with m.If(wrong):
                m.d.comb += self.trap.eq(1)
            with m.Elif(working & loops.push & loops.full):
                m.d.comb += [self.trap.eq(1), self.cause.eq(Trap.LOOP)]
            with m.Elif(still == DEADLOCK_CYCLES):
                m.d.comb += [self.trap.eq(1), self.cause.eq(Trap.DEADLOCK)]
