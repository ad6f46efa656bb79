"""What the trees of a core do in the cycles of a tensor operation, taken from the model."""

from dataclasses import dataclass, replace
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
    tiles : uint8 (cycles, slot, TREES, LANES), the tiles of a slot
    number, offset
        (cycles, LANES): a lane multiplies its element with the code of the lane that is `offset`
        before it, modulo 8, of the tile `number`. Both zero where it has no element.
    formats : of the tile and of the word, 1 is E5M2
    position : (cycles, TREES), of the accumulators
    live : bool (cycles, TREES), the tree has something to add
    before : object (cycles, TREES), the accumulators, Python integers in units of the lowest bit
    product : object (cycles, TREES), what is added to them
    dense : multiply-adds of the same work with nothing left out
    """

    word: np.ndarray
    tiles: np.ndarray
    number: np.ndarray
    offset: np.ndarray
    formats: tuple[int, int]
    position: np.ndarray
    live: np.ndarray
    before: np.ndarray
    product: np.ndarray
    dense: float

    @property
    def cycles(self) -> int:
        return len(self.word)

    @property
    def codes(self) -> np.ndarray:
        """uint8 (cycles, TREES, LANES), what each element is multiplied with."""
        rows = np.arange(self.cycles)[:, np.newaxis, np.newaxis]
        lanes = (np.arange(LANES) - self.offset) % LANES
        return self.tiles[rows, self.number[:, np.newaxis], np.arange(TREES)[:, np.newaxis],
                          lanes[:, np.newaxis]]

    def part(self, first: int, count: int) -> "Work":
        """Cycles from `first` on; `dense` in proportion."""
        cut = slice(first, first + count)
        size = len(self.word[cut])
        rows = {name: getattr(self, name)[cut] for name in
                ("word", "tiles", "number", "offset", "position", "live", "before", "product")}
        return replace(self, **rows, dense=self.dense * size / max(1, self.cycles))


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
        chosen = _elements(operation, stream, tiles, kept)
    else:
        live = np.ones((positions, TREES), bool)
        if mode["skip"] & Skip.OUTPUTS:
            live = _live_outputs(operation, words, number)
        chosen = _positions(operation, stream[kept], tiles[kept], live)
    zero = np.zeros(chosen["position"].shape, object)
    found = Work(**chosen, formats=formats, before=zero, product=zero, dense=dense)
    product = _products(operation, found.codes, found.word) * found.live
    return replace(found, product=product,
                   before=_sums_before(product, found.position, positions))


def _moved(registers, prefix: str, at: dict[str, int]):
    """`registers` with the base of a stream at the block `at`."""
    steps = {loop: registers[f"{prefix}.{loop}"] for loop in at}
    base, window = (dict(registers[f"{prefix}.{name}"]) for name in ("base", "window"))
    base["address"] += sum(index * steps[loop]["stride"] for loop, index in at.items())
    for place, step in (("y", "dy"), ("x", "dx")):
        window[place] += sum(index * steps[loop][step] for loop, index in at.items())
    return registers | {f"{prefix}.base": base, f"{prefix}.window": window}


def _positions(operation: Operation, stream: np.ndarray, tiles: np.ndarray,
               live: np.ndarray) -> dict[str, np.ndarray]:
    """Pass by pass each tree walks its live positions; a tree that is through with them, while
    others are not, keeps its word."""
    count = int(live.sum(axis=0).max(initial=0))
    walk = np.zeros((count, TREES), int)
    works = np.arange(count)[:, np.newaxis] < live.sum(axis=0)
    for tree in range(TREES):
        own = np.flatnonzero(live[:, tree])
        walk[:own.size, tree] = own
        walk[own.size:, tree] = own[-1] if own.size else 0
    passes = len(stream)
    slot = np.zeros((passes, operation.config.slot, TREES, LANES), np.uint8)
    slot[:, 0] = tiles
    none = np.zeros((passes * count, LANES), int)
    return {"word": stream[:, walk].reshape(-1, TREES, LANES),
            "tiles": np.repeat(slot, count, axis=0), "number": none, "offset": none,
            "position": np.tile(walk, (passes, 1)), "live": np.tile(works, (passes, 1))}


def _live_outputs(operation: Operation, words: np.ndarray, number: int) -> np.ndarray:
    """bool (positions, TREES): which outputs of the first core have a mask that is not zero, in a
    block."""
    mask = as_bytes(operation.drain.mask.read(words))
    mask = mask.reshape(operation.blocks, -1, operation.positions, TREES)
    return ~floats.element_zero(mask[number, 0])


def _elements(operation: Operation, stream: np.ndarray, tiles: np.ndarray,
              kept: np.ndarray) -> dict[str, np.ndarray]:
    """Cycles of the slots of r0, as docs/architecture.md ("Lanes of a slot") shares them out."""
    rounds, reach = operation.counts["r0"], operation.config.reach
    passes = len(tiles) // rounds
    stream = stream.reshape(passes, rounds, -1, LANES).swapaxes(1, 2)  # pass, position, round
    slot = np.zeros((passes, operation.config.slot, TREES, LANES), np.uint8)
    slot[:, :rounds] = tiles.reshape(passes, rounds, TREES, LANES)
    kept = kept.reshape(passes, 1, rounds, 1)
    live = ~floats.element_zero(stream) & kept
    positions = stream.shape[1]
    cycles, taken = slots.spread(live.sum(axis=2).reshape(-1, LANES), reach)
    total = int(cycles.sum())
    word, number, offset = (np.zeros((total, LANES), int) for _ in range(3))
    place = 0
    for each in np.flatnonzero(cycles):
        number_of_pass, p = divmod(int(each), positions)
        used = np.zeros(LANES, int)  # cycles of each lane; its own elements come first
        for age in range(reach + 1):
            for lane in range(LANES):
                elements = np.flatnonzero(live[number_of_pass, p, :, lane])
                begin = taken[each, lane, :age].sum()
                to = (lane + age) % LANES
                for d in elements[begin:begin + taken[each, lane, age]]:
                    row = place + used[to]
                    word[row, to] = stream[number_of_pass, p, d, lane]
                    number[row, to], offset[row, to] = d, age
                    used[to] += 1
        place += cycles[each]
    of_pass, of_position = np.divmod(np.repeat(np.arange(len(cycles)), cycles), positions)
    return {"word": np.repeat(word.astype(np.uint8)[:, np.newaxis], TREES, axis=1),
            "tiles": slot[of_pass], "number": number, "offset": offset,
            "position": np.repeat(of_position[:, np.newaxis], TREES, axis=1),
            "live": np.ones((total, TREES), bool)}


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
