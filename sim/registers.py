"""Register values as the model holds them: name to field to value."""

from isa.registers import VECTOR_LOOPS, Unit, of_unit

Registers = dict[str, dict[str, int]]


def defaults(unit: Unit) -> Registers:
    """All registers of `unit` with their defaults."""
    return {r.name: {f.name: f.default for f in r.fields} for r in of_unit(unit)}


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
