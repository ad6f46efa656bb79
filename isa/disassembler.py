"""The disassembler: instruction words to text that assembles to the same words."""

import struct
from functools import partial

from isa import fields
from isa.assembler import condition_names, guard_names, scalar_names, unit_names
from isa.expressions import float_bits
from isa.fields import Field, Kind
from isa.instructions import BY_OPCODE, OPCODE, Instruction
from isa.registers import BY_INDEX

_NAMES = {Kind.SCALAR: scalar_names, Kind.UNIT: unit_names, Kind.CONDITION: condition_names,
          Kind.GUARD: guard_names}


def disassemble(words: list[int]) -> str:
    """Assembly text, a line an instruction, with a label `L<n>` at every target inside."""
    targets = {pc + 1 + length for pc, word in enumerate(words)
               if (length := _target(word)) is not None}
    labels = {pc: f"L{pc}" for pc in sorted(targets) if pc <= len(words)}
    lines = []
    for pc, word in enumerate(words):
        if pc in labels:
            lines.append(f"{labels[pc]}:")
        lines.append("    " + instruction_text(word, pc, labels))
    if len(words) in labels:
        lines.append(f"{labels[len(words)]}:")
    return "\n".join(lines) + "\n"


def instruction_text(word: int, pc: int = 0, labels: dict[int, str] | None = None) -> str:
    """One instruction; a word that is none comes out as ``.word``."""
    row = _row(word)
    if row is None:
        return f".word {word:#018x}"
    values = fields.decode(row.fields, word)
    if row.mnemonic == "set":
        return _set_text(word, values)
    write = partial(_operand_text, pc=pc, labels=labels or {})
    operands = [write(f, values[f.name]) for f in row.fields if not f.optional]
    operands += _named_text(tuple(f for f in row.fields if f.optional), word)
    if None in operands:
        return f".word {word:#018x}"
    return f"{row.mnemonic} {', '.join(operands)}".rstrip()


def _row(word: int) -> Instruction | None:
    row = BY_OPCODE.get(OPCODE.decode(word))
    return row if row is not None and word & ~row.legal_bits == 0 else None


def _target(word: int) -> int | None:
    row = _row(word)
    for field in row.fields if row else ():
        if field.kind is Kind.TARGET:
            return field.decode(word)
    return None


def _set_text(word: int, values: dict[str, int]) -> str:
    register = BY_INDEX.get(values["register"])
    if register is None or values["value"] & ~fields.used_bits(register.fields):
        return f".word {word:#018x}"
    return ", ".join([f"set {register.name}", *_named_text(register.fields, values["value"])])


def _named_text(known: tuple[Field, ...], word: int) -> list[str | None]:
    """Those not at their defaults; None where assembly has no way to write one."""
    texts = [(f.name, _operand_text(f, f.decode(word), 0, {})) for f in known
             if f.decode(word) != f.default]
    return [text and f"{name}={text}" for name, text in texts]


def _operand_text(field: Field, value: int, pc: int, labels: dict[int, str]) -> str | None:
    """None where assembly has no way to write `value`."""
    if field.kind in _NAMES:
        names = {v: k for k, v in _NAMES[field.kind]().items()}
        return names.get(value)
    if field.kind is Kind.REGISTER:
        return BY_INDEX[value].name if value in BY_INDEX else None
    if field.kind is Kind.TARGET:
        return labels.get(pc + 1 + value, f"+{value}")
    return _number_text(field, value)


def _number_text(field: Field, value: int) -> str:
    if field.kind is Kind.MASK:
        return hex(value)
    if field.kind is Kind.FLOAT:
        number = struct.unpack("<f", value.to_bytes(4, "little"))[0]
        text = repr(number)
        if text.lstrip("-")[0].isdigit() and float_bits(float(text)) == value:
            return f"f32({text})"
    return str(value)
