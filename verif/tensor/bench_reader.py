"""The word reader against a list of words."""

import cocotb
from cocotb.triggers import with_timeout

from hdl.streams.reader import WordReader
from isa.config import Config
from isa.registers import ADDRESS_BITS
from verif import bench, seeds, streams
from verif.tensor.memory import Memory, zeros

GIVEN = bench.parameters()
CONFIG = Config(**GIVEN["config"])
LOOPS, WORDS = GIVEN["loops"], GIVEN["words"]  # of a wide request
MEMBERS = WordReader(config=CONFIG, loops=LOOPS, words=WORDS).signature.members
ITEM, WORD = (streams.shape_of(MEMBERS[name].signature) for name in ("items", "words"))
DRAW = seeds.stdlib("reader")


async def begin(dut):
    dut.clear.value = 0
    narrow(dut)
    words = [DRAW.getrandbits(64) & DRAW.getrandbits(64) & DRAW.getrandbits(64)
             for _ in range(CONFIG.words)]
    await streams.start(dut)
    memory = Memory(dut, CONFIG, words, reads=["port"])
    return memory, streams.Source(dut, "items", ITEM), streams.Sink(dut, "words", WORD)


def narrow(dut):
    if WORDS > 1:
        dut.wide.value = 0


def draw_items(count, number=1):
    items = []
    for _ in range(count):
        inside = int(DRAW.random() < 0.8)
        address = DRAW.randrange(CONFIG.words) if inside else DRAW.getrandbits(ADDRESS_BITS)
        address &= -number
        items.append({"address": address, "inside": inside, "last": DRAW.getrandbits(LOOPS)})
    return items


def expected(items, words, number=1):
    """Words with their flags, lists if there are wide requests."""
    given = []
    for item in items:
        data = [words[item["address"] + i] if item["inside"] else 0 for i in range(number)]
        flags = [zeros(word) for word in data]
        given.append({"data": data, "zeros": flags, "last": item["last"]} if WORDS > 1 else
                     {"data": data[0], "zeros": flags[0], "last": item["last"]})
    return given


def first(received):
    """Without the words that only a wide request asks for."""
    return received if WORDS == 1 else [
        item | {name: item[name][:1] for name in ("data", "zeros")} for item in received]


@cocotb.test(timeout_time=1, timeout_unit="ms", skip=WORDS == 1)
async def wide(dut):
    memory, source, sink = await begin(dut)
    dut.wide.value = 1
    for _ in range(20):
        memory.stall, source.stall, sink.stall = (DRAW.choice([0, 0.3, 0.8]) for _ in range(3))
        items = draw_items(40, WORDS)
        source.put(items)
        assert await sink.receive(len(items)) == expected(items, memory.words, WORDS)
    await source.drain()
    memory.stall = source.stall = sink.stall = 0
    source.put([{"address": 1, "inside": 0, "last": 0}, {"address": WORDS + 1, "inside": 1}])
    await streams.cycles(dut, 10)
    assert dut.trap.value == 1, "not a multiple"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def random_items(dut):
    memory, source, sink = await begin(dut)
    taken = 0
    for _ in range(20):
        memory.stall, source.stall, sink.stall = (DRAW.choice([0, 0.3, 0.8]) for _ in range(3))
        items = draw_items(40)
        source.put(items)
        assert first(await sink.receive(len(items))) == expected(items, memory.words)
        taken += sum(item["inside"] for item in items)
        assert memory.taken == taken, "a bank was read for what is outside"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def full_rate(dut):
    _, source, sink = await begin(dut)
    items = draw_items(100)
    await streams.cycles(dut, 2)
    source.put(items)
    await with_timeout(sink.receive(100), (100 + 4) * streams.PERIOD_NS, "ns")
    # after a pause of the reader of words, too
    sink.stall = 1.0
    source.put(items)
    await streams.cycles(dut, 10)
    sink.stall = 0.0
    await with_timeout(sink.receive(100), (100 + 2) * streams.PERIOD_NS, "ns")


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def traps(dut):
    dut.clear.value = 0
    narrow(dut)
    dut.items__valid.value = 0
    await streams.start(dut)
    memory = Memory(dut, CONFIG, [0] * CONFIG.words, reads=["port"])
    sink = streams.Sink(dut, "words", WORD)
    for address in (CONFIG.words, CONFIG.words + 5, (1 << ADDRESS_BITS) - 1):
        dut.items__payload.value = streams.pack(ITEM, {"address": address, "inside": 1})
        dut.items__valid.value = 1
        await streams.cycles(dut, 5)
        assert dut.trap.value == 1
        assert dut.items__ready.value == 0
        dut.items__payload.value = streams.pack(ITEM, {"address": address, "inside": 0})
        await streams.cycles(dut, 2)
        assert dut.trap.value == 0, "outside the window nothing is checked"
        dut.items__valid.value = 0
        await streams.cycles(dut, 2)
    assert memory.taken == 0
    assert not any(first(sink.items)[i]["data"] not in (0, [0]) for i in range(len(sink.items)))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def clears(dut):
    memory, source, sink = await begin(dut)
    for _ in range(10):
        sink.stall, memory.stall = 1.0, DRAW.choice([0, 0.5])
        source.put(draw_items(1 + DRAW.randrange(2)))
        await streams.cycles(dut, DRAW.randrange(1, 6))
        await source.drain()
        dut.clear.value = 1
        await streams.cycles(dut)
        dut.clear.value = 0
        sink.items = []
        sink.stall = 0.0
        items = draw_items(5)
        source.put(items)
        assert first(await sink.receive(5)) == expected(items, memory.words)
