"""In which order operations are given to the units, and where their buffers lie.

Each unit works through its operations in order, and the three work at the same time. So the order
decides how far the fills of the next job run ahead, and buffers live from the first operation that
names them to the last. Both are found together, by walking through the step with estimated cycles.
"""

from copy import copy
from dataclasses import dataclass, field
from itertools import takewhile

from isa.config import Config
from isa.registers import Unit
from sim.estimate import estimate
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.placement import PlacementError

AHEAD = 2  # jobs that may begin while an older one is unfinished; fewer where room is short
NEAR = 2  # jobs before the one that finds no room, that begin fewer jobs ahead
SAVED = 500  # operations after which the state is kept, to go back to
KEPT = 4
LASTING = 2  # jobs after which a buffer counts as one that lasts
PAGE = 4096  # bytes of external memory: moves on different ones do not meet
SKEW = 5  # banks between the beginnings of one buffer and the next: what is read together from
# different buffers, word by word, then never waits for a bank


@dataclass
class _Region:
    """Free words of the scratchpad, and when their last user ends."""

    start: int
    end: int
    free: int  # cycle


class _Space:
    """The scratchpad beside what is resident."""

    def __init__(self, start: int, end: int):
        self.regions = [_Region(start, end, 0)]

    @property
    def words(self) -> int:
        return sum(r.end - r.start for r in self.regions)

    def take(self, words: int, now: int, last: bool = False) -> tuple[int, int] | None:
        """Address of free words, and the cycle from which they are: the first that are free
        `now`, or else those that are free earliest; or with `last` the last words."""
        if last:
            return self._take_last(words)
        best = None
        for first in range(len(self.regions)):
            start, free = self.regions[first].start, 0
            end = start
            for region in self.regions[first:]:
                if region.start != end:
                    break
                end, free = region.end, max(free, region.free)
                if end - start >= words:
                    if best is None or max(free, now) < best[0]:
                        best = max(free, now), start, free
                    break
        if best is None:
            return None
        _, start, free = best
        self._cut(start, start + words)
        return start, free

    def _take_last(self, words: int) -> tuple[int, int] | None:
        start, free = None, 0
        for region in reversed(self.regions):
            if start != region.end:
                end, free = region.end, 0
            start, free = region.start, max(free, region.free)
            if end - start >= words:
                self._cut(end - words, end)
                return end - words, free
        return None

    def _cut(self, start: int, end: int) -> None:
        kept = []
        for r in self.regions:
            kept += [_Region(a, b, r.free) for a, b in ((r.start, min(r.end, start)),
                                                        (max(r.start, end), r.end)) if a < b]
        self.regions = kept

    def give(self, start: int, words: int, cycle: int) -> None:
        self.regions.append(_Region(start, start + words, cycle))
        self.regions.sort(key=lambda r: r.start)


@dataclass
class Schedule:
    """Operations in the order in which they are given, placed; and their estimated end."""

    operations: list[Operation]
    cycles: int
    ends: list[int] = field(default_factory=list)


def schedule(config: Config, operations: list[Operation], resident: list[Buffer]) -> Schedule:
    """Order and place `operations`, which stand in program order."""
    start = 0
    for buffer in resident:
        buffer.address = start
        start += buffer.words
    return _Scheduler(config, operations, set(resident), start).run()


class _Scheduler:
    """Walks through the step. `STATE` is all that the walk changes, so that it can go back."""

    STATE = ("job", "oldest", "regions", "done", "users", "placed", "places", "skew", "queues",
             "free", "ends", "order", "finished")

    def __init__(self, config: Config, operations: list[Operation], resident: set[Buffer],
                 first: int):
        self.config, self.operations, self.resident = config, operations, resident
        if first > config.words:
            raise PlacementError(f"parameters by channel need {first * 8} bytes of scratchpad; "
                                 f"configuration {config.name} has {config.words * 8}")
        self.limits: dict[int, int] = {}  # jobs that may begin ahead of a job, if not AHEAD
        self.space = _Space(first, config.words)
        self.lengths = [_length(config, operation) for operation in operations]
        self.needs = _needs(operations)
        self.job = self.oldest = self.skew = 0  # the job is that of the next tensor operation
        self.done = [-1] * len(operations)  # cycle
        self.users: dict[Buffer, int] = {}
        jobs: dict[Buffer, list[int]] = {}
        for operation in operations:
            for buffer in set(operation.buffers) - resident:
                self.users[buffer] = self.users.get(buffer, 0) + 1
                jobs.setdefault(buffer, []).append(operation.job)
        self.lasting = {b for b, used in jobs.items() if max(used) - min(used) >= LASTING}
        self.placed: set[Buffer] = set(resident)
        self.places: dict[Buffer, int] = {}
        self.queues = {unit: [i for i, o in enumerate(operations) if o.unit is unit]
                       for unit in Unit}
        self.free = dict.fromkeys(Unit, 0)
        self.ends: dict[Buffer, int] = {}
        self.order: list[Operation] = []
        self.finished: list[int] = []

    @property
    def regions(self) -> list[_Region]:
        return self.space.regions

    @regions.setter
    def regions(self, regions: list[_Region]) -> None:
        self.space.regions = regions

    def run(self) -> Schedule:
        saved = [self._save()]
        while len(self.order) < len(self.operations):
            while self.done[self.oldest] >= 0:
                self.oldest += 1
            tensor = self.queues[Unit.TENSOR]
            self.job = self.operations[tensor[0] if tensor else -1].job
            try:
                chosen = self._choose(self.job, self.oldest)
            except PlacementError:
                first = self._restrain()
                if first is None:
                    raise
                while len(saved) > 1 and saved[-1]["job"] >= first:
                    saved.pop()
                self._restore(saved[-1])
                continue
            self.finished.append(self._place(*chosen))
            self.order.append(self.operations[chosen[0]])
            if len(self.order) % SAVED == 0:
                saved.append(self._save())
                del saved[1:-KEPT]
        return Schedule(self.order, max(self.finished, default=0), self.finished)

    def _save(self) -> dict:
        copies = {name: copy(getattr(self, name)) for name in self.STATE}
        return copies | {"queues": {unit: list(queue) for unit, queue in self.queues.items()}}

    def _restore(self, saved: dict) -> None:
        for name, value in saved.items():
            setattr(self, name, copy(value))
        self.queues = {unit: list(queue) for unit, queue in saved["queues"].items()}

    def _restrain(self) -> int | None:
        """After a failure: fewer jobs ahead before the one that found no room. The first job that
        it changes; None if there is nothing left to change."""
        near = range(self.job - NEAR, self.job + 1)
        now = {job: self.limits.get(job, AHEAD) for job in near}
        self.limits |= {job: max(limit - 1, 0) for job, limit in now.items()}
        return near.start if any(now.values()) else None

    def _choose(self, job: int, oldest: int) -> tuple[int, int]:
        """The operation that can start first, among those up to a few jobs after `job`, that of
        the next tensor operation; ties in order."""
        best, last = None, job + self.limits.get(job, AHEAD)
        for unit, queue in self.queues.items():
            for i in queue:
                too_far = self.operations[i].job > last
                if too_far or (best and best[0] <= self.free[unit]):
                    break
                needed = [self.done[n] for n in self.needs[i]]
                if needed and min(needed) < 0:
                    continue
                start = max([self.free[unit], *needed])
                if (best is None or start < best[0]) and self._fits(i, job):
                    best = start, i
        if best is None:
            operation = self.operations[oldest]
            new = sum(b.words for b in set(operation.buffers) - self.placed)
            raise PlacementError(
                f"{operation.label}: needs {new * 8} bytes of scratchpad beside what is in use; "
                f"{self.space.words * 8} of {self.config.words * 8} are free, in pieces")
        return best[1], best[0]

    def _fits(self, i: int, job: int) -> bool:
        """Whether new buffers of an operation have room, and leave it to older jobs."""
        operation = self.operations[i]
        new = set(operation.buffers) - self.placed
        if not new:
            return True
        if operation.job > job:
            older = {b for queue in self.queues.values() for n in takewhile(
                         lambda n: self.operations[n].job < operation.job, queue)
                     for b in self.operations[n].buffers} - self.placed
            if self.space.words < sum(b.words for b in new | older):
                return False
        regions = list(self.space.regions)
        now = self.free[operation.unit]
        fits = all(self.space.take(self._size(b), now, b in self.lasting)
                   for b in _largest_first(new))
        self.space.regions = regions
        return fits

    def _size(self, buffer: Buffer) -> int:
        """Words that are kept for a buffer, which begins at a bank of our choice."""
        return buffer.words + self.config.banks - 1

    def _place(self, i: int, start: int) -> int:
        operation = self.operations[i]
        for buffer in _largest_first(set(operation.buffers) - self.placed):
            place, free = self.space.take(self._size(buffer), start, buffer in self.lasting)
            self.places[buffer] = place
            self.skew += SKEW * self.config.slot
            buffer.address = place + (self.skew - place) % self.config.banks
            self.placed.add(buffer)
            start = max(start, free)
        end = start + self.lengths[i]
        self.done[i] = end
        self.free[operation.unit] = end
        self.queues[operation.unit].remove(i)
        for buffer in set(operation.buffers) - self.resident:
            self.users[buffer] -= 1
            self.ends[buffer] = max(self.ends.get(buffer, 0), end)
            if not self.users[buffer]:
                self.space.give(self.places[buffer], self._size(buffer), self.ends[buffer])
        return end


def _length(config: Config, operation: Operation) -> int:
    """Estimated cycles, of the first of two ways."""
    if not operation.ways:
        return estimate(config, operation.unit, operation.registers)
    return sum(estimate(config, each.unit, each.registers) for each in operation.ways.rows[0])


def _largest_first(buffers) -> list[Buffer]:
    return sorted(buffers, key=lambda b: (-b.words, b.name))


def _needs(operations: list[Operation]) -> list[set[int]]:
    """For each operation those that must be given before it: they share a buffer or bytes of
    external memory, and one writes."""
    last_write: dict[Buffer, int] = {}
    reads: dict[Buffer, list[int]] = {}
    moves: dict[int, tuple[list[int], list[int]]] = {}  # fills and stores of a page outside
    needs = []
    for i, operation in enumerate(operations):
        mine = {last_write[b] for b in operation.buffers if b in last_write}
        for buffer in operation.writes:
            mine.update(reads.pop(buffer, ()))
            last_write[buffer] = i
        for buffer in operation.reads:
            reads.setdefault(buffer, []).append(i)
        if operation.external:
            first, end = operation.external
            for page in range(first // PAGE, -(-end // PAGE)):
                fills, stores = moves.setdefault(page, ([], []))
                known = fills + stores if operation.reads else stores
                mine.update(j for j in known if _meet(operations[j], operation))
                (stores if operation.reads else fills).append(i)
        mine.discard(i)
        needs.append(mine)
    return needs


def _meet(a: Operation, b: Operation) -> bool:
    return a.external[0] < b.external[1] and b.external[0] < a.external[1]
