"""The instructions, one table.

An instruction is 64 bits: an opcode in the top 8, then the fields below. Bits that no field of an
instruction covers must be zero, else it is illegal. There are 16 scalar registers of 32 bits.
Programs are addressed by instruction: the program counter of the first is 0.
"""

from dataclasses import dataclass
from enum import IntEnum

from isa.fields import Field, Kind, used_bits

INSTRUCTION_BYTES = 8
OPCODE = Field("opcode", 56, 8)
SCALARS = 16
TOKENS = 16  # counting semaphores
TOKEN_MOST = 255  # what a token counts up to
LOOP_DEPTH = 4
FETCH_DEPTH = 16  # instructions that a fetch burst brings at most


class Guard(IntEnum):
    """When a `run` is done."""

    NONE = 0  # always
    GE = 1  # where rs >= least, unsigned
    LT = 2  # where rs < least, unsigned


class Condition(IntEnum):
    EQ = 0
    NE = 1
    LT = 2  # signed
    GE = 3  # signed


@dataclass(frozen=True)
class Instruction:
    """One row: the assembler writes `mnemonic` and then `fields` in this order."""

    mnemonic: str
    opcode: int
    fields: tuple[Field, ...]
    text: str

    @property
    def legal_bits(self) -> int:
        """A mask of the bits that may be set."""
        return used_bits((OPCODE, *self.fields))


def _scalar(name: str, low: int) -> Field:
    return Field(name, low, 4, Kind.SCALAR)


_RD, _RS, _RT = _scalar("rd", 52), _scalar("rs", 48), _scalar("rt", 44)
_IMM = Field("imm", 0, 32, Kind.SIGNED)
_REGISTER = Field("register", 48, 8, Kind.REGISTER)
_UNIT = Field("unit", 54, 2, Kind.UNIT)
_WAIT = Field("wait", 16, TOKENS, Kind.MASK, 0, "tokens taken, one each, before it starts",
              optional=True)
_POST = Field("post", 0, TOKENS, Kind.MASK, 0, "tokens given, one each, when it is done",
              optional=True)
_TAG = Field("tag", 32, 5, Kind.UNSIGNED, 0, "counter group", optional=True)


def _length(width: int) -> Field:
    return Field("end", 32, width, Kind.TARGET, 0, "instructions of the body")


TABLE = (
    Instruction("nop", 0x01, (), "nothing"),
    Instruction("halt", 0x02, (Field("code", 0, 16),),
                "waits until every unit is idle, then stops with `code` and raises the interrupt"),
    Instruction("li", 0x03, (_RD, _IMM), "rd = imm"),
    Instruction("add", 0x04, (_RD, _RS, _RT), "rd = rs + rt, modulo 2^32"),
    Instruction("addi", 0x05, (_RD, _RS, _IMM), "rd = rs + imm, modulo 2^32"),
    Instruction("csr", 0x06, (_RD, Field("offset", 0, 12)),
                "rd = the control register at byte `offset` (a multiple of 4)"),
    Instruction("skip", 0x07, (Field("condition", 52, 2, Kind.CONDITION), _RS, _RT,
                               Field("end", 0, 12, Kind.TARGET)),
                "jumps forward over `end` instructions where `rs condition rt` holds"),
    Instruction("loop", 0x08, (Field("count", 0, 32), _length(20)),
                "runs the following `end` instructions `count` times; up to 4 deep"),
    Instruction("loopr", 0x09, (_RS, _length(16)), "loop with the count in rs"),
    Instruction("set", 0x0A, (_REGISTER, Field("value", 0, 48, Kind.MASK)),
                "the unit register takes `value`; written field by field in assembly"),
    Instruction("setr", 0x0B, (_REGISTER, Field("rs", 44, 4, Kind.SCALAR), _IMM),
                "the unit register takes rs + imm, modulo 2^32"),
    Instruction("clear", 0x0C, (_UNIT,), "the unit's registers take their defaults"),
    Instruction("run", 0x0D, (
        _UNIT, _WAIT, _POST, _TAG,
        Field("guard", 52, 2, Kind.GUARD, 0, "Guard: left out unless it holds", optional=True),
        Field("rs", 48, 4, Kind.SCALAR, 0, "what it looks at", optional=True),
        Field("count", 47, 1, Kind.UNSIGNED, 0, "skipped_images counts it", optional=True),
        Field("least", 37, 10, Kind.UNSIGNED, 0, "what it compares with", optional=True)),
                "starts the unit's operation, after those given to it before"),
    Instruction("sync", 0x0E, (_WAIT, _POST), "control itself takes and gives tokens"),
    Instruction("fence", 0x0F, (), "waits until every unit is idle"),
)

BY_MNEMONIC = {row.mnemonic: row for row in TABLE}
BY_OPCODE = {row.opcode: row for row in TABLE}
