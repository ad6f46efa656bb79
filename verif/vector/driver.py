"""Runs operations on `StalledVector` and holds the scratchpad against the model."""

from functools import partial

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, First, RisingEdge, Timer
from cocotb.utils import get_sim_time

from hdl.interfaces import RUN_LAYOUT, SET_LAYOUT, WritePort
from isa.config import Config
from isa.fields import encode
from isa.memmap import BINS, Trap
from isa.registers import (
    REDUCED,
    REGISTERS,
    TALLY_BITS,
    VECTOR_LOOPS,
    VECTOR_OUTPUTS,
    Unit,
    of_unit,
)
from sim import vector
from sim.registers import defaults
from verif import seeds, streams
from verif.registers import registers as registers_of

LIMIT_NS = 100_000
registers = partial(registers_of, Unit.VECTOR)


class Driver:
    """The bench's end of the unit's ports.

    `words` is what the scratchpad should hold (np.uint64).
    """

    def __init__(self, dut, config: Config):
        self.dut = dut
        self.config = config
        self.words = np.zeros(config.words, np.uint64)
        self.write = streams.shape_of(WritePort(config).members["request"].signature)
        self.random = seeds.stdlib("vector driver")
        self.held = None  # what the unit's next registers hold
        self.pc = 0
        self.post = 0
        self.given = []  # tokens since the present operation began
        self.counts = None  # of the last histogram, where they are known

    async def start(self):
        dut = self.dut
        for port in ("command__set__valid", "command__run__valid", "command__stop",
                     "load__request__valid", "look__request__valid", "read_rate", "write_rate"):
            getattr(dut, port).value = 0
        dut.command__grant.value = 1
        dut.seed.value = self.random.getrandbits(64)
        dut.seeding.value = 1
        await streams.start(dut)
        dut.seeding.value = 0
        cocotb.start_soon(self._watch_tokens())

    def stall(self, reads: float, writes: float):
        """Probabilities of a stall in a cycle of a read and of a write port."""
        self.dut.read_rate.value = int(reads * 255)
        self.dut.write_rate.value = int(writes * 255)

    async def load(self, words: np.ndarray):
        """Fills the scratchpad."""
        self.words = np.array(words, np.uint64)
        dut = self.dut
        dut.load__request__valid.value = 1
        for address, word in enumerate(self.words):
            dut.load__request__payload.value = streams.pack(
                self.write, {"address": address, "data": int(word)})
            await streams.cycles(dut)
        dut.load__request__valid.value = 0

    async def read(self) -> np.ndarray:
        """What the scratchpad holds."""
        dut, words = self.dut, []
        dut.look__request__valid.value = 1
        for address in range(self.config.words + 1):
            dut.look__request__payload.value = address % self.config.words
            await streams.cycles(dut)
            if address:
                words.append(streams.read(dut.look__data))
        dut.look__request__valid.value = 0
        return np.array(words, np.uint64)

    async def set(self, values: dict):
        """Writes the registers that differ from what the unit holds, and some that do not."""
        if self.held is None:
            await self._send("set", streams.pack(SET_LAYOUT, {"clear": 1}))
            self.held = defaults(Unit.VECTOR)
        for register in of_unit(Unit.VECTOR):
            fields = values[register.name]
            if fields != self.held[register.name] or self.random.random() < 0.1:
                await self._send("set", streams.pack(SET_LAYOUT, {
                    "clear": 0, "index": REGISTERS[register.name].index,
                    "value": encode(register.fields, fields)}))
        self.held = {name: dict(fields) for name, fields in values.items()}

    async def begin(self, values: dict):
        """Sets the registers and gives the operation."""
        await self.set(values)
        self.pc = self.random.getrandbits(32)
        self.post = self.random.randrange(1, 1 << 16)
        self.given.clear()
        await self._send("run", streams.pack(
            RUN_LAYOUT, {"pc": self.pc, "wait": 0, "post": self.post, "tag": 0}))

    async def end(self) -> tuple[Trap, int]:
        """Waits for the end of the operation: its trap, and the cycles from start to end."""
        dut, trap = self.dut, Trap.NONE
        limit = Timer(LIMIT_NS, "ns")
        if not streams.read(dut.command__busy):
            await RisingEdge(dut.command__busy)
        first = get_sim_time("ns")
        while True:
            edges = [RisingEdge(dut.command__trap), FallingEdge(dut.command__busy), limit]
            fired = await First(*edges)
            assert fired is not limit, "the operation does not end"
            if fired is edges[1]:
                break
            trap = Trap(streams.read(dut.command__cause))
            assert streams.read(dut.command__pc) == self.pc
        return trap, int(get_sim_time("ns") - first) // streams.PERIOD_NS

    async def check(self, values: dict, *, compare: bool = True) -> int:
        """Runs an operation on unit and model; returns its cycles. Where nothing is split, any
        loop that may be is split by chance.

        Raises
        ------
        AssertionError
            Trap, scratchpad or the tokens given differ. After a trap the scratchpad is loaded anew.
        """
        if not (values["vector.outer"]["split"] or values["vector.tally"]["histogram"]):
            values = split_by_chance(values, self.random)
        expected = vector.execute(self.config, values, self.words)
        before = streams.read(self.dut.saturations)
        await self.begin(values)
        trap, cycles = await self.end()
        what = ", ".join(f"{name[7:]} {fields}" for name, fields in values.items()
                         if fields != defaults(Unit.VECTOR)[name])
        assert trap == expected.trap, f"trap {trap!r}, the model has {expected.trap!r}: {what}"
        assert not streams.read(self.dut.stray), f"a request after the end: {what}"
        assert self.given == [self.post], f"tokens given: {self.given}: {what}"
        if trap != Trap.NONE:
            if values["vector.tally"]["histogram"]:
                self.counts = None
            await self.load(self.words)
            return cycles
        await streams.cycles(self.dut)
        found = streams.read(self.dut.saturations) - before
        assert found == expected.saturations_e5m2, f"{found} saturated, not {expected}: {what}"
        if expected.histogram is not None:
            await self._check_histogram(expected, what)
        if compare:
            await self.compare(what)
        return cycles

    async def _check_histogram(self, expected, what: str):
        """Counts that go on from unknown ones are unknown."""
        if expected.more and self.counts is None:
            return
        before = self.counts if expected.more else [0] * BINS
        self.counts = [(a + b) % (1 << TALLY_BITS)
                       for a, b in zip(before, expected.histogram, strict=True)]
        found = await self.histogram()
        assert found == self.counts, f"{found}, the model has {self.counts}: {what}"

    async def histogram(self) -> list[int]:
        """What the unit has counted."""
        found = []
        for i in range(BINS):
            self.dut.bin.value = i
            await streams.cycles(self.dut, 2)
            found.append(streams.read(self.dut.count))
        return found

    async def compare(self, what: str = ""):
        found = await self.read()
        wrong = np.flatnonzero(found != self.words)
        assert wrong.size == 0, (
            f"{wrong.size} words differ, the first at {wrong[:8]}: "
            f"{[hex(found[i]) for i in wrong[:8]]}, "
            f"the model has {[hex(self.words[i]) for i in wrong[:8]]}: {what}")

    async def _watch_tokens(self):
        while True:
            await self.dut.command__give.value_change
            if given := streams.read(self.dut.command__give):
                self.given.append(given)

    async def _send(self, name: str, payload: int):
        dut = self.dut
        valid, ready = (getattr(dut, f"command__{name}__{end}") for end in ("valid", "ready"))
        getattr(dut, f"command__{name}__payload").value = payload
        valid.value = 1
        while True:
            await streams.cycles(dut)
            if streams.read(ready):
                break
        valid.value = 0


def split_by_chance(values: dict, draw) -> dict:
    """A copy of `values` in which datapaths share the rounds of some loop, or nothing."""
    first = len(REDUCED) + 1 if values["vector.op"]["reduce"] else 1
    if any(values[f"vector.{o}.mode"]["turn"] for o in VECTOR_OUTPUTS):
        first = 3 if values["vector.counts"]["n0"] % 8 else 2
    split = draw.choice((0, *range(first, len(VECTOR_LOOPS) + 1)))
    return values | {"vector.outer": values["vector.outer"] | {"split": split}}
