"""The instruction set reference, docs/isa.md, written from the tables."""

from isa.fields import Field, Kind
from isa.instructions import LOOP_DEPTH, SCALARS, TABLE, TOKEN_MOST, TOKENS, Guard
from isa.memmap import COUNTERS, TAG_BYTES, Control, Flag, Status, Trap
from isa.registers import REGISTERS, TAGS, Activation, AuxMode, Operand, Unit


def reference() -> str:
    """docs/isa.md; a test holds the committed file to this."""
    parts = [
        "# Instruction set\n\nWritten by `winnow isa -o docs/isa.md` from the tables in `isa/`; "
        "what the operations do is in [architecture.md](architecture.md).\n",
        f"An instruction is 64 bits, its opcode in bits 63 to 56; bits of no field are zero. There "
        f"are {SCALARS} scalar registers of 32 bits (r0 to r{SCALARS - 1}), {TOKENS} tokens that "
        f"count to {TOKEN_MOST}, and {LOOP_DEPTH} nested loops. A target is a label in assembly, "
        f"or `+n`.\n",
        "## Instructions\n", *_instructions(),
        "## Unit registers\n",
        "`set NAME, FIELD=VALUE, ...` writes a register; fields left out take their defaults. "
        "`f32(0.5)` writes the bits of a binary32 number.\n",
        *_registers(),
        "## Values\n", *_enumerations(),
        "## Control port\n", *_control(),
        "## Counters\n", *_counters(),
    ]
    return "\n".join(parts)


def _table(head: tuple[str, ...], rows: list[tuple]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def _bits(field: Field) -> str:
    return f"{field.low + field.width - 1}:{field.low}" if field.width > 1 else str(field.low)


def _instructions():
    for row in TABLE:
        operands = ", ".join(f"[{f.name}=]" if f.optional else f.name for f in row.fields)
        yield f"### {row.mnemonic}\n\n`{f'{row.mnemonic} {operands}'.strip()}`, opcode " \
              f"{row.opcode:#04x}: {row.text}.\n"
        if row.fields:
            yield _table(("field", "bits", "kind", ""),
                         [(f.name, _bits(f), f.kind.value, f.text) for f in row.fields])


def _registers():
    for unit in Unit:
        rows = [(f"`{r.name}`", r.index, f.name, _bits(f), _kind(f), f.default,
                 f.text or r.text)
                for r in REGISTERS.values() if r.unit is unit for f in r.fields]
        yield f"### {unit.name.lower()}\n"
        yield _table(("register", "index", "field", "bits", "kind", "default", ""), rows)


def _kind(field: Field) -> str:
    return {Kind.SIGNED: "signed", Kind.FLOAT: "binary32"}.get(field.kind, "unsigned")


def _enumerations():
    for values in (Guard, AuxMode, Operand, Activation, Trap, Status, Flag):
        listed = ", ".join(f"{v.value} {v.name}" for v in values)
        yield f"- {values.__name__}: {listed}"
    yield ""


def _control():
    yield _table(("offset", "register"), [(f"{c.value:#05x}", c.name) for c in Control])


def _counters():
    yield _table(("offset", "counter", "equal in model and hardware", ""), [
        (f"{Control.COUNTERS + 8 * i:#05x}", c.name, "yes" if c.exact else "no", c.text)
        for i, c in enumerate(COUNTERS)])
    yield f"For each of {TAGS} tags from {Control.TAG_COUNTERS.value:#05x}, {TAG_BYTES} bytes: " \
          f"cycles that operations of the tag were busy, words that they streamed, and cycles " \
          f"from the start of each to that of the next.\n"
