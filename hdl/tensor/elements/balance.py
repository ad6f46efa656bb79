"""How the non-zero elements of a slot are shared among the lanes."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.tensor.core.planes import count, register, wire
from isa.config import LANES, Config

STEPS = 4  # lanes that a stage of the sweep passes


class Balance(wiring.Component):
    """Finds the fewest cycles of a slot, and which lane does which element (docs/architecture.md,
    "Lanes of a slot").

    What the lanes before a lane have left over is a queue, so its length says all. A sweep for
    each number of cycles but the largest, which always works, passes the lanes twice: once for
    what is left over behind the last lane, and once from there.

    Parameters
    ----------
    config : Config
        `slot` and `reach` matter.

    Members
    -------
    live : for each word of the slot a bit a lane: the element is not zero
    share : [age][word], a bit a lane: the lane does the element of the lane `age` before it
    more : cycles after the first

    Latency
    -------
    `LATENCY` cycles; a slot a cycle.
    """

    LATENCY = 2 + 2 * LANES // STEPS

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "live": In(LANES).array(config.slot),
            "share": Out(LANES).array(config.reach + 1, config.slot),
            "more": Out(range(config.slot)),
        })

    def elaborate(self, platform):
        m = Module()
        live = [wire(m, f"live_{d}", plane) for d, plane in enumerate(self.live)]
        counts = [register(m, f"s1_count_{i}", plane)
                  for i, plane in enumerate(count(m, "counts", live))]
        live = [register(m, f"s1_live_{d}", plane) for d, plane in enumerate(live)]
        counts = [Cat(plane[lane] for plane in counts) for lane in range(LANES)]

        sweeps = [_Sweep(cycles, self.config.reach) for cycles in range(1, self.config.slot)]
        stage = 1
        for turn in range(2):
            for first in range(0, LANES, STEPS):
                stage += 1
                for sweep in sweeps:
                    sweep.passes(m, f"s{stage}", counts[first:first + STEPS])
                counts = [register(m, f"s{stage}_count_{lane}", c) for lane, c in enumerate(counts)]
                live = [register(m, f"s{stage}_live_{d}", plane) for d, plane in enumerate(live)]
            if turn == 0:
                for sweep in sweeps:
                    sweep.turn()
        self._share(m, sweeps, live)
        return m

    def _share(self, m: Module, sweeps, live):
        works = [wire(m, f"works_{sweep.cycles}", sweep.works()) for sweep in sweeps]
        more = Const(self.config.slot - 1, len(self.more))
        for sweep, holds in zip(reversed(sweeps), reversed(works), strict=True):
            more = Mux(holds, sweep.cycles - 1, more)
        m.d.sync += self.more.eq(more)
        # [age][rank]: the lane's element of this rank is done by itself or one of `age` after it
        done = []
        for age in range(self.config.reach):
            ranks = []
            for rank in range(self.config.slot):
                lanes = []
                for lane in range(LANES):
                    chosen = Const(1, 1)
                    for sweep, holds in zip(reversed(sweeps), reversed(works), strict=True):
                        chosen = Mux(holds, sweep.in_time(lane, age, rank), chosen)
                    lanes.append(chosen)
                ranks.append(wire(m, f"done_{age}_{rank}", Cat(lanes)))
            done.append(ranks)
        for d, plane in enumerate(live):
            before = Const(0, LANES)
            for age in range(self.config.reach + 1):
                until = done[age][0] if age < self.config.reach else Const((1 << LANES) - 1, LANES)
                mine = wire(m, f"mine_{age}_{d}", plane & until & ~before)
                m.d.sync += self.share[age][d].eq(mine.rotate_left(age))
                before = until
            # what is left of the ranks begins one later behind an element that is there
            done = [[wire(m, f"done_{age}_{i}_{d}", (plane & later) | (~plane & now))
                     for i, (now, later) in enumerate(pairwise(ranks))]
                    for age, ranks in enumerate(done)]


class _Sweep:
    """A sweep of the lanes with room for `cycles` elements each; its state is a stage's."""

    def __init__(self, cycles: int, reach: int):
        self.cycles = cycles
        self.reach = reach
        self.bits = (cycles * reach).bit_length()
        self.over = Const(0, self.bits)  # elements left over by the lanes before
        self.failed = Const(0, 1)
        self.begun = None  # what the second turn began with
        self.waiting = []  # what was left over when a lane's turn came, in the second turn

    def passes(self, m: Module, stage: str, counts: list[Value]) -> None:
        """A stage: the next lanes, with these counts."""
        name = f"{stage}_n{self.cycles}"
        over, failed = self.over, self.failed
        for i, own in enumerate(counts):
            total = wire(m, f"{name}_total_{i}", over + own)
            if self.begun is not None:  # whatever fails in the first turn does so in the second
                self.waiting.append(over)
                # the lane's last would be done too late
                failed = failed | (total > self.cycles * (self.reach + 1))
            over = wire(m, f"{name}_over_{i}",
                        Mux(total > self.cycles, total - self.cycles, 0)[:self.bits])
        self.over = register(m, f"{name}_over", over)
        if self.begun is not None:
            self.begun = register(m, f"{name}_begun", self.begun)
            self.failed = register(m, f"{name}_failed", failed)
            self.waiting = [register(m, f"{name}_waiting_{i}", w)
                            for i, w in enumerate(self.waiting)]

    def turn(self) -> None:
        self.begun = self.over

    def works(self) -> Value:
        return ~self.failed & (self.over == self.begun)

    def in_time(self, lane: int, age: int, rank: int) -> Value:
        """Whether the lane's element of this rank is done before more than `age` lanes passed."""
        return self.waiting[lane] + rank < (age + 1) * self.cycles

