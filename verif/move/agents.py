"""What stands around the move unit in its benches: scratchpad, control, the golden side."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.interfaces import RUN_LAYOUT, SET_LAYOUT, WritePort
from isa import fields
from isa.config import Config
from isa.memmap import Trap
from isa.registers import Unit, of_unit
from sim import move
from sim.registers import defaults
from verif import bench, seeds, streams
from verif.axi.memory import ExternalMemory

CONFIG = Config(**bench.parameters().get("config", {}))
WRITE = streams.shape_of(WritePort(CONFIG).members["request"].signature)
EXTERNAL = 1 << 16
POST = 0x8001


class Scratchpad:
    """Words behind the ports, each with stalls of its own; counts what it gave and took."""

    def __init__(self, dut, stall=0.0):
        self.dut = dut
        self.stall = stall
        self.words = np.zeros(CONFIG.words, np.uint64)
        self.given = self.taken = 0
        for lane in range(CONFIG.axi_words):
            cocotb.start_soon(self._reads(f"read_ports__{lane}"))
            cocotb.start_soon(self._writes(f"write_ports__{lane}"))

    def _port(self, name, *members):
        return [getattr(self.dut, f"{name}__{member}") for member in members]

    async def _reads(self, name):
        draw = seeds.stdlib(name)
        valid, ready, payload, answers, data, zeros = self._port(
            name, "request__valid", "request__ready", "request__payload", "valid", "data", "zeros")
        ready.value = answers.value = 0
        while True:
            await RisingEdge(self.dut.clk)
            taken = bool(ready.value) and bool(valid.value)
            answers.value = int(taken)
            self.given += taken
            word = int(self.words[streams.read(payload)]) if taken else draw.getrandbits(64)
            data.value = word
            zeros.value = sum((word >> 8 * i & 0x7F == 0) << i for i in range(8))
            ready.value = int(draw.random() >= self.stall)

    async def _writes(self, name):
        draw = seeds.stdlib(name)
        valid, ready, payload = self._port(
            name, "request__valid", "request__ready", "request__payload")
        ready.value = 0
        while True:
            await RisingEdge(self.dut.clk)
            if ready.value and valid.value:
                taken = streams.unpack(WRITE, streams.read(payload))
                self.words[taken["address"]] = taken["data"]
                self.taken += 1
            ready.value = int(draw.random() >= self.stall)


class Move:
    """Control's side of the unit."""

    def __init__(self, dut):
        self.dut = dut
        self.set = streams.Source(dut, "command__set", SET_LAYOUT)
        self.run = streams.Source(dut, "command__run", RUN_LAYOUT)
        self.ended = []  # for each operation (pc, trap); NONE where it gave its tokens
        self.live = []  # elements that are live, of each operation over such
        self.counts = dict.fromkeys(("busy", "wait_external", "words_filled", "words_stored"), 0)
        dut.command__grant.value = 1
        dut.command__stop.value = 0
        cocotb.start_soon(self._watch())

    async def _watch(self):
        dut = self.dut
        while True:
            await RisingEdge(dut.clk)
            if streams.read(dut.rst):
                continue
            for name in self.counts:
                self.counts[name] += streams.read(getattr(dut, name))
            if dut.listed.value:
                self.live.append(streams.read(dut.live))
            pc = streams.read(dut.command__pc)
            if dut.command__trap.value:
                self.ended.append((pc, Trap(streams.read(dut.command__cause))))
            elif dut.command__give.value:
                assert streams.read(dut.command__give) == POST
                self.ended.append((pc, Trap.NONE))

    async def give(self, registers, pc, **left_out):
        """Hands an operation over; returns when the unit took it."""
        writes = [{"clear": 1, "index": 0, "value": 0}]
        for register in of_unit(Unit.MOVE):
            value = fields.encode(register.fields, registers[register.name])
            writes.append({"clear": 0, "index": register.index, "value": value})
        await self.set.send(writes)
        await self.run.send([{"pc": pc, "wait": 0, "post": POST, "tag": 0} | left_out])

    async def wait_ended(self, count, most=20000):
        for _ in range(most):
            if len(self.ended) >= count:
                return
            await streams.cycles(self.dut)
        raise AssertionError(f"{len(self.ended)} of {count} operations ended in {most} cycles")


async def start(dut, stall=0.0):
    scratchpad = Scratchpad(dut, stall)
    unit = Move(dut)
    memory = ExternalMemory(dut, EXTERNAL, stall)
    await streams.start(dut)
    return scratchpad, unit, memory


def registers_of(**values):
    """`external_base=...` and so on; counts as a tuple, and live as one: word of the list, its
    elements, the first."""
    registers = defaults(Unit.MOVE)
    words, n1, n2 = values.pop("counts", (1, 1, 1))
    registers["move.counts"] = {"words": words, "n1": n1, "n2": n2}
    registers["move.mode"] = {"store": values.pop("store", 0)}
    if "live" in values:
        address, count, first = values.pop("live")
        registers["move.live"] = {"enable": 1, "count": count, "first": first}
        registers["move.live.base"] = {"address": address}
    for name, value in values.items():
        side, what = name.split("_")
        key = "address" if what == "base" else "stride"
        registers[f"move.{side}.{what}"] = {key: value}
    return registers


class Check:
    """The golden side: both memories, and counts."""

    def __init__(self, scratchpad, memory, generator):
        self.scratchpad, self.memory = scratchpad, memory
        self.external = generator.integers(0, 256, EXTERNAL, np.uint8)
        self.words = generator.integers(0, 1 << 64, CONFIG.words, np.uint64)
        memory.data[:] = self.external.tobytes()
        scratchpad.words[:] = self.words
        self.filled = self.stored = 0
        self.live = []

    def execute(self, registers):
        outcome = move.execute(CONFIG, registers, self.words, self.external)
        self.filled += outcome.words_filled
        self.stored += outcome.words_stored
        if outcome.live is not None:
            self.live.append(outcome.live)
        return outcome.trap

    def compare(self):
        assert np.array_equal(self.scratchpad.words, self.words)
        assert bytes(self.memory.data) == self.external.tobytes()

    def follow(self):
        """After a trap memory is undefined: go on from what there is."""
        self.words[:] = self.scratchpad.words
        self.external[:] = np.frombuffer(bytes(self.memory.data), np.uint8)
