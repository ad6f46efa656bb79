"""A serial port: 8 bits, no parity, one stop bit."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

_BITS = 10  # of a frame: start, 8 data, stop


def require_divisor(divisor: int) -> None:
    """`ValueError` where a bit would be too short to be sampled in its middle."""
    if type(divisor) is not int or divisor < 3:
        raise ValueError(f"divisor = {divisor!r}: must be an integer of at least 3")


class Transmitter(wiring.Component):
    """Bytes to a line.

    Parameters
    ----------
    divisor : int
        Cycles of a bit, at least 3.

    Members
    -------
    bytes : stream of bytes, taken between frames
    line : high while idle

    Timing
    ------
    A byte takes 10 * `divisor` cycles; its start bit begins in the cycle after it is taken.
    """

    def __init__(self, *, divisor: int):
        require_divisor(divisor)
        self.divisor = divisor
        super().__init__({"bytes": In(stream.Signature(8)), "line": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        frame = Signal(_BITS, init=(1 << _BITS) - 1)
        left = Signal(range(_BITS + 1))  # bits that are not over
        cycle = Signal(range(self.divisor))
        m.d.comb += [self.line.eq(frame[0]), self.bytes.ready.eq(left == 0)]
        m.d.sync += cycle.eq(cycle + 1)
        with m.If(self.bytes.valid & self.bytes.ready):
            m.d.sync += [frame.eq(Cat(Const(0, 1), self.bytes.payload, Const(1, 1))),
                         left.eq(_BITS), cycle.eq(0)]
        with m.Elif((left != 0) & (cycle == self.divisor - 1)):
            m.d.sync += [cycle.eq(0), left.eq(left - 1), frame.eq(Cat(frame[1:], Const(1, 1)))]
        return m


class Receiver(wiring.Component):
    """A line to bytes.

    Parameters
    ----------
    divisor : int
        Cycles of a bit, at least 3.

    Members
    -------
    line : not of this clock; high while idle
    bytes
        Stream of bytes. A byte that is not taken before the next one is complete is lost.

    Timing
    ------
    A byte comes in the middle of its stop bit, some cycles later for the synchroniser. A frame
    whose stop bit is low is dropped.
    """

    def __init__(self, *, divisor: int):
        require_divisor(divisor)
        self.divisor = divisor
        super().__init__({"line": In(1, init=1), "bytes": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        near, line = Signal(init=1), Signal(init=1)
        data = Signal(9)
        left = Signal(range(_BITS + 1))
        cycle = Signal(range(self.divisor))
        m.d.sync += [near.eq(self.line), line.eq(near)]
        with m.If(self.bytes.ready):
            m.d.sync += self.bytes.valid.eq(0)
        m.d.sync += cycle.eq(cycle + 1)
        with m.If((left == 0) & ~line):
            m.d.sync += [left.eq(_BITS), cycle.eq(self.divisor // 2)]
        with m.Elif((left != 0) & (cycle == self.divisor - 1)):
            m.d.sync += [cycle.eq(0), left.eq(left - 1), data.eq(Cat(data[1:], line))]
            with m.If((left == _BITS) & line):  # not a start bit
                m.d.sync += left.eq(0)
            with m.If((left == 1) & line):
                m.d.sync += [self.bytes.payload.eq(data[1:]), self.bytes.valid.eq(1)]
        return m
