"""Bit fields, the alphabet of the instruction and register tables."""

from dataclasses import dataclass
from enum import Enum


class FieldError(ValueError):
    """A value that its field cannot hold. The message names the value and the range."""


class Kind(Enum):
    """How a field is written in assembly."""

    UNSIGNED = "unsigned"
    SIGNED = "signed"
    MASK = "mask"  # unsigned, printed in hexadecimal
    FLOAT = "float"  # the bits of a binary32 number
    SCALAR = "scalar register"
    REGISTER = "unit register"
    UNIT = "unit"
    TARGET = "target"  # a count of instructions to skip; a label in assembly
    CONDITION = "condition"
    GUARD = "guard"


@dataclass(frozen=True)
class Field:
    """`width` bits from bit `low` of a 64-bit instruction or a 48-bit register."""

    name: str
    low: int
    width: int
    kind: Kind = Kind.UNSIGNED
    default: int = 0
    text: str = ""
    optional: bool = False  # in assembly written name=value, or left out

    @property
    def signed(self) -> bool:
        return self.kind is Kind.SIGNED

    @property
    def least(self) -> int:
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def most(self) -> int:
        return (1 << (self.width - self.signed)) - 1

    def encode(self, value: int) -> int:
        """`value` in place; `FieldError` if it does not fit."""
        if not self.least <= value <= self.most:
            raise FieldError(f"{self.name} = {value}: must be from {self.least} to {self.most}")
        return (value & ((1 << self.width) - 1)) << self.low

    def decode(self, word: int) -> int:
        value = (word >> self.low) & ((1 << self.width) - 1)
        return value - (1 << self.width) if self.signed and value > self.most else value


def encode(fields: tuple[Field, ...], values: dict[str, int]) -> int:
    """The word whose fields hold `values`, the others their defaults."""
    unknown = set(values) - {f.name for f in fields}
    if unknown:
        raise FieldError(f"no field {', '.join(sorted(unknown))}: "
                         f"there are {', '.join(f.name for f in fields) or 'none'}")
    word = 0
    for field in fields:
        word |= field.encode(values.get(field.name, field.default))
    return word


def decode(fields: tuple[Field, ...], word: int) -> dict[str, int]:
    """The values of all `fields` of `word`."""
    return {f.name: f.decode(word) for f in fields}


def used_bits(fields: tuple[Field, ...]) -> int:
    """A mask of the bits that some field covers; the others must be zero."""
    return sum(((1 << f.width) - 1) << f.low for f in fields)


def pack(*fields: tuple) -> tuple[Field, ...]:
    """Fields laid out from bit 0 up; each argument is (name, width[, kind[, default[, text]]])."""
    placed, low = [], 0
    for name, width, *rest in fields:
        placed.append(Field(name, low, width, *rest))
        low += width
    return tuple(placed)
