"""How much vector operations and moves slow down where units want the same banks.

Each request that loses its bank comes again in the next cycle; the tensor unit wins, then a move,
then the vector unit (docs/architecture.md, "Hardware interfaces"). What is not random cannot be
told from rates: streams of a word a cycle part once and never meet again, slower ones stay in each
other's way. So a short window of cycles is walked bank by bank, from where the operations are, and
what got through in it is the rate.
"""

from dataclasses import dataclass
from functools import lru_cache

from isa.config import Config
from isa.registers import Unit
from sim.registers import Registers
from sim.tensor_traffic import TensorTraffic
from sim.traffic import MoveTraffic, VectorTraffic

WINDOW, WARM = 288, 32  # cycles that are walked, and of these the first, which are not counted
AHEAD = 1  # words that an input of the vector unit has beyond a group
FULL = (1 << 16) - 1  # lanes with a group in every stage
LAST = FULL + 1 >> 1
CONVERTER = 4  # stages
FLOAT_WORDS = 4
REMEMBERED = 512  # operations

TRAFFIC = {Unit.TENSOR: TensorTraffic, Unit.VECTOR: VectorTraffic, Unit.MOVE: MoveTraffic}


@dataclass(frozen=True)
class Part:
    """An operation at work: its registers, the cycles that it takes alone, and the share of them
    that is behind it."""

    unit: Unit
    key: str  # of the registers
    registers: Registers
    cycles: int
    done: float


class Contention:
    """The banks of a chip of `config`."""

    def __init__(self, config: Config):
        self.config = config
        self._traffic = lru_cache(REMEMBERED)(self._make)
        self._registers: dict[str, Registers] = {}

    def rates(self, parts: list[Part]) -> dict[Unit, float]:
        """By unit, progress in a cycle of operations that are at work together; alone it is 1."""
        rates = {part.unit: 1.0 for part in parts}
        traffic = {part.unit: self._of(part) for part in parts}
        vector, move = traffic.get(Unit.VECTOR), traffic.get(Unit.MOVE)
        if vector is None and (move is None or len(parts) == 1):
            return rates
        reads, writes = [0] * WINDOW, [0] * WINDOW
        done = {part.unit: part.done for part in parts}
        if tensor := traffic.get(Unit.TENSOR):
            tensor.mark(done[Unit.TENSOR], reads, writes)
        beats = _Beats(move.beats(done[Unit.MOVE], WINDOW)) if move else None
        paths = [_Path(vector, done[Unit.VECTOR], number)
                 for number in range(vector.datapaths)] if vector else []
        counted = [0, 0]
        for cycle, (read, written) in enumerate(zip(reads, writes, strict=True)):
            if cycle == WARM:
                counted = [beats.through if beats else 0, _groups(paths)]
            if beats and move.stores:
                read = beats.step(read)
            elif beats:
                written = beats.step(written)
            for path in paths:
                read, written = path.step(read, written)
        cycles = WINDOW - WARM
        if beats:
            rates[Unit.MOVE] = min(1.0, (beats.through - counted[0]) / (cycles * move.pace))
        if paths:
            rates[Unit.VECTOR] = min(1.0, (_groups(paths) - counted[1]) * vector.interval / cycles)
        return rates

    def _of(self, part: Part):
        self._registers[part.key] = part.registers
        return self._traffic(part.unit, part.key, part.cycles)

    def _make(self, unit: Unit, key: str, cycles: int):
        return TRAFFIC[unit](self.config, self._registers.pop(key), cycles)


def _groups(paths: "list[_Path]") -> int:
    """Of the datapath that is behind the others."""
    return min((path.groups for path in paths), default=0)


class _Beats:
    """The words of a move, a beat at a time: the next beat comes when all of one are through.

    Parameters
    ----------
    beats : of each the banks of its words, a bit each
    """

    def __init__(self, beats):
        self.beats = iter(beats)
        self.left = next(self.beats)
        self.through = 0

    def step(self, busy: int) -> int:
        """A cycle with those banks in use; gives all that are."""
        blocked = self.left & busy
        taken = busy | self.left
        self.left = blocked
        if not blocked:
            self.through += 1
            self.left = next(self.beats, 0)
        return taken


class _Path:
    """A datapath of the vector unit: inputs, lanes that move together, one place of results,
    outputs, and the converter, whose stages move together as well. It begins with full lanes."""

    def __init__(self, vector: VectorTraffic, done: float, number: int):
        self.groups = 0  # that went into the lanes
        self.inputs = [[banks, size, 0] for banks, size in vector.inputs(done, number, WINDOW)]
        self.outputs = [[banks, size, 0, 0] for banks, size in vector.outputs(done, number, WINDOW)]
        self.wide = [size == FLOAT_WORDS for _, size, _, _ in self.outputs]
        self.lanes, self.result = FULL, True
        self.converter: list[int | None] = [None] * CONVERTER

    def step(self, read: int, written: int) -> tuple[int, int]:
        """A cycle with those banks in use by reads and by writes; gives all that are."""
        written, free = self._write(written)
        last = self.lanes & LAST
        if not last or free:
            following = self.groups + 1
            present = all(there >= following * size for _, size, there in self.inputs)
            self.groups += present
            self.lanes = (self.lanes << 1 | present) & FULL
        if free:
            self.result = bool(last)
        for port in self.inputs:
            banks, size, there = port
            if there < (self.groups + 1) * size + AHEAD and not banks[there] & read:
                read |= banks[there]
                port[2] += 1
        return read, written

    def _write(self, busy: int) -> tuple[int, bool]:
        """Of a cycle's writes, and whether there is room for a result after it."""
        moves, head = True, self.converter[-1]
        if head is not None:
            busy, moves = self._word(head, busy)
        asked = None
        if self.result:
            for i, (_, size, _, given) in enumerate(self.outputs):
                if given == size:
                    continue
                if self.wide[i]:
                    busy, through = self._word(i, busy)
                    self.outputs[i][3] += through
                elif moves and asked is None:
                    asked = i
                    self.outputs[i][3] += 1
        if moves:
            self.converter = [asked, *self.converter[:-1]]
        free = not self.result or all(given == size for _, size, _, given in self.outputs)
        if free:
            for output in self.outputs:
                output[3] = 0
        return busy, free

    def _word(self, output: int, busy: int) -> tuple[int, bool]:
        """A word of an output, if its bank is free: what is in use, and whether it is through."""
        banks, _, through, _ = self.outputs[output]
        if banks[through] & busy:
            return busy, False
        self.outputs[output][2] += 1
        return busy | banks[through], True
