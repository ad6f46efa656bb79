"""ExternalPort with several readers and a writer: beats, lanes, errors, and whose turn it is."""

import itertools

import cocotb

from hdl.axi import BURST_LAYOUT
from verif import bench, seeds, streams
from verif.axi.memory import ExternalMemory

READERS = bench.parameters()["readers"]
WORDS = bench.parameters()["words"]
SIZE = 1 << 13
BEAT = 8 * WORDS
HALF = SIZE // 2  # readers read below, the writer writes above


def _burst(draw, first):
    """An address and a number of beats that stay in a half of memory and in a page."""
    address = first + 8 * draw.randrange(HALF // 8)
    room = (first + HALF - address // BEAT * BEAT) // BEAT
    return address, min(room, draw.randint(1, 16))


class Reader:
    """Takes beats with stalls; `got` is what came, with error and last."""

    def __init__(self, dut, number, stall):
        self.dut, self.name, self.stall = dut, f"reads__{number}", stall
        self.draw = seeds.stdlib(self.name)
        self.source = streams.Source(dut, f"{self.name}__request", BURST_LAYOUT, stall=stall)
        self.got, self.wanted = [], []
        cocotb.start_soon(self._take())

    def ask(self, memory, count):
        for _ in range(count):
            address, beats = _burst(self.draw, 0)
            self.source.put([{"address": address, "length": beats - 1}])
            for i in range(beats):
                at = address // BEAT * BEAT + i * BEAT
                error = not memory.bad.isdisjoint(range(at, at + BEAT, 8))
                self.wanted.append((None if error else memory.words(at, WORDS), error,
                                    i == beats - 1))

    async def _take(self):
        valid, ready, error, last = (getattr(self.dut, f"{self.name}__{member}")
                                     for member in ("valid", "ready", "error", "last"))
        data = [getattr(self.dut, f"{self.name}__data__{i}") for i in range(WORDS)]
        ready.value = 0
        while True:
            await streams.cycles(self.dut)
            if ready.value and valid.value:
                failed = bool(error.value)
                self.got.append((None if failed else [streams.read(word) for word in data], failed,
                                 bool(last.value)))
            ready.value = int(self.draw.random() >= self.stall)


class Writer:
    """Gives bursts whose words are written where their lane says; keeps a copy of memory."""

    def __init__(self, dut, memory, stall):
        self.dut, self.memory, self.stall = dut, memory, stall
        self.draw = seeds.stdlib("writer")
        self.source = streams.Source(dut, "write__request", BURST_LAYOUT, stall=stall)
        self.expected = bytearray(memory.data)
        self.beats, self.answers, self.faults = [], [], []
        cocotb.start_soon(self._give())
        cocotb.start_soon(self._answers())

    def ask(self, count):
        for _ in range(count):
            address, beats = _burst(self.draw, HALF)
            self.source.put([{"address": address, "length": beats - 1}])
            failed = False
            for i in range(beats):
                at = address // BEAT * BEAT + i * BEAT
                words = [self.draw.getrandbits(64) for _ in range(WORDS)]
                lanes = self.draw.randrange(1 << WORDS)
                self.beats.append((words, lanes, i == beats - 1))
                touched = [at + 8 * lane for lane in range(WORDS) if lanes >> lane & 1]
                failed |= not self.memory.bad.isdisjoint(touched)
                for place in touched:
                    word = words[(place - at) // 8]
                    self.expected[place:place + 8] = word.to_bytes(8, "little")
            self.faults.append(failed)

    async def _give(self):
        dut = self.dut
        data = [getattr(dut, f"write__data__{i}") for i in range(WORDS)]
        dut.write__valid.value = 0
        while True:
            await streams.cycles(dut)
            if dut.write__valid.value and dut.write__ready.value:
                self.beats.pop(0)
                dut.write__valid.value = 0
            elif dut.write__valid.value:
                continue
            if self.beats and self.draw.random() >= self.stall:
                words, lanes, last = self.beats[0]
                for handle, word in zip(data, words, strict=True):
                    handle.value = word
                dut.write__lanes.value, dut.write__last.value = lanes, int(last)
                dut.write__valid.value = 1

    async def _answers(self):
        while True:
            await streams.cycles(self.dut)
            if self.dut.write__response.value:
                self.answers.append(bool(self.dut.write__error.value))


async def _start(dut, stall, bad):
    memory = ExternalMemory(dut, SIZE, stall)
    draw = seeds.stdlib("port")
    memory.data[:] = draw.randbytes(SIZE)
    memory.bad |= {8 * draw.randrange(SIZE // 8) for _ in range(bad)}
    readers = [Reader(dut, i, stall) for i in range(READERS)]
    writer = Writer(dut, memory, stall)
    await streams.start(dut)
    return memory, readers, writer


async def _random_bursts(dut, stall, bad):
    memory, readers, writer = await _start(dut, stall, bad)
    for reader in readers:
        reader.ask(memory, 40)
    writer.ask(40)
    for _ in range(20_000):
        await streams.cycles(dut)
        if len(writer.answers) == 40 and all(
                len(reader.got) == len(reader.wanted) for reader in readers):
            break
    for reader in readers:
        assert reader.got == reader.wanted
    assert memory.quiet and not writer.beats
    assert writer.answers == writer.faults
    assert bad or memory.data == writer.expected


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def full_speed(dut):
    await _random_bursts(dut, 0.0, 0)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def stalls(dut):
    await _random_bursts(dut, 0.4, 0)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def errors(dut):
    await _random_bursts(dut, 0.2, 20)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def turns(dut):
    """A reader does not go twice while another waits."""
    memory, readers, _ = await _start(dut, 0.0, 0)
    for reader in readers:
        reader.ask(memory, 12)
    seen = []
    for _ in range(4000):
        await streams.cycles(dut)
        if dut.axi__arvalid.value and dut.axi__arready.value:
            seen.append(streams.read(dut.axi__arid))
    assert sorted(seen) == sorted(list(range(READERS)) * 12)
    if READERS > 1:
        left = [12] * READERS
        for number, following in itertools.pairwise(seen):
            left[number] -= 1
            assert following != number or sum(map(bool, left)) == 1, seen
