"""The assembler and the disassembler: round trips, messages, the committed reference."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa import fields
from isa.assembler import AssemblyError, assemble
from isa.disassembler import disassemble
from isa.fields import Kind
from isa.instructions import BY_MNEMONIC, OPCODE, TABLE
from isa.reference import reference
from isa.registers import BY_INDEX, REGISTERS, Unit

ROOT = Path(__file__).resolve().parents[2]


@st.composite
def instructions(draw):
    row = draw(st.sampled_from(TABLE))
    values = {f.name: draw(st.integers(f.least, f.most)) for f in row.fields}
    if "unit" in values:
        values["unit"] = draw(st.sampled_from(list(Unit)))
    if "register" in values:
        register = draw(st.sampled_from(list(BY_INDEX.values())))
        values["register"] = register.index
        if "value" in values:
            values["value"] &= fields.used_bits(register.fields)
    return OPCODE.encode(row.opcode) | fields.encode(row.fields, values)


@given(st.lists(instructions(), max_size=40))
def test_round_trip_of_programs(words):
    assert assemble(disassemble(words)) == words


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40))
def test_round_trip_of_any_words(words):
    assert assemble(disassemble(words)) == words


def test_legal_programs_need_no_raw_words():
    words = [OPCODE.encode(row.opcode) for row in TABLE]
    assert ".word" not in disassemble(words)


def test_one_program_by_hand():
    words = assemble("""
        .equ BATCH, 32          ; a comment
        start: li r1, 4 * BATCH - 1
            set tensor.stream.p0, stride=-1, dx=1   # another
            loop 45, done
            run tensor, wait=0x1, post=1 << 3, tag=3
            run move, guard=lt, rs=r7, least=5, count=1
        done: setr vector.k1, r2, f32(-0.5)-(1<<32)
            skip lt, r1, r2, +1
            halt BATCH // 3
    """)
    stride = REGISTERS["tensor.stream.p0"]
    assert words == [
        0x03 << 56 | 1 << 52 | 127,
        0x0A << 56 | stride.index << 48 | 1 << 32 | 0xFFFFF,
        0x08 << 56 | 2 << 32 | 45,
        0x0D << 56 | 3 << 32 | 1 << 16 | 8,
        0x0D << 56 | 2 << 54 | 2 << 52 | 7 << 48 | 1 << 47 | 5 << 37,
        0x0B << 56 | REGISTERS["vector.k1"].index << 48 | 2 << 44 | 0xBF000000,
        0x07 << 56 | 2 << 52 | 1 << 48 | 2 << 44 | 1,
        0x02 << 56 | 10,
    ]


@pytest.mark.parametrize(("text", "line", "column", "message"), [
    ("nop\n  frob r1", 2, 3, "'frob' is no instruction"),
    ("li r16, 1", 1, 4, "'r16' is no scalar register"),
    ("li r1", 1, 1, "li also needs imm"),
    ("li r1, 1 << 40", 1, 8, "must be from -2147483648 to 2147483647"),
    ("li r1, 2 / 0", 1, 8, "by zero"),
    ("li r1, 2 + cat", 1, 12, "'cat' is not defined"),
    ("li r1, (2 +", 1, 8, "no expression"),
    ("li r1, 'a'", 1, 8, "only integers"),
    ("li r1, 2, 3", 1, 11, "li takes nothing more"),
    ("set tensor.stream.p0, strid=1", 1, 23, "tensor.stream.p0 takes stride=..."),
    ("set tensor.stream.p0, dx=2048", 1, 23, "dx = 2048: must be from -2048 to 2047"),
    ("set tensor.none, x=1", 1, 5, "'tensor.none' is no unit register"),
    ("run tensor, tag=32", 1, 13, "tag = 32: must be from 0 to 31"),
    ("run tensor, tag=1, tag=2", 1, 20, "tag is given twice"),
    ("run tensor, guard=eq", 1, 19, "'eq' is no guard: there are none, ge, lt"),
    ("run tensor, guard=ge, rs=5", 1, 26, "'5' is no scalar register"),
    ("run scalar", 1, 5, "'scalar' is no unit"),
    ("loop 3, away", 1, 9, "'away' is no label"),
    ("a: nop\na: nop", 2, 1, "'a' is defined twice"),
    ("back: nop\nloop 3, back", 2, 9, "must be from 0"),
    (".equ X", 1, 6, ".equ takes a name and an expression"),
    (".word 1 << 64", 1, 7, "does not fit in 64 bits"),
    ("set vector.k0, value=f32(1e40)", 1, 26, "binary32"),
    (".word 1 << 20000", 1, 7, "a shift by 20000 is more than 128 bits"),
    ("li r1, 0x" + "f" * 5000, 1, 8, "more than 128 bits"),
    ("li r1, (1 << 100) * (1 << 100)", 1, 8, "more than 128 bits"),
    ("!", 1, 1, "'!' is no instruction"),
])
def test_messages_name_the_place(text, line, column, message):
    with pytest.raises(AssemblyError) as error:
        assemble(text, "x.s")
    assert str(error.value).startswith(f"x.s:{line}:{column}: ")
    assert message in str(error.value)


def test_every_mnemonic_and_register_is_unique():
    assert len(BY_MNEMONIC) == len(TABLE)
    assert len(BY_INDEX) == len(REGISTERS)


@pytest.mark.parametrize("owner", [*TABLE, *REGISTERS.values()], ids=lambda o: getattr(
    o, "mnemonic", getattr(o, "name", "")))
def test_fields_do_not_overlap(owner):
    widths = sum(f.width for f in owner.fields)
    assert fields.used_bits(owner.fields).bit_count() == widths
    for field in owner.fields:
        assert field.kind is not Kind.SIGNED or field.decode(field.encode(-1)) == -1


def test_reference_is_current():
    assert (ROOT / "docs" / "isa.md").read_text() == reference(), "run winnow isa -o docs/isa.md"
