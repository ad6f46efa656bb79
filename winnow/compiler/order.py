"""Order between units: tokens, from what operations read and write.

Operations of one unit run in program order. For each pair of units there is one token: an
operation that must come after one of another unit waits for it, and that other one posts it. Along
a straight line of operations the posts and waits of a pair match one to one.
"""

from isa.registers import Unit
from winnow.compiler.operations import Operation

TOKEN_OF = {pair: i for i, pair in enumerate(
    (a, b) for a in Unit for b in Unit if a is not b)}


def order(operations: list[Operation]) -> None:
    """Set `wait` and `post` of a straight line of placed operations that a fence ends."""
    seen: dict[tuple[Unit, Unit], int] = {}  # how far a unit has waited for another
    for i, operation in enumerate(operations):
        operation.wait = operation.post = 0
        for unit in Unit:
            if unit is operation.unit:
                continue
            pair = (unit, operation.unit)
            after = _last_conflict(operations, i, unit, seen.get(pair, -1))
            if after is not None:
                seen[pair] = after
                operations[after].post |= 1 << TOKEN_OF[pair]
                operation.wait |= 1 << TOKEN_OF[pair]


def _last_conflict(operations, i: int, unit: Unit, known: int) -> int | None:
    """The last operation of `unit` between `known` and `i` that must be done before `i`."""
    for j in range(i - 1, known, -1):
        if operations[j].unit is unit and operations[j].conflicts(operations[i]):
            return j
    return None
