"""Runs operations on a TensorUnit and holds what it did against the model."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from cocotb.triggers import RisingEdge

from hdl.control.counters import EIGHTHS
from hdl.interfaces import RUN_LAYOUT, SET_LAYOUT
from hdl.tensor.events import EIGHTH
from isa.fields import encode
from isa.memmap import Trap
from isa.registers import REGISTERS, Unit, of_unit
from sim import tensor
from sim.registers import defaults
from verif import seeds, streams
from verif.registers import registers as registers_of
from verif.tensor.memory import Memory

COUNTED = (*EIGHTHS, "stream_words", "saturations", "saturations_e5m2", "nan")  # as in the model
LIMIT = 60_000  # cycles of one operation
registers = partial(registers_of, Unit.TENSOR)


@dataclass
class Done:
    """What the unit did in one operation."""

    trap: Trap = Trap.NONE
    cycles: int = 0  # from start to done
    stream_words: int = 0
    macs: int = 0
    skipped_images: int = 0
    skipped_tiles: int = 0
    skipped_outputs: int = 0
    skipped_elements: int = 0
    saturations: int = 0
    saturations_e5m2: int = 0
    nan: bool = False
    wait_stream: int = 0
    wait_stationary: int = 0
    wait_drain: int = 0
    given: int = 0  # tokens


class Driver:
    """The bench's end of the unit's ports. `words` is the scratchpad (np.uint64)."""

    def __init__(self, dut, config):
        self.dut = dut
        self.config = config
        self.words = np.zeros(config.words, np.uint64)
        self.random = seeds.stdlib("tensor driver")
        self.held = None  # what the unit's next registers hold

    async def start(self):
        dut = self.dut
        for port in ("set__valid", "run__valid", "stop", "grant"):
            getattr(dut, f"command__{port}").value = 0
        await streams.start(dut)
        self.memory = Memory(dut, self.config, self.words, writes=["output"], reads=[
            "aux", *(f"{name}__{i}" for i in range(self.config.cores)
                     for name in ("stream", "stationary"))])
        await streams.cycles(dut, 2)

    async def _send(self, name, payload):
        dut = self.dut
        valid, ready = (getattr(dut, f"command__{name}__{part}") for part in ("valid", "ready"))
        getattr(dut, f"command__{name}__payload").value = payload
        valid.value = 1
        await RisingEdge(dut.clk)
        while not ready.value:
            await RisingEdge(dut.clk)
        valid.value = 0

    async def set(self, values: dict):
        """Writes the registers that differ from what the unit holds."""
        if self.held is None or self.random.random() < 0.05:
            await self._send("set", streams.pack(SET_LAYOUT, {"clear": 1}))
            self.held = defaults(Unit.TENSOR)
        for register in of_unit(Unit.TENSOR):
            fields = values[register.name]
            if fields != self.held[register.name]:
                await self._send("set", streams.pack(SET_LAYOUT, {
                    "clear": 0, "index": REGISTERS[register.name].index,
                    "value": encode(register.fields, fields)}))
        self.held = {name: dict(fields) for name, fields in values.items()}

    async def run(self, values: dict, *, stop_after: int | None = None,
                  left_out: dict | None = None) -> Done:
        """Sets the registers, runs the operation, and waits for its end.

        With `stop_after` the unit is told to stop so many cycles after its start. `left_out` are
        the fields of `RUN_LAYOUT` that say so.
        """
        dut = self.dut
        await self.set(values)
        pc, tag, post = (self.random.getrandbits(bits) for bits in (32, 5, 16))
        await self._send("run", streams.pack(
            RUN_LAYOUT, {"pc": pc, "wait": 0, "post": post, "tag": tag, **(left_out or {})}))
        dut.command__grant.value = 1
        await RisingEdge(dut.clk)
        while not dut.command__wants.value:
            await RisingEdge(dut.clk)
        dut.command__grant.value = 0
        done = await self._watch(pc, tag, stop_after)
        if done.trap or stop_after is not None:
            dut.command__stop.value = 1
            await streams.cycles(dut, 10)
            dut.command__stop.value = 0
            await streams.cycles(dut)
        else:
            assert done.given == post, "tokens"
        return done

    async def _watch(self, pc, tag, stop_after) -> Done:
        dut, done = self.dut, Done()
        edge = RisingEdge(dut.clk)
        events = {name: getattr(dut, f"events__{name}") for name in (
            "stream_words", *EIGHTHS, "saturations", "saturations_e5m2", "nan", "wait_stream",
            "wait_stationary", "wait_drain")}
        counted = ("stream_words", "saturations", "saturations_e5m2", "wait_stream",
                   "wait_stationary", "wait_drain")
        for cycle in range(LIMIT):
            if cycle == stop_after:
                dut.command__stop.value = 1
            await edge
            if dut.command__trap.value:
                done.trap = Trap(streams.read(dut.command__cause))
                assert streams.read(dut.command__pc) == pc
            done.given |= streams.read(dut.command__give)
            if not dut.command__busy.value:
                return done
            done.cycles += 1
            if cycle == 0:
                assert streams.read(dut.events__tag) == tag
                assert streams.read(dut.events__pc) == pc
            for name in EIGHTHS:
                if events[name].value:
                    setattr(done, name,
                            getattr(done, name) + EIGHTH * streams.read(events[name]))
            if events["nan"].value:
                done.nan = True
            for name in counted:
                if events[name].value:
                    setattr(done, name, getattr(done, name) + streams.read(events[name]))
        raise AssertionError(f"no end after {LIMIT} cycles")

    async def check(self, values: dict, *, legal: bool = False) -> Done:
        """Runs the operation and compares with the model: every word, counts, trap. `legal`: there
        must be none."""
        expected = self.words.copy()
        outcome = tensor.execute(self.config, values, expected)
        done = await self.run(values)
        assert done.trap == outcome.trap, (done, outcome)
        assert not (legal and done.trap), done
        if outcome.trap:
            return done
        differ = np.flatnonzero(self.words != expected)
        assert not differ.size, "\n".join([
            f"{differ.size} words differ, the first:",
            *(f"{i:6}: {int(self.words[i]):016x}, expected {int(expected[i]):016x}"
              for i in differ[:12])])
        for name in COUNTED:
            assert getattr(done, name) == getattr(outcome, name), (name, done, outcome)
        return done


def describe(values: dict) -> str:
    """The registers that are not defaults."""
    before = defaults(Unit.TENSOR)
    return "\n".join(f"{name}: {fields}" for name, fields in values.items()
                     if fields != before[name])

