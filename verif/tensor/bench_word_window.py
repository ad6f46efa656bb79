"""The words that trees take from a window, against their live positions in order."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.tensor.live.word_window import SLOTS
from isa.config import TREES, Config
from verif import bench, seeds, streams

GIVEN = bench.parameters()
CONFIG = Config(**GIVEN["config"])
SLOT, ROUNDS = CONFIG.slot, CONFIG.block // CONFIG.slot
DRAW = seeds.generator("word window")
TEST = {"timeout_time": 2, "timeout_unit": "ms"}


def word(number, position):
    """The word of a pass at a position."""
    return (number + 1) << 40 | position << 8 | 1


class Feed:
    """Enters the slots of passes, and moves to the next pass when the trees are through.

    Parameters
    ----------
    passes : bool [pass][tree][position]
    stall : probability of a cycle in which nothing may enter, and likewise nothing is taken
    """

    def __init__(self, dut, passes, stall):
        self.dut, self.passes, self.stall = dut, passes, stall
        self.taken = [[[] for _ in range(TREES)] for _ in passes]  # (position, word)
        self.waiting = [(number, i) for number in range(len(passes)) for i in range(ROUNDS)]
        self.present = 0
        self.cycles = 0

    def stalls(self):
        return DRAW.random() < self.stall

    async def run(self):
        """Until everything is taken."""
        dut, edge = self.dut, RisingEdge(self.dut.clk)
        coming = None  # the slot entered in the last cycle
        number_before = None  # the pass that the words of this cycle belong to
        while self.present < len(self.passes) or number_before is not None:
            dut.present.value = self.present % 2
            walk = int(not self.stalls())
            dut.walk.value = walk
            entered = None
            if self.waiting and self.waiting[0][0] <= self.present + 1 and not self.stalls():
                entered = self.waiting[0]
            self._drive(entered, coming)
            await edge
            self.cycles += 1
            self._collect(number_before)
            number_before = self.present if self.present < len(self.passes) else None
            coming = None
            if entered and dut.room.value:
                coming = self.waiting.pop(0)
            of_present = bool(self.waiting and self.waiting[0][0] == self.present)
            if walk and dut.through.value and not of_present and not (
                    coming and coming[0] == self.present):
                self.present += 1
        dut.enter.value = 0

    def _drive(self, entered, coming):
        dut = self.dut
        dut.enter.value = int(entered is not None)
        if entered:
            number, i = entered
            dut.round.value, dut.parity.value = i, number % 2
            for tree in range(TREES):
                flags = self.passes[number][tree][SLOT * i:][:SLOT]
                getattr(dut, f"live__{tree}").value = sum(int(f) << k
                                                          for k, f in enumerate(flags))
        for k in range(SLOT):
            value = word(coming[0], SLOT * coming[1] + k) if coming else 0
            getattr(dut, f"words__{k}").value = value

    def _collect(self, number):
        valid = streams.read(self.dut.valid)
        assert not valid or number is not None
        for tree in range(TREES):
            if valid >> tree & 1:
                self.taken[number][tree].append(tuple(
                    streams.read(getattr(self.dut, f"{name}__{tree}"))
                    for name in ("position", "word")))


async def begin(dut):
    for name in ("clear", "enter", "walk", "present"):
        getattr(dut, name).value = 0
    await streams.start(dut)
    await streams.cycles(dut, 2)


def expected(passes):
    return [[[(p, word(number, p)) for p in np.flatnonzero(tree).tolist()] for tree in live]
            for number, live in enumerate(passes)]


def draw_passes(count, density):
    return DRAW.random((count, TREES, CONFIG.block)) < density


@cocotb.test(**TEST)
async def random_passes(dut):
    await begin(dut)
    for density in (1, 0.5, 0.2, 0.03, 0):
        for stall in (0, 0.5):
            passes = draw_passes(6, density)
            feed = Feed(dut, passes, stall)
            await feed.run()
            assert feed.taken == expected(passes), (density, stall)
            dut.clear.value = 1
            await streams.cycles(dut)
            dut.clear.value = 0


def ideal(live):
    """Cycles of passes: a slot enters a cycle, each tree takes a word a cycle, from 4 slots, of
    the present pass only."""
    queue = [(number, tree_major) for number, flags in enumerate(live)
             for tree_major in flags.reshape(TREES, ROUNDS, SLOT).swapaxes(0, 1)]
    held, present, cycles = [], 0, 0
    while queue or held:
        cycles += 1
        for tree in range(TREES):
            for number, flags in held:
                if number == present and flags[tree].any():
                    flags[tree][flags[tree].argmax()] = False
                    break
        entry = None
        if queue and len(held) < SLOTS and queue[0][0] <= present + 1:
            entry = queue.pop(0)
        while held and not held[0][1].any():
            held.pop(0)
        if entry and entry[1].any():
            held.append(entry)
        if not any(number == present for number, _ in [*held, *queue]):
            present += 1
    return cycles


@cocotb.test(**TEST)
async def full_rate(dut):
    await begin(dut)
    for density in (1, 0.5, 0.1):
        passes = draw_passes(12, density)
        feed = Feed(dut, passes, 0)
        await feed.run()
        assert feed.taken == expected(passes)
        assert feed.cycles <= ideal(passes.copy()) + 2, density
