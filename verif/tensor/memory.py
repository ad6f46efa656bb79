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
        self.asked, self.ready, self.address, self.valid, self.data, self.zeros = (
            getattr(dut, f"{name}__{part}") for part in (
                "request__valid", "request__ready", "request__payload", "valid", "data", "zeros"))
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
            data = int(self.words[streams.read(port.address)])
            self.taken += 1
            port.valid.value = 1
            port.data.value = data
            port.zeros.value = zeros(data)
            port.answered = True
        elif port.answered:
            port.valid.value = 0
            port.data.value = self._random.getrandbits(64)  # nobody may look at it
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
