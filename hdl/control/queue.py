"""A small first-in first-out queue whose rows are a register file."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.regfile import RegisterFile


class Queue(wiring.Component):
    """Up to `depth` payloads of `width` bits, in order.

    Parameters
    ----------
    width : int
    depth : int
        A power of two, at least 2.

    Members
    -------
    incoming, outgoing : streams
        `ready` and `valid` depend on the level alone: no path leads through the queue.
    level : payloads in the queue
    clear : the queue is empty from the next cycle on; nothing may come in this cycle

    Timing
    ------
    A payload that comes in is valid at the other side in the next cycle.
    """

    def __init__(self, *, width: int, depth: int):
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"depth = {depth}: must be a power of two, at least 2")
        self.width = width
        self.depth = depth
        super().__init__({
            "incoming": In(stream.Signature(width)),
            "outgoing": Out(stream.Signature(width)),
            "level": Out(range(depth + 1)),
            "clear": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.rows = rows = RegisterFile(width=self.width, depth=self.depth)
        head, tail = Signal(range(self.depth)), Signal(range(self.depth))
        push, pop = Signal(), Signal()
        m.d.comb += [
            self.incoming.ready.eq(self.level != self.depth),
            self.outgoing.valid.eq(self.level != 0),
            self.outgoing.payload.eq(rows.read_data[0]),
            push.eq(self.incoming.valid & self.incoming.ready),
            pop.eq(self.outgoing.valid & self.outgoing.ready),
            rows.read_address[0].eq(head),
            rows.write_enable.eq(push),
            rows.write_address.eq(tail),
            rows.write_data.eq(self.incoming.payload),
        ]
        m.d.sync += [
            head.eq(head + pop),
            tail.eq(tail + push),
            self.level.eq(self.level + push - pop),
        ]
        with m.If(self.clear):
            m.d.sync += [head.eq(0), tail.eq(0), self.level.eq(0)]
        return m
