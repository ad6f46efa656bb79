"""Register values as the model holds them: name to field to value."""

from isa import fields
from isa.registers import (
    BY_INDEX,
    VECTOR_INPUTS,
    VECTOR_LOOPS,
    Activation,
    Operand,
    Reduce,
    Unit,
    of_unit,
)

Registers = dict[str, dict[str, int]]
Values = frozenset[tuple[int, int]]  # of registers: index, value


def defaults(unit: Unit) -> Registers:
    """All registers of `unit` with their defaults."""
    return {r.name: {f.name: f.default for f in r.fields} for r in of_unit(unit)}


def registers_of(unit: Unit, values: Values) -> Registers:
    """All registers of `unit`, those in `values` with these."""
    registers = defaults(unit)
    for index, value in values:
        register = BY_INDEX[index]
        registers[register.name] = fields.decode(register.fields, value)
    return registers


def vector_counts(registers: Registers) -> dict[str, int]:
    """The count of each loop of a vector operation."""
    values = registers["vector.counts"] | registers["vector.outer"]
    return {loop: values[loop] for loop in VECTOR_LOOPS}


def datapath_counts(registers: Registers, datapaths: int) -> dict[str, int]:
    """Those of the datapath that has the most rounds; all of them where nothing is split."""
    counts = vector_counts(registers)
    if split := registers["vector.outer"].get("split", 0):
        loop = VECTOR_LOOPS[split - 1]
        counts[loop] = -(-counts[loop] // datapaths)
    return counts


def used_inputs(registers: Registers) -> list[str]:
    """The inputs of a vector operation that are read."""
    op = registers["vector.op"]
    named = {op[o] for o in "abcdef"}
    if op["activation"] == Activation.MASK or op["gate"]:
        named.add(Operand.Z)
    if op["reduce"] == Reduce.MAX and registers["vector.o1.mode"]["enable"]:
        named.add(Operand.X)
    return [i for i in VECTOR_INPUTS if Operand[i.upper()] in named]
