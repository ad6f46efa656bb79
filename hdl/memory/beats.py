"""A queue of beats of several words, which may come one by one."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.regfile import RegisterFile
from isa.config import WORD_BITS


class BeatQueue(wiring.Component):
    """Up to `depth` beats of `words` words and `flags` bits, in order.

    Parameters
    ----------
    words : int
    flags : int
        Bits that go with a beat.
    depth : int
        A power of two, at least 2.

    Members
    -------
    room : there is a place for the beat that is being made
    write, data_in : bit i: word i of that beat is `data_in[i]`
    push, flags_in : the beat is complete, with what is written in this cycle. Only while `room`.
    valid, data_out, flags_out : the first beat; words of it that were not written are undefined
    pop : takes it. Only while `valid`.
    level : beats in the queue

    Timing
    ------
    A beat is valid in the cycle after its push. No path leads through the queue.
    """

    def __init__(self, *, words: int, flags: int, depth: int):
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"depth = {depth}: must be a power of two, at least 2")
        self.words = words
        self.flags = flags
        self.depth = depth
        super().__init__({
            "room": Out(1),
            "write": In(words),
            "data_in": In(WORD_BITS).array(words),
            "push": In(1),
            "flags_in": In(flags),
            "valid": Out(1),
            "data_out": Out(WORD_BITS).array(words),
            "flags_out": Out(flags),
            "pop": In(1),
            "level": Out(range(depth + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        head, tail = Signal(range(self.depth)), Signal(range(self.depth))
        columns = [(f"word_{i}", *column) for i, column in enumerate(
            zip(self.write, self.data_in, self.data_out, strict=True))]
        for name, enable, value, output in (*columns, ("flags", self.push, self.flags_in,
                                                       self.flags_out)):
            m.submodules[name] = rows = RegisterFile(width=len(value), depth=self.depth)
            m.d.comb += [
                rows.read_address[0].eq(head),
                output.eq(rows.read_data[0]),
                rows.write_enable.eq(enable),
                rows.write_address.eq(tail),
                rows.write_data.eq(value),
            ]
        m.d.comb += [
            self.room.eq(self.level != self.depth),
            self.valid.eq(self.level != 0),
        ]
        m.d.sync += [
            head.eq(head + self.pop),
            tail.eq(tail + self.push),
            self.level.eq(self.level + self.push - self.pop),
        ]
        return m
