"""A scratchpad in Python, behind ports of a bench's top, that makes them wait at random."""

import cocotb
from cocotb.triggers import RisingEdge

from hdl.interfaces import WritePort
from verif import seeds, streams


def zeros(word: int) -> int:
    """For each byte whether it is +-0."""
    return sum((word >> 8 * i & 0x7F == 0) << i for i in range(8))


class Memory:
    """Answers read ports, and takes writes, of a device with `ReadPort` and `WritePort`.

    Parameters
    ----------
    words : mutable sequence of words
    reads, writes : names of the ports
    stall : probability that a port is not ready in a cycle; may be changed at any time
    """

    def __init__(self, dut, config, words, *, reads=(), writes=(), stall=0.0):
        self.dut = dut
        self.words = words
        self.stall = stall
        self.taken = 0  # reads
        self.written = []  # (address, data) in order
        self._reads = [tuple(getattr(dut, f"{name}__{part}") for part in (
            "request__valid", "request__ready", "request__payload", "valid", "data", "zeros"))
            for name in reads]
        self._writes = [tuple(getattr(dut, f"{name}__request__{part}") for part in (
            "valid", "ready", "payload")) for name in writes]
        self._layout = streams.shape_of(WritePort(config).members["request"].signature)
        self._random = seeds.stdlib("memory").random
        cocotb.start_soon(self._run())

    async def _run(self):
        edge = RisingEdge(self.dut.clk)
        random = self._random
        ready = [False] * (len(self._reads) + len(self._writes))
        for _, ready_port, _, valid, _, _ in self._reads:
            ready_port.value = 0
            valid.value = 0
        for _, ready_port, _ in self._writes:
            ready_port.value = 0
        while True:
            await edge
            for i, (asked, ready_port, address, valid, word, flags) in enumerate(self._reads):
                if ready[i] and asked.value:
                    data = int(self.words[streams.read(address)])
                    self.taken += 1
                    valid.value = 1
                    word.value = data
                    flags.value = zeros(data)
                else:
                    valid.value = 0
                    word.value = int(random() * 2**64)  # nobody may look at it
                ready[i] = self._decide(ready_port, ready[i], random)
            for i, (asked, ready_port, payload) in enumerate(self._writes, len(self._reads)):
                if ready[i] and asked.value:
                    write = streams.unpack(self._layout, streams.read(payload))
                    self.words[write["address"]] = write["data"]
                    self.written.append((write["address"], write["data"]))
                ready[i] = self._decide(ready_port, ready[i], random)

    def _decide(self, port, before, random):
        now = random() >= self.stall
        if now != before:
            port.value = int(now)
        return now
