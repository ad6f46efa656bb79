"""Register values as the model holds them: name to field to value."""

from isa.registers import Unit, of_unit

Registers = dict[str, dict[str, int]]


def defaults(unit: Unit) -> Registers:
    """All registers of `unit` with their defaults."""
    return {r.name: {f.name: f.default for f in r.fields} for r in of_unit(unit)}
