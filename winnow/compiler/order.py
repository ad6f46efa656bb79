"""Order between units: tokens, from what operations read and write.

Operations of one unit run in program order. For each pair of units there is one token: an
operation that must come after one of another unit waits for it, and that other one posts it. Along
a straight line of operations the posts and waits of a pair match one to one.
"""

import numpy as np

from isa.registers import Unit
from winnow.compiler.operations import Buffer, Operation

TOKEN_OF = {pair: i for i, pair in enumerate(
    (a, b) for a in Unit for b in Unit if a is not b)}
CONTROL_TOKEN = 1 << len(TOKEN_OF)  # what control itself waits for


class _Users:
    """For each word of the scratchpad the last operation of a unit that reads or writes it."""

    def __init__(self, words: int):
        self.read, self.written = (np.full(words, -1) for _ in range(2))

    def last(self, operation: Operation) -> int:
        """The last of them that must be done before `operation`; -1 if there is none."""
        found = [known[_words(b)].max() for known, buffers in (
            (self.written, operation.buffers), (self.read, operation.writes)) for b in buffers]
        return int(max(found, default=-1))

    def add(self, number: int, operation: Operation) -> None:
        for known, buffers in ((self.read, operation.reads), (self.written, operation.writes)):
            for buffer in buffers:
                known[_words(buffer)] = number


def _words(buffer: Buffer) -> slice:
    return slice(buffer.address, buffer.address + buffer.words)


def straight_lines(operations: list[Operation]) -> list[list[Operation]]:
    """What is done between halts, in each a straight line."""
    starts = [0, *(i for i, operation in enumerate(operations) if operation.resumed)]
    return [operations[start:end]
            for start, end in zip(starts, [*starts[1:], len(operations)], strict=True)]


def order(operations: list[Operation]) -> None:
    """Set `wait` and `post` of a straight line of placed operations that a fence ends."""
    end = max((b.address + b.words for o in operations for b in o.buffers), default=0)
    users = {unit: _Users(end) for unit in Unit}
    seen: dict[tuple[Unit, Unit], int] = {}  # how far a unit has waited for another
    for i, operation in enumerate(operations):
        operation.wait = operation.post = 0
        for unit in Unit:
            if unit is operation.unit:
                continue
            pair = (unit, operation.unit)
            after = users[unit].last(operation)
            if after > seen.get(pair, -1):
                seen[pair] = after
                operations[after].post |= 1 << TOKEN_OF[pair]
                operation.wait |= 1 << TOKEN_OF[pair]
        users[operation.unit].add(i, operation)
