"""The tensor and vector operations once more, element by element in plain Python and fractions.

Slow, and written apart from `sim` on purpose: loops as docs/architecture.md prints them.
"""

from fractions import Fraction
from itertools import product

import numpy as np

from isa.formats import E4M3, E5M2
from isa.registers import BLOCKS, POSITIONS, REDUCTION
from sim import floats


def place(registers, stream, index):
    """Address, row and column of a stream for loop indices."""
    address = registers[f"tensor.{stream}.base"]["address"]
    window = registers.get(f"tensor.{stream}.window", {"y": 0, "x": 0})
    row, column = window["y"], window["x"]
    for name, i in index.items():
        step = registers.get(f"tensor.{stream}.{name}")
        if step:
            address += i * step["stride"]
            row += i * step.get("dy", 0)
            column += i * step.get("dx", 0)
    inside = "height" not in window or (
        0 <= row < window["height"] and 0 <= column < window["width"])
    return address % (1 << 20), inside


def word(words, registers, stream, index):
    """The 8 codes of one word of a stream."""
    address, inside = place(registers, stream, index)
    return list(int(words[address]).to_bytes(8, "little")) if inside else [0] * 8


def indices(counts, names):
    """All index tuples as dicts, the first name innermost."""
    for values in product(*(range(counts[n]) for n in reversed(names))):
        yield dict(zip(reversed(names), values, strict=True))


def value(code, fmt):
    """A Fraction, or None for NaN and infinity."""
    number = float(floats.values(fmt)[code])
    return Fraction(number) if np.isfinite(number) else None


def sums(registers, words, exponent):
    """Yields (block index, drain index of group and core, position index, sums of the 8 trees).

    A sum is None where poisoned. With `merge` there is only group 0.
    """
    mode = registers["tensor.mode"]
    counts = {**registers["tensor.positions"], **registers["tensor.reduction"],
              **registers["tensor.blocks"]}
    formats = [E5M2 if mode[s] else E4M3 for s in ("stationary", "stream")]
    groups, merge = (registers["tensor.groups"][n] for n in ("groups", "merge"))
    for block in indices(counts, BLOCKS):
        positions = list(indices(counts, POSITIONS))
        total = {}
        for group in range(groups):
            _group(registers, words, {**block, "group": group}, 0 if merge else group, total,
                   counts, positions, formats)
        for key, core, (p, index) in product(range(1 if merge else groups),
                                             range(counts["cores"]), enumerate(positions)):
            yield block, {"group": key, "core": core}, index, [
                total[key, core, p, tree] for tree in range(8)]


def _group(registers, words, outer, drained, total, counts, positions, formats):
    """Add one group's products of a block to `total`."""
    mode = registers["tensor.mode"]
    for core, p, tree in product(range(counts["cores"]), range(len(positions)), range(8)):
        total.setdefault((drained, core, p, tree), Fraction(0))
    for reduction in indices(counts, REDUCTION):
        stream = [word(words, registers, "stream", {**outer, **reduction, **p})
                  for p in positions]
        if mode["turn_stream"]:
            stream = [[stream[p - p % 8 + i][p % 8] for i in range(8)]
                      for p in range(len(stream))]
        for core in range(counts["cores"]):
            tile = [word(words, registers, "stationary",
                         {**outer, **reduction, "core": core, **q})
                    for q in indices(counts, ("q0", "q1"))]
            for p, tree, lane in product(range(len(positions)), range(8), range(8)):
                s = tile[lane][tree] if mode["transpose"] else tile[tree][lane]
                m = stream[p][lane]
                if s & 0x7F == 0 or m & 0x7F == 0:
                    continue
                a, b = value(s, formats[0]), value(m, formats[1])
                key = drained, core, p, tree
                if a is None or b is None or total[key] is None:
                    total[key] = None
                else:
                    total[key] += a * b
