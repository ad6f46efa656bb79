"""Bit planes: plane i of 8 bytes holds bit i of each, byte 0 in its bit 0.

The lanes of a tree do the same bitwise work, so it is written once, on planes of 8 bits: each
operator below is one gate a lane, in the order that is written.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

PLANES = 8


def wire(m: Module, name: str, value: Value) -> Signal:
    """A signal that holds `value`, so that it is emitted once however often it is used."""
    signal = Signal(value.shape(), name=name)
    m.d.comb += signal.eq(value)
    return signal


def spread(bit: Value, width: int, mask: int | None = None) -> Value:
    """`width` bits: `mask` (or all ones) where `bit` is one, else zero.

    Wires, but one operation in simulation.
    """
    ones = (1 << width) - 1
    return Mux(bit, Const(ones if mask is None else mask, width), Const(0, width))


def register(m: Module, name: str, value: Value) -> Signal:
    """A register that takes `value` at each cycle's end."""
    signal = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += signal.eq(value)
    return signal


def transpose(m: Module, name: str, word: Value) -> Value:
    """The 8x8 bit transpose of 64 bits: bit j of byte i is bit i of byte j. Wires only.

    Three swaps of blocks, as masks and shifts of whole words, which simulate fast.
    """
    for size, mask in ((1, 0x00AA00AA00AA00AA), (2, 0x0000CCCC0000CCCC), (4, 0x00000000F0F0F0F0)):
        by = 7 * size  # from the block above the diagonal to the one below it
        stay = ~(mask | mask << by) & 0xFFFF_FFFF_FFFF_FFFF
        word = wire(m, f"{name}_{size}",
                    (word & stay) | ((word & mask) << by)[:64] | ((word >> by) & mask))
    return word


def split(word: Value) -> list[Value]:
    """The bytes of 64 bits."""
    return [word[8 * i:8 * i + 8] for i in range(PLANES)]


def lanes(m: Module, name: str, planes: list[Value]) -> list[Value]:
    """For each lane the bits of `planes` that are its own, in order."""
    words = []
    for at in range(0, len(planes), PLANES):
        part = planes[at:at + PLANES]
        word = wire(m, f"{name}_{at // PLANES}", Cat(*part, Const(0, 8 * (PLANES - len(part)))))
        turned = split(transpose(m, f"{name}_{at // PLANES}_turned", word))
        words.append([byte[:len(part)] for byte in turned])
    return [Cat(*parts) for parts in zip(*words, strict=True)]


def half_add(m: Module, name: str, a: Value, b: Value) -> tuple[Value, Value]:
    """Sum and carry of two planes."""
    return wire(m, f"{name}_sum", a ^ b), wire(m, f"{name}_carry", a & b)


def full_add(m: Module, name: str, a: Value, b: Value, c: Value) -> tuple[Value, Value]:
    """Sum and carry of three planes: two exclusive-ors and a multiplexer; `c` may come late."""
    differ = wire(m, f"{name}_differ", a ^ b)
    total = wire(m, f"{name}_sum", differ ^ c)
    return total, wire(m, f"{name}_carry", (differ & c) | (~differ & a))


def add(m: Module, name: str, a: list[Value], b: list[Value]) -> list[Value]:
    """The sum of two numbers of as many planes, lowest first, by ripple; one plane more."""
    total, carry = half_add(m, f"{name}_0", a[0], b[0])
    result = [total]
    for i in range(1, len(a)):
        total, carry = full_add(m, f"{name}_{i}", a[i], b[i], carry)
        result.append(total)
    return [*result, carry]


def multiply(m: Module, name: str, a: list[Value], b: list[Value]) -> list[Value]:
    """The product of two unsigned numbers of planes, lowest first: an array of adders."""
    row = [wire(m, f"{name}_{i}_0", a[i] & b[0]) for i in range(len(a))]
    result, carry_out = [], None
    for j in range(1, len(b)):
        result.append(row[0])
        high = row[1:] + ([carry_out] if carry_out is not None else [])
        terms = [wire(m, f"{name}_{i}_{j}", a[i] & b[j]) for i in range(len(a))]
        row, carry = [], None
        for i, term in enumerate(terms):
            operands = [x for x in (term, high[i] if i < len(high) else None, carry)
                        if x is not None]
            adder = full_add if len(operands) == 3 else half_add
            total, carry = adder(m, f"{name}_row{j}_{i}", *operands)
            row.append(total)
        carry_out = carry
    return [*result, *row, carry_out]


def count(m: Module, name: str, planes: list[Value]) -> list[Value]:
    """How many of `planes` are set, bit by bit, as planes, lowest first; by full adders."""
    columns, weight = {0: list(planes)}, 0
    while weight in columns:
        column, level = columns[weight], 0
        while len(column) > 1:
            adder = full_add if len(column) > 2 else half_add
            total, carry = adder(m, f"{name}_{weight}_{level}", *column[:3])
            column = [*column[3:], total]
            columns.setdefault(weight + 1, []).append(carry)
            level += 1
        columns[weight], weight = column, weight + 1
    return [columns[i][0] for i in range(weight)]
