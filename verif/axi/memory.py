"""An external memory behind an AXI4 port, by cocotbext-axi: stalls, error responses, rules."""

import warnings

import cocotb
from cocotb.triggers import RisingEdge

from isa.instructions import BY_MNEMONIC, OPCODE
from verif import seeds, streams

with warnings.catch_warnings():
    # cocotbext-axi 0.1 still calls what cocotb 2 deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave

warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"cocotbext\.axi")

GOOD_LOOKING = OPCODE.encode(BY_MNEMONIC["halt"].opcode)
PAGE = 4096
MOST_BEATS = 16


def stalls(probability: float, label: str):
    """A pause generator: that share of cycles, drawn from the seed."""
    draw = seeds.stdlib(label)
    while True:
        yield draw.random() < probability


class ExternalMemory:
    """Bytes behind the manager port `axi` of the bench's top, whose width sets the beat.

    Parameters
    ----------
    size : int
        What lies beyond it gets an error response.
    stall : float
        Share of cycles in which a channel is not ready or not valid.

    Attributes
    ----------
    data : bytearray
    bad : set of word addresses (in bytes): accesses that touch one of them fail
    faults : error responses so far
    """

    def __init__(self, dut, size: int, stall: float = 0.0):
        self.dut = dut
        self.beat = len(dut.axi__rdata) // 8  # bytes
        self.data = bytearray(size)
        self.bad = set()
        self.faults = 0
        self.slave = AxiSlave(AxiBus.from_prefix(dut, "axi_"), dut.clk, dut.rst, target=self)
        for side in (self.slave.write_if, self.slave.read_if):
            side.log.setLevel("ERROR")
        self.set_stall(stall)
        self._send = self.slave.read_if.r_channel.send
        self.slave.read_if.r_channel.send = self._answer
        self._open = 0
        cocotb.start_soon(self._watch())

    def set_stall(self, stall: float) -> None:
        write, read = self.slave.write_if, self.slave.read_if
        for name, channel in (("aw", write.aw_channel), ("w", write.w_channel),
                              ("b", write.b_channel), ("ar", read.ar_channel),
                              ("r", read.r_channel)):
            if stall:
                channel.set_pause_generator(stalls(stall, f"axi {name}"))
            else:
                channel.clear_pause_generator()
                channel.pause = False

    @property
    def quiet(self) -> bool:
        """Every burst that was asked for is finished."""
        return self._open == 0

    def words(self, address: int, count: int) -> list[int]:
        return [int.from_bytes(self.data[a:a + 8], "little")
                for a in range(address, address + 8 * count, 8)]

    def put(self, address: int, words) -> None:
        for i, word in enumerate(words):
            self.data[address + 8 * i:address + 8 * i + 8] = word.to_bytes(8, "little")

    async def read(self, address: int, length: int) -> bytes:
        self._check(address, length)
        return bytes(self.data[address:address + length])

    async def write(self, address: int, data: bytes) -> None:
        self._check(address, len(data))
        self.data[address:address + len(data)] = data

    async def _answer(self, beat):
        """Data of an error response look like good ones: nobody may rely on them."""
        if beat.rresp:
            beat.rdata = sum(GOOD_LOOKING << 8 * byte for byte in range(0, self.beat, 8))
        await self._send(beat)

    def _check(self, address, length):
        touched = range(address, address + length, 8)
        if address + length > len(self.data) or not self.bad.isdisjoint(touched):
            self.faults += 1
            raise ValueError(f"no memory at {address:#x}")

    async def _watch(self):
        """What a manager may not do: withdraw or change what it shows, cross a page."""
        dut = self.dut
        channels = {
            "ar": ("arid", "araddr", "arlen", "arsize", "arburst"),
            "aw": ("awid", "awaddr", "awlen", "awsize", "awburst"),
            "w": ("wdata", "wstrb", "wlast"),
        }

        def get(name):
            return streams.read(getattr(dut, f"axi__{name}"))

        held = dict.fromkeys(channels)
        while True:
            await RisingEdge(dut.clk)
            if get_reset(dut):
                continue
            for channel, members in channels.items():
                valid, ready = get(channel + "valid"), get(channel + "ready")
                if held[channel] is not None:
                    assert valid, f"{channel}valid was withdrawn"
                shown = [get(name) for name in members] if valid else None
                if held[channel] is not None:
                    assert shown == held[channel], f"{channel} changed while it waited"
                held[channel] = shown if valid and not ready else None
                if valid and ready and channel != "w":
                    _, address, length, size, burst = shown
                    assert 1 << size == self.beat and burst == 1 and length < MOST_BEATS
                    assert address % self.beat == 0, "a burst does not begin with a beat"
                    assert address % PAGE + self.beat * (length + 1) <= PAGE, \
                        "a burst crosses a page"
                    self._open += 1
            self._open -= get("rvalid") and get("rready") and get("rlast")
            self._open -= get("bvalid") and get("bready")


def get_reset(dut) -> bool:
    return bool(streams.read(dut.rst))


class Host:
    """The AXI4-Lite manager at the port `name` of the bench's top."""

    def __init__(self, dut, name: str = "bus", stall: float = 0.0):
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, f"{name}_"), dut.clk, dut.rst)
        write, read = self.master.write_if, self.master.read_if
        for side in (write, read):
            side.log.setLevel("ERROR")
        if stall:
            for label, channel in (("aw", write.aw_channel), ("w", write.w_channel),
                                   ("b", write.b_channel), ("ar", read.ar_channel),
                                   ("r", read.r_channel)):
                channel.set_pause_generator(stalls(stall, f"lite {label}"))

    async def read(self, offset: int) -> int:
        return await self.master.read_dword(offset)

    async def read64(self, offset: int) -> int:
        return await self.read(offset) | await self.read(offset + 4) << 32

    async def write(self, offset: int, value: int) -> None:
        await self.master.write_dword(offset, value)
