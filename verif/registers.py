"""Registers of an operation, written short."""

from isa.registers import Unit
from sim.registers import Registers, defaults


def registers(unit: Unit, **values: dict) -> Registers:
    """The defaults of `unit` with the given fields: `mode={"scale": 3}` for ``tensor.mode``.

    A dot of a name is written as two underscores: `stream__base`.
    """
    result = defaults(unit)
    for name, fields in values.items():
        key = f"{unit.name.lower()}.{name.replace('__', '.')}"
        row = result[key]
        unknown = set(fields) - set(row)
        if unknown:
            raise KeyError(f"{key} has no field {unknown}")
        row.update({field: int(value) for field, value in fields.items()})
    return result
