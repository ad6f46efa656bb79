"""The assembler: text to instruction words.

    ; a comment
    .equ BATCH, 32              a constant
    start:                      a label
        li r1, 4 * BATCH
        set tensor.stream.p0, stride=1, dx=-1       fields left out take their defaults
        setr tensor.stream.base, r1, 128
        loop 45, done           the body ends at `done`; `+3` is three instructions on
        run tensor, wait=0x1, post=0x2, tag=3
        run tensor, guard=ge, rs=r1, least=8, count=1
    done:
        halt 0
        .word 0x0100000000000000
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from isa import fields, instructions
from isa.expressions import ExpressionError, evaluate
from isa.fields import Field, FieldError, Kind
from isa.instructions import BY_MNEMONIC, OPCODE, SCALARS, Condition, Guard, Instruction
from isa.registers import REGISTERS, Unit

_LABEL = re.compile(r"\s*([A-Za-z_]\w*)\s*:")
_WORD = re.compile(r"\s*(\.?\w+)")
_EQU = re.compile(r"\s*([A-Za-z_]\w*)\s*,(.*)", re.DOTALL)
_NAMED = re.compile(r"\s*([A-Za-z_]\w*)\s*=(?!=)(.*)", re.DOTALL)


class AssemblyError(ValueError):
    """A program that cannot be assembled; the message begins with source, line and column."""


@dataclass(frozen=True)
class _Text:
    """A piece of a source line, with its place for messages."""

    text: str
    source: str
    line: int
    column: int  # from 0

    def error(self, message: str, offset: int | None = None) -> AssemblyError:
        if offset is None:
            offset = len(self.text) - len(self.text.lstrip())
        return AssemblyError(f"{self.source}:{self.line}:{self.column + offset + 1}: {message}")

    def part(self, start: int, end: int | None = None) -> "_Text":
        return _Text(self.text[start:end], self.source, self.line, self.column + start)

    def group(self, match: re.Match, index: int) -> "_Text":
        return self.part(match.start(index), match.end(index))

    def arguments(self) -> list["_Text"]:
        """Split at the commas outside parentheses."""
        if not self.text.strip():
            return []
        depth, cuts = 0, [-1]
        for i, character in enumerate(self.text):
            depth += (character == "(") - (character == ")")
            if character == "," and depth == 0:
                cuts.append(i)
        return [self.part(a + 1, b) for a, b in zip(cuts, [*cuts[1:], len(self.text)],
                                                    strict=True)]


@dataclass(frozen=True)
class _Statement:
    word: _Text
    rest: _Text
    address: int


def assemble(text: str, source: str = "program") -> list[int]:
    """The 64-bit instructions of `text`; `AssemblyError` names line and column of a mistake."""
    return _Assembler(source).run(text)


class _Assembler:
    def __init__(self, source: str):
        self.source = source
        self.names: dict[str, int] = {}
        self.labels: dict[str, int] = {}

    def run(self, text: str) -> list[int]:
        statements = self._parse(text)
        return [self._encode(s) for s in statements]

    def _parse(self, text: str) -> list[_Statement]:
        statements = []
        for number, line in enumerate(text.splitlines(), 1):
            rest = _Text(re.split(r"[;#]", line, maxsplit=1)[0], self.source, number, 0)
            while match := _LABEL.match(rest.text):
                self._define(rest.group(match, 1), len(statements), self.labels)
                rest = rest.part(match.end())
            if not rest.text.strip():
                continue
            match = _WORD.match(rest.text)
            if not match:
                raise rest.error(f"{rest.text.strip()!r} is no instruction")
            word, tail = rest.group(match, 1), rest.part(match.end())
            if word.text == ".equ":
                self._equ(tail)
            else:
                statements.append(_Statement(word, tail, len(statements)))
        return statements

    def _equ(self, tail: _Text) -> None:
        match = _EQU.match(tail.text)
        if not match:
            raise tail.error(".equ takes a name and an expression")
        self._define(tail.group(match, 1), self._number(tail.group(match, 2)), self.names)

    def _define(self, name: _Text, value: int, table: dict[str, int]) -> None:
        if name.text in self.names or name.text in self.labels:
            raise name.error(f"{name.text!r} is defined twice")
        table[name.text] = value

    def _number(self, text: _Text) -> int:
        try:
            return evaluate(text.text, self.names)
        except ExpressionError as error:
            raise text.error(str(error), error.column) from None

    def _encode(self, statement: _Statement) -> int:
        word = statement.word
        if word.text == ".word":
            return self._raw(statement.rest)
        row = BY_MNEMONIC.get(word.text)
        if row is None:
            raise word.error(f"{word.text!r} is no instruction: "
                             f"there are {', '.join(BY_MNEMONIC)}")
        return OPCODE.encode(row.opcode) | self._operands(row, statement)

    def _raw(self, text: _Text) -> int:
        value = self._number(text)
        if not 0 <= value < 1 << 64:
            raise text.error(f"{value} does not fit in 64 bits")
        return value

    def _operands(self, row: Instruction, statement: _Statement) -> int:
        arguments = statement.rest.arguments()
        if row.mnemonic == "set":
            return self._set(row, statement, arguments)
        needed = [f for f in row.fields if not f.optional]
        if len(arguments) < len(needed):
            missing = ", ".join(f.name for f in needed[len(arguments):])
            raise statement.word.error(f"{row.mnemonic} also needs {missing}")
        word = 0
        for field, text in zip(needed, arguments, strict=False):
            word |= self._place(field, self._operand(field, text, statement.address), text)
        optional = tuple(f for f in row.fields if f.optional)
        return word | self._named(optional, arguments[len(needed):], row.mnemonic)

    def _set(self, row: Instruction, statement: _Statement, arguments: list[_Text]) -> int:
        if not arguments:
            raise statement.word.error("set also needs a unit register")
        register, value = row.fields
        index = self._operand(register, arguments[0], statement.address)
        target = REGISTERS[arguments[0].text.strip()]
        bits = self._named(target.fields, arguments[1:], target.name)
        return register.encode(index) | value.encode(bits)

    def _named(self, known: tuple[Field, ...], arguments: list[_Text], owner: str) -> int:
        """Arguments of the form name=value; what is not named takes its default."""
        given: dict[str, int] = {}
        by_name = {f.name: f for f in known}
        for text in arguments:
            match = _NAMED.match(text.text)
            name = match and match.group(1)
            if name not in by_name:
                allowed = ", ".join(f"{n}=..." for n in by_name) or "nothing more"
                raise text.error(f"{text.text.strip()!r}: {owner} takes {allowed}")
            if name in given:
                raise text.error(f"{name} is given twice")
            given[name] = self._value(by_name[name], text.group(match, 2))
            self._place(by_name[name], given[name], text)
        return fields.encode(known, given)

    def _value(self, field: Field, text: _Text) -> int:
        """Of an argument of the form name=value."""
        match field.kind:
            case Kind.SCALAR:
                return self._choice(text, "scalar register", scalar_names())
            case Kind.GUARD:
                return self._choice(text, "guard", guard_names())
        return self._number(text)

    def _place(self, field: Field, value: int, text: _Text) -> int:
        try:
            return field.encode(value)
        except FieldError as error:
            raise text.error(str(error)) from None

    def _operand(self, field: Field, text: _Text, address: int) -> int:
        name = text.text.strip()
        match field.kind:
            case Kind.SCALAR:
                return self._choice(text, "scalar register", scalar_names())
            case Kind.UNIT:
                return self._choice(text, "unit", unit_names())
            case Kind.CONDITION:
                return self._choice(text, "condition", condition_names())
            case Kind.REGISTER:
                if name not in REGISTERS:
                    raise text.error(f"{name!r} is no unit register")
                return REGISTERS[name].index
            case Kind.TARGET if name.startswith("+"):
                return self._number(text)
            case Kind.TARGET:
                if name not in self.labels:
                    raise text.error(f"{name!r} is no label")
                return self.labels[name] - address - 1
        return self._number(text)

    def _choice(self, text: _Text, what: str, names: dict[str, int]) -> int:
        name = text.text.strip()
        if name not in names:
            raise text.error(f"{name!r} is no {what}: there are {', '.join(names)}")
        return names[name]


@lru_cache
def scalar_names() -> dict[str, int]:
    return {f"r{i}": i for i in range(SCALARS)}


@lru_cache
def unit_names() -> dict[str, int]:
    return {u.name.lower(): u.value for u in Unit}


@lru_cache
def condition_names() -> dict[str, int]:
    return {c.name.lower(): c.value for c in Condition}


@lru_cache
def guard_names() -> dict[str, int]:
    return {g.name.lower(): g.value for g in Guard}


def to_bytes(words: list[int]) -> bytes:
    """Instructions as they lie in external memory."""
    return b"".join(w.to_bytes(instructions.INSTRUCTION_BYTES, "little") for w in words)
