"""cocotb drivers of streams, and how a bench starts its clock.

Timing
------
Everything acts at the rising edge of the clock: what is read there is what the registers see at
that edge (settled values of the cycle that ends), what is written there holds from then on.

Payloads
--------
A struct payload is one packed port. With its Amaranth shape given, drivers take and give dicts (or
lists, for arrays) of integers; without, plain integers.
"""

from collections import deque
from collections.abc import Iterable, Mapping

import cocotb
from amaranth.hdl import Shape
from amaranth.lib import data
from cocotb.clock import Clock
from cocotb.triggers import Event, RisingEdge

from verif import seeds

PERIOD_NS = 2


async def start(dut, reset_cycles: int = 2) -> None:
    """Starts the clock and resets; returns at a rising edge, with reset low from then on."""
    Clock(dut.clk, PERIOD_NS, "ns").start()
    dut.rst.value = 1
    await cycles(dut, reset_cycles)
    dut.rst.value = 0


async def cycles(dut, count: int = 1) -> None:
    """Waits for `count` rising edges."""
    for _ in range(count):
        await RisingEdge(dut.clk)


def pack(shape, value) -> int:
    """The bits of `value`: an integer, or a dict or list of the fields of a layout."""
    if isinstance(shape, data.Layout) and not isinstance(value, int):
        named = value if isinstance(value, Mapping) else dict(enumerate(value))
        unknown = set(named) - {key for key, _ in shape}
        if unknown:
            raise KeyError(f"no field {unknown} in {shape}")
        return sum(pack(field.shape, named[key]) << field.offset
                   for key, field in shape if key in named)
    width = Shape.cast(shape).width
    if not -(1 << width) < 2 * int(value) + 1 < 1 << (width + 1):
        raise ValueError(f"{value} does not fit {width} bits")
    return int(value) & ((1 << width) - 1)


def unpack(shape, bits: int):
    """The other way: a dict for a struct, a list for an array, an integer for the rest."""
    width = Shape.cast(shape).width
    bits &= (1 << width) - 1
    if isinstance(shape, data.Layout):
        fields = [(key, unpack(field.shape, bits >> field.offset)) for key, field in shape]
        return [v for _, v in fields] if isinstance(shape, data.ArrayLayout) else dict(fields)
    if Shape.cast(shape).signed and bits >> (width - 1) & 1:
        return bits - (1 << width)
    return bits


def shape_of(signature):
    """The payload's shape of a `stream.Signature`."""
    return signature.members["payload"].shape


def port(dut, name: str):
    """The port called `name`, or None: constants and empty payloads have no port."""
    return getattr(dut, name) if hasattr(dut, name) else None


def read(handle) -> int:
    """The bits of a port as an unsigned integer."""
    return int(handle.value)


class _Driver:
    def __init__(self, dut, name: str, shape, stall: float, label: str):
        self.dut = dut
        self.name = name
        self.shape = shape
        self.stall = stall
        self.payload = port(dut, f"{name}__payload")
        self.valid = port(dut, f"{name}__valid")
        self.ready = port(dut, f"{name}__ready")
        self._random = seeds.stdlib(f"{label} {name}")
        self._changed = Event()
        cocotb.start_soon(self._run())

    def _stalls(self) -> bool:
        return self.stall > 0 and self._random.random() < self.stall

    async def _until(self, condition):
        while not condition():
            self._changed.clear()
            await self._changed.wait()


class Source(_Driver):
    """Gives items to the stream port `name` of the bench's top.

    Parameters
    ----------
    shape : Amaranth shape of the payload; None for items that are integers already
    stall : float
        Probability of a cycle without a valid item, though one waits; may be changed at any time.
    """

    def __init__(self, dut, name: str, shape=None, *, stall: float = 0.0):
        self._queue = deque()
        self.sent = 0  # items taken so far
        super().__init__(dut, name, shape, stall, "source")

    def put(self, items: Iterable) -> None:
        """Queues items, to be given in order."""
        for item in items:
            self._queue.append(item if self.shape is None else pack(self.shape, item))

    async def drain(self) -> None:
        """Waits until all queued items were taken."""
        await self._until(lambda: not self._queue)

    async def send(self, items: Iterable) -> None:
        self.put(items)
        await self.drain()

    async def _run(self):
        edge = RisingEdge(self.dut.clk)
        valid = False
        self.valid.value = 0
        while True:
            await edge
            if valid and (self.ready is None or self.ready.value):
                self._queue.popleft()
                self.sent += 1
                valid = False
                self._changed.set()
            if not valid:
                valid = bool(self._queue) and not self._stalls()
                self.valid.value = int(valid)
                if self.payload is not None:  # random where not valid: nobody may look at it
                    self.payload.value = (self._queue[0] if valid
                                          else self._random.getrandbits(len(self.payload)))


class Sink(_Driver):
    """Takes the items of the stream port `name` of the bench's top.

    Parameters
    ----------
    shape, stall : as for `Source`; a stalled cycle has ready low
    """

    def __init__(self, dut, name: str, shape=None, *, stall: float = 0.0):
        self.items = []  # everything taken so far
        super().__init__(dut, name, shape, stall, "sink")

    async def receive(self, count: int) -> list:
        """Waits until there are `count` items, takes them out of `items` and returns them."""
        await self._until(lambda: len(self.items) >= count)
        taken, self.items = self.items[:count], self.items[count:]
        return taken

    async def _run(self):
        edge = RisingEdge(self.dut.clk)
        ready = self.ready is None
        if not ready:
            self.ready.value = 0
        while True:
            await edge
            if ready and (self.valid is None or self.valid.value):
                bits = 0 if self.payload is None else read(self.payload)
                self.items.append(bits if self.shape is None else unpack(self.shape, bits))
                self._changed.set()
            if self.ready is not None:
                now = not self._stalls()
                if now != ready:
                    ready = now
                    self.ready.value = int(ready)
