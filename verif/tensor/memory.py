"""A scratchpad in Python, behind ports of a bench's top, that makes them wait at random."""

import cocotb
from cocotb.triggers import RisingEdge

from hdl.interfaces import WritePort
from verif import seeds, streams


def zeros(word: int) -> int:
    """For each byte whether it is +-0."""
    return sum((word >> 8 * i & 0x7F == 0) << i for i in range(8))


class _Read:
    def __init__(self, dut, name):
        self.name = name
        self.asked, self.ready, self.address, self.valid = (
            getattr(dut, f"{name}__{part}") for part in (
                "request__valid", "request__ready", "request__payload", "valid"))
        self.wide = getattr(dut, f"{name}__wide", None)
        self.words = []  # data and flags
        if self.wide is None:
            self.words.append((getattr(dut, f"{name}__data"), getattr(dut, f"{name}__zeros")))
        while hasattr(dut, f"{name}__data__{len(self.words)}"):
            i = len(self.words)
            self.words.append((getattr(dut, f"{name}__data__{i}"),
                               getattr(dut, f"{name}__zeros__{i}")))
        self.ready.value = self.valid.value = 0
        self.open = self.answered = False


class _Write:
    def __init__(self, dut, name):
        self.name = name
        self.asked, self.ready, self.payload = (
            getattr(dut, f"{name}__request__{part}") for part in ("valid", "ready", "payload"))
        self.ready.value = 0
        self.open = False


class Memory:
    """Answers read ports, and takes writes, of a device with `ReadPort` and `WritePort`.

    A wide request is answered with words that follow each other; else all but the first are noise.

    Parameters
    ----------
    words : mutable sequence of words
    reads, writes : names of the ports
    stall : probability that a port is not ready in a cycle; may be changed at any time
    stalls : by name, of the ports that have a probability of their own
    """

    def __init__(self, dut, config, words, *, reads=(), writes=(), stall=0.0):
        self.dut = dut
        self.words = words
        self.stall = stall
        self.stalls = {}
        self.taken = 0  # reads
        self.writes = 0
        self._reads = [_Read(dut, name) for name in reads]
        self._writes = [_Write(dut, name) for name in writes]
        self._layout = streams.shape_of(WritePort(config).members["request"].signature)
        self._random = seeds.stdlib("memory")
        cocotb.start_soon(self._run())

    async def _run(self):
        edge = RisingEdge(self.dut.clk)
        while True:
            await edge
            for port in self._reads:
                self._answer(port)
            for port in self._writes:
                self._write(port)

    def _answer(self, port):
        if port.open and port.asked.value:
            first = streams.read(port.address)
            number = len(port.words) if port.wide is not None and port.wide.value else 1
            assert first % number == 0, "a wide request that is not aligned"
            self.taken += number
            port.valid.value = 1
            for i, (data, flags) in enumerate(port.words):
                word = int(self.words[first + i]) if i < number else self._random.getrandbits(64)
                data.value = word
                flags.value = zeros(word)
            port.answered = True
        elif port.answered:
            port.valid.value = 0
            for data, _ in port.words:
                data.value = self._random.getrandbits(64)  # nobody may look at it
            port.answered = False
        self._decide(port)

    def _write(self, port):
        if port.open and port.asked.value:
            write = streams.unpack(self._layout, streams.read(port.payload))
            self.words[write["address"]] = write["data"]
            self.writes += 1
        self._decide(port)

    def _decide(self, port):
        stall = self.stalls.get(port.name, self.stall)
        now = stall == 0 or self._random.random() >= stall
        if now != port.open:
            port.open = now
            port.ready.value = int(now)
