"""What the trees of a core do in the cycles of a tensor operation, taken from the model."""

from dataclasses import dataclass
from math import prod

import numpy as np

from isa.config import LANES, TREES
from isa.registers import BLOCKS, POSITIONS, REDUCTION, ROWS, Skip
from sim import floats, slots
from sim.loops import Runs, as_bytes, nest
from sim.tensor import Operation


@dataclass(frozen=True)
class Work:
    """Cycles of the first core.

    Attributes
    ----------
    word : uint8 (cycles, TREES, LANES), the element of each lane; zero where it has none
    codes : uint8 (cycles, TREES, LANES), of the tile, what it is multiplied with
    formats : of the tile and of the word, 1 is E5M2
    position : (cycles, TREES), of the accumulators
    live : bool (cycles, TREES), the tree has something to add
    before : object (cycles, TREES), the accumulators, Python integers in units of the lowest bit
    product : object (cycles, TREES), what is added to them
    dense : multiply-adds of the same work with nothing left out
    """

    word: np.ndarray
    codes: np.ndarray
    formats: tuple[int, int]
    position: np.ndarray
    live: np.ndarray
    before: np.ndarray
    product: np.ndarray
    dense: float

    @property
    def cycles(self) -> int:
        return len(self.word)

    def part(self, first: int, count: int) -> "Work":
        """Cycles from `first` on; `dense` in proportion."""
        cut = slice(first, first + count)
        size = len(self.word[cut])
        return Work(self.word[cut], self.codes[cut], self.formats, self.position[cut],
                    self.live[cut], self.before[cut], self.product[cut],
                    self.dense * size / max(1, self.cycles))


def blocks(operation: Operation) -> int:
    """How many blocks an operation has."""
    return prod(operation.counts[loop] for loop in BLOCKS)


def block(operation: Operation, words: np.ndarray, number: int) -> Work:
    """All cycles in which the first core of the first group works on a block of `operation`.

    Parameters
    ----------
    words : the scratchpad before it
    number : of the block, in the order in which they are done
    """
    counts, registers, mode = operation.counts, operation.registers, operation.mode
    places, at = [counts[loop] for loop in BLOCKS[::-1]], {}
    for loop, index in zip(BLOCKS[::-1], np.unravel_index(number, places), strict=True):
        at[loop] = int(index)

    def read(stream: str, axes: tuple[str, ...]) -> np.ndarray:
        moved = _moved(registers, f"tensor.{stream}", at)
        items = nest(moved, f"tensor.{stream}", counts, axes)
        return as_bytes(Runs(items, words.size).read(words))

    passes, positions = operation.passes, operation.positions
    stream = read("stream", (*REDUCTION[::-1], *POSITIONS[::-1]))
    stream = stream.reshape(passes, positions, LANES)
    if mode["turn_stream"]:  # byte i of word j is byte j of word i
        stream = stream.reshape(passes, -1, 8, LANES).swapaxes(2, 3).reshape(stream.shape)
    tiles = read("stationary", (*REDUCTION[::-1], *ROWS[::-1])).reshape(passes, TREES, LANES)
    if mode["transpose"]:
        tiles = tiles.swapaxes(1, 2)
    dense = passes * positions * TREES * LANES
    formats = mode["stationary"], mode["stream"]
    kept = np.ones(passes, bool)
    if mode["skip"] & Skip.TILES:
        kept = ~floats.element_zero(tiles).all(axis=(1, 2))
    if mode["skip"] & Skip.ELEMENTS:
        word, codes, position = _elements(operation, stream, tiles, kept)
        live = np.ones((len(word), TREES), bool)
    else:
        live = np.ones((positions, TREES), bool)
        if mode["skip"] & Skip.OUTPUTS:
            live = _live_outputs(operation, words, at)
        word, codes, position, live = _positions(stream[kept], tiles[kept], live)
    product = _products(operation, codes, word) * live
    return Work(word, codes, formats, position, live, _sums_before(product, position, positions),
                product, dense)


def _moved(registers, prefix: str, at: dict[str, int]):
    """`registers` with the base of a stream at the block `at`."""
    steps = {loop: registers[f"{prefix}.{loop}"] for loop in at}
    base, window = (dict(registers[f"{prefix}.{name}"]) for name in ("base", "window"))
    base["address"] += sum(index * steps[loop]["stride"] for loop, index in at.items())
    for place, step in (("y", "dy"), ("x", "dx")):
        window[place] += sum(index * steps[loop][step] for loop, index in at.items())
    return registers | {f"{prefix}.base": base, f"{prefix}.window": window}


def _positions(stream: np.ndarray, tiles: np.ndarray, live: np.ndarray):
    """Pass by pass each tree walks its live positions; a tree that is through with them, while
    others are not, keeps its word."""
    count = int(live.sum(axis=0).max(initial=0))
    walk = np.zeros((count, TREES), int)
    works = np.arange(count)[:, np.newaxis] < live.sum(axis=0)
    for tree in range(TREES):
        own = np.flatnonzero(live[:, tree])
        walk[:, tree] = np.resize(own, count) if own.size else 0
        walk[own.size:, tree] = own[-1] if own.size else 0
    passes = len(stream)
    word = stream[:, walk].reshape(-1, TREES, LANES)
    codes = np.repeat(tiles, count, axis=0)
    return word, codes, np.tile(walk, (passes, 1)), np.tile(works, (passes, 1))


def _live_outputs(operation: Operation, words: np.ndarray, at: dict[str, int]) -> np.ndarray:
    """bool (positions, TREES): which outputs of the first core have a mask that is not zero."""
    mask = as_bytes(operation.drain.mask.read(words))
    mask = mask.reshape(operation.blocks, -1, operation.positions, TREES)
    number = np.ravel_multi_index([at[loop] for loop in BLOCKS[::-1]],
                                  [operation.counts[loop] for loop in BLOCKS[::-1]])
    return ~floats.element_zero(mask[number, 0])


def _elements(operation: Operation, stream: np.ndarray, tiles: np.ndarray, kept: np.ndarray):
    """Cycles of the slots of r0, as docs/architecture.md ("Lanes of a slot") shares them out."""
    rounds, reach = operation.counts["r0"], operation.config.reach
    groups = len(tiles) // rounds
    stream = stream.reshape(groups, rounds, -1, LANES).swapaxes(1, 2)  # group, position, round
    tiles, kept = tiles.reshape(groups, rounds, TREES, LANES), kept.reshape(groups, rounds)
    live = ~floats.element_zero(stream) & kept[:, np.newaxis, :, np.newaxis]
    positions = stream.shape[1]
    cycles, taken = slots.spread(live.sum(axis=2).reshape(-1, LANES), reach)
    total = int(cycles.sum())
    word = np.zeros((total, TREES, LANES), np.uint8)
    codes = np.zeros((total, TREES, LANES), np.uint8)
    position, place = np.zeros((total, TREES), int), 0
    for slot in np.flatnonzero(cycles):
        group, p = divmod(int(slot), positions)
        n = cycles[slot]
        end = place + n
        position[place:end] = p
        codes[place:end] = tiles[group, 0]  # lanes without an element have tile 0 as it is
        used = np.zeros(LANES, int)  # cycles of each lane; its own elements come first
        for age in range(reach + 1):
            for lane in range(LANES):
                elements = np.flatnonzero(live[group, p, :, lane])
                begin = taken[slot, lane, :age].sum()
                to = (lane + age) % LANES
                for d in elements[begin:begin + taken[slot, lane, age]]:
                    word[place + used[to], :, to] = stream[group, p, d, lane]
                    codes[place + used[to], :, to] = tiles[group, d, :, lane]
                    used[to] += 1
        place = end
    return word, codes, position


def _products(operation: Operation, codes: np.ndarray, word: np.ndarray) -> np.ndarray:
    """Sums of the lanes' products, object (cycles, TREES), in units of the accumulator's lowest
    bit. Eight products of FP8 numbers, each below 2^65, so in two steps of 64 bits or less."""
    shift = -operation.config.lowest_exponent
    total = None
    for fmt, these in zip(operation.formats, (codes, word), strict=True):
        value = floats.values(fmt).astype(np.float64)
        whole = np.ldexp(np.where(np.isfinite(value), value, 0), -fmt.lowest_exponent)
        shift += fmt.lowest_exponent
        factor = whole.astype(np.int64)[these]
        total = factor if total is None else total.astype(object) * factor if (
            operation.config.mode == "e5m2") else total * factor
    return total.sum(axis=-1).astype(object) * (1 << shift)


def _sums_before(product: np.ndarray, position: np.ndarray, positions: int) -> np.ndarray:
    """The accumulators of each cycle before its products, of a block that begins with zero."""
    sums = np.zeros((positions, TREES), object)
    before, trees = np.zeros(product.shape, object), np.arange(TREES)
    for cycle, (place, more) in enumerate(zip(position, product, strict=True)):
        before[cycle] = sums[place, trees]
        sums[place, trees] += more
    return before
