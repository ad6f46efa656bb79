"""When words and tiles enter the cores of a tensor operation, in cycles from its start.

A word a cycle enters; passes follow without a gap unless the next tile is late. A tile is 8 words,
read one a cycle by a port of each core while the present pass goes on. A tile word whose bank the
stream or the port of a lower core reads in the same cycle comes later.
"""

from bisect import bisect_right
from itertools import pairwise

import numpy as np

from isa.config import TREES, Config
from isa.registers import BLOCKS, POSITIONS, REDUCTION, ROWS
from sim.registers import Registers

AHEAD = 2  # words that a reader keeps
TURNED = 8  # words that a turn of the stream keeps


class Feeding:
    """The passes of one group of cores.

    Parameters
    ----------
    counts : of all loops of the operation
    group : number of the group

    Attributes
    ----------
    swapped : the cycle in which the present tile was complete and the one before through
    begun : first cycles of all passes so far
    """

    def __init__(self, config: Config, registers: Registers, counts: dict[str, int], group: int):
        self.positions = int(np.prod([counts[p] for p in POSITIONS]))
        self.passes = int(np.prod([counts[r] for r in REDUCTION]))
        self.cores = range(counts["core"])
        outer = (*BLOCKS[::-1], *REDUCTION[::-1])
        fixed = {"group": group}
        self.stream = _Banks(config, registers, "stream", counts, outer, POSITIONS[::-1], fixed)
        self.tiles = [_Banks(config, registers, "stationary", counts, outer, ROWS[::-1],
                             fixed | {"core": core}) for core in self.cores]
        self.shift = TURNED if registers["tensor.mode"]["turn_stream"] else 0
        self.number = -1  # of the present pass
        self.begun: list[int] = []
        self.late = False  # the next pass has to wait for its tile
        # A stream that leaves a bank in each cycle holds up a word of a tile for one: a long pass
        # hides all of that.
        self.hidden = (self.positions >= 2 * TREES + len(self.cores) and self.stream.moves)
        # Before the first pass both sides read from the first cycle on.
        self.swapped = 0
        self.swapped = self._load(2 - self.positions + self.shift, 0, False)

    def block(self, room: int) -> int:
        """Feeds a block, not before cycle `room`: the cycle of the first word of its last pass."""
        for _ in range(self.passes):
            self.number += 1
            first = max(self.swapped + 1, room)
            self.begun.append(first)
            last = first + self.positions - 1
            gap = first > self.swapped + 1 or self.late
            ready = 0 if self.hidden else self._load(first, 1, gap)
            self.late = ready > last
            self.swapped = max(ready, last)
        return first

    def banks(self, cycle: int) -> list[int | None]:
        """What the stream and the tiles read in a cycle of a pass that has begun; tiles as if none
        of them had to wait."""
        number = bisect_right(self.begun, cycle + 1) - 1
        if number < 0:
            return []
        place, following = cycle + 1 - self.begun[number], number + 1
        found = [self.stream.bank(number, place)] if place < self.positions else []
        if place < TREES and following < self.stream.passes:
            found += [tile.bank(following, place) for tile in self.tiles]
        return found

    def _load(self, first: int, words: int, gap: bool) -> int:
        """The cycle in which the tile after the present one is complete, of which `words` were read
        before; the present pass began in cycle `first`, after a `gap` or not."""
        following = self.number + 1
        if following >= self.stream.passes:
            return 0
        cycle = self.swapped
        left = [(tile, words) for tile in self.tiles]
        while left:
            cycle += 1
            taken = {self._streamed(cycle, first, gap)}
            rest = []
            for tile, word in left:
                bank = tile.bank(following, word)
                if bank is None or bank not in taken:
                    taken.add(bank)
                    word += 1
                if word < TREES:
                    rest.append((tile, word))
            left = rest
        return cycle + 1

    def _streamed(self, cycle: int, first: int, gap: bool) -> int | None:
        """The bank that the stream reads in a cycle, None if it reads none."""
        place = cycle - first + 1
        if place < 1 or place > self.positions + AHEAD - 1 or (gap and place < AHEAD):
            return None
        passes, place = divmod(place + self.shift, self.positions)
        number = self.number + passes
        return self.stream.bank(number, place) if number < self.stream.passes else None


class _Banks:
    """The banks of a stream, by pass and by place in it.

    Parameters
    ----------
    outer, inner : the loops over passes, and over the places of one, outermost first
    fixed : loops that stand still, and where
    """

    def __init__(self, config: Config, registers: Registers, name: str, counts, outer, inner,
                 fixed):
        self.mask = config.banks - 1

        def affine(field: str, loops, start: int = 0) -> list[int]:
            total = np.full((), start, np.int64)
            for loop in loops:
                step = registers[f"tensor.{name}.{loop}"][field]
                total = total[..., np.newaxis] + step * np.arange(counts[loop])
            return total.ravel().tolist()

        def stream(field: str, start: int):
            start += sum(place * registers[f"tensor.{name}.{loop}"][field]
                         for loop, place in fixed.items())
            return affine(field, outer, start), affine(field, inner)

        window = registers[f"tensor.{name}.window"]
        self.addresses = stream("stride", registers[f"tensor.{name}.base"]["address"])
        self.rows, self.columns = stream("dy", window["y"]), stream("dx", window["x"])
        self.height, self.width = window["height"], window["width"]
        self.passes = len(self.addresses[0])
        places = self.addresses[1]
        self.moves = all((b - a) & self.mask for a, b in pairwise(places))  # in each place

    def bank(self, number: int, place: int) -> int | None:
        """None for what is outside the window: it touches no bank."""
        row = self.rows[0][number] + self.rows[1][place]
        column = self.columns[0][number] + self.columns[1][place]
        if not (0 <= row < self.height and 0 <= column < self.width):
            return None
        return (self.addresses[0][number] + self.addresses[1][place]) & self.mask
