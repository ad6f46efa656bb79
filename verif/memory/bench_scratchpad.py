"""The scratchpad against an array of words, one cycle at a time."""

import cocotb

from hdl.interfaces import WritePort
from isa.config import Config
from verif import bench, seeds, streams

GIVEN = bench.parameters()
CONFIG = Config(**GIVEN.get("config", {}))
WRITE = streams.shape_of(WritePort(CONFIG).members["request"].signature)
READS, WRITES, WIDE = GIVEN.get("reads", 1), GIVEN.get("writes", 1), GIVEN.get("wide", 0)
# Reads are given by the port's number, wide ports first, as an address and how many words.


def zeros(word: int) -> int:
    return sum((word >> 8 * i & 0x7F == 0) << i for i in range(8))


class Model:
    """What each port may see: ready, and the answers and counts of the next cycle."""

    def __init__(self):
        self.words = {}
        self.answers = {}
        self.counts = 0, 0, 0  # conflicts, words read, words written

    def arbitrate(self, requests):
        """Ports that are taken, of a dict by number of addresses and words: those that have no
        bank in common with a lower one's request."""
        wanted, taken = set(), set()
        for port in sorted(requests):
            address, count = requests[port]
            banks = {(address + i) % CONFIG.banks for i in range(count)}
            if not banks & wanted:
                taken.add(port)
            wanted |= banks
        return taken

    def step(self, reads, writes):
        taken = self.arbitrate(reads)
        written = self.arbitrate({port: (address, 1) for port, (address, _) in writes.items()})
        self.answers = {port: [self.words.get(reads[port][0] + i) for i in range(reads[port][1])]
                        for port in taken}
        for port in written:
            address, value = writes[port]
            self.words[address] = value
        return taken, written


class Ports:
    """The ports of the top by number."""

    def __init__(self, dut):
        self.dut = dut

    def read(self, port, member):
        name = f"wide_ports__{port}" if port < WIDE else f"read_ports__{port - WIDE}"
        return getattr(self.dut, f"{name}__{member}")

    def answer(self, port, member, word):
        """A word of the answer."""
        return streams.read(self.read(port, f"{member}__{word}" if port < WIDE else member))

    def write(self, port, member):
        return getattr(self.dut, f"write_ports__{port}__request__{member}")


async def check(dut, model, reads, writes):
    """One cycle with the given requests; checks the answers to the previous one's."""
    ports = Ports(dut)
    for port in range(WIDE + READS):
        address, count = reads.get(port, (0, 1))
        ports.read(port, "request__valid").value = int(port in reads)
        ports.read(port, "request__payload").value = address
        if port < WIDE:
            ports.read(port, "wide").value = int(count > 1)
    for port in range(WRITES):
        address, value = writes.get(port, (0, 0))
        ports.write(port, "valid").value = int(port in writes)
        ports.write(port, "payload").value = streams.pack(WRITE,
                                                          {"address": address, "data": value})
    await streams.cycles(dut)
    for port in range(WIDE + READS):
        assert streams.read(ports.read(port, "valid")) == (port in model.answers)
        for i, word in enumerate(model.answers.get(port, ())):
            if word is not None:
                assert ports.answer(port, "data", i) == word
                assert ports.answer(port, "zeros", i) == zeros(word)
    taken, written = model.step(reads, writes)
    for port in reads:
        assert streams.read(ports.read(port, "request__ready")) == (port in taken)
    for port in writes:
        assert streams.read(ports.write(port, "ready")) == (port in written)
    counted = tuple(streams.read(port)
                    for port in (dut.conflicts, dut.words_read, dut.words_written))
    assert counted == model.counts
    lost = len(reads) - len(taken) + len(writes) - len(written)
    model.counts = lost, sum(reads[port][1] for port in taken), len(written)
    return taken, written


def _word(draw) -> int:
    """Bytes among which +0 and -0 are common."""
    return int.from_bytes(bytes(draw.choice((0, 0x80, 1, 0x81, 0x40, draw.randrange(256)))
                                for _ in range(8)), "little")


def _address(draw, banks, rows) -> int:
    return draw.choice(rows) * CONFIG.banks + draw.randrange(banks)


def _read(draw, port, banks, rows) -> tuple[int, int]:
    """Address and words of a request."""
    address = _address(draw, banks, rows)
    if port >= WIDE or draw.random() < 0.4:
        return address, 1
    return address & -CONFIG.slot, CONFIG.slot


@cocotb.test()
async def random_traffic(dut):
    draw = seeds.stdlib("scratchpad")
    model = Model()
    await streams.start(dut)
    for phase in range(6):
        busy = (0.2, 0.6, 1.0)[phase % 3]
        # few banks make collisions, few words make reads of what is written in the same cycle
        banks = min(CONFIG.banks, 2 if phase < 3 else CONFIG.banks)
        rows = [draw.randrange(CONFIG.bank_words) for _ in range(3)] + [CONFIG.bank_words - 1, 0]
        reads, writes = {}, {}
        for _ in range(400):
            for port in range(WIDE + READS):
                if port not in reads and draw.random() < busy:
                    reads[port] = _read(draw, port, banks, rows)
            for port in range(WRITES):
                if port not in writes and draw.random() < busy:
                    writes[port] = (_address(draw, banks, rows), _word(draw))
            taken, written = await check(dut, model, reads, writes)
            for port in taken:
                del reads[port]
            for port in written:
                del writes[port]


@cocotb.test()
async def read_in_the_cycle_of_the_write_is_old(dut):
    model = Model()
    await streams.start(dut)
    place = CONFIG.words - 1
    await check(dut, model, {}, {0: (place, 0x0123456789ABCDEF)})
    await check(dut, model, {0: (place, 1)}, {0: (place, 0x8000000000000080)})
    assert model.answers[0] == [0x0123456789ABCDEF]
    await check(dut, model, {0: (place, 1)}, {})
    assert model.answers[0] == [0x8000000000000080]
    await check(dut, model, {}, {})


@cocotb.test()
async def every_word_is_its_own(dut):
    model = Model()
    await streams.start(dut)
    span = min(CONFIG.words, 2048)
    addresses = [*range(span // 2), *range(CONFIG.words - span // 2, CONFIG.words)]
    for address in addresses:
        await check(dut, model, {}, {WRITES - 1: (address, address * 0x9E3779B97F4A7C15 % 2**64)})
    for address in addresses:
        await check(dut, model, {WIDE + READS - 1: (address, 1)}, {})
    await check(dut, model, {}, {})
