"""The performance counters of each tag."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.control.counters import COUNTER_BITS
from hdl.memory.regfile import RegisterFile
from hdl.tensor.events import TensorEvents
from isa.memmap import TAG_COUNTERS
from isa.registers import TAGS


class TagCounters(wiring.Component):
    """What the tensor operations of each tag took.

    Members
    -------
    clear : all are zero
    enable : the program runs
    events : TensorEvents; between two operations there is at least one cycle that is not busy
    tag, counters
        The counters of a tag in the order of `isa.memmap.TAG_COUNTERS`, in the same cycle. Busy
        cycles and words are those of operations that are done, from two cycles after the end of
        each; span is that of all cycles before the present one.
    """

    def __init__(self):
        super().__init__({
            "clear": In(1),
            "enable": In(1),
            "events": In(TensorEvents()),
            "tag": In(range(TAGS)),
            "counters": Out(COUNTER_BITS).array(len(TAG_COUNTERS)),
        })

    def elaborate(self, platform):
        m = Module()
        events = self.events
        present = Signal.like(events.tag)  # of the last operation that started
        was_busy = Signal()
        started = Signal()  # there was an operation
        begin, done = Signal(), Signal()
        m.d.comb += [begin.eq(events.busy & ~was_busy), done.eq(was_busy & ~events.busy)]
        m.d.sync += was_busy.eq(events.busy)
        with m.If(begin):
            m.d.sync += [present.eq(events.tag), started.eq(1)]
        with m.If(self.clear):
            m.d.sync += [was_busy.eq(0), started.eq(0)]
        pulses = {"busy": events.busy, "words": events.stream_words,
                  "span": self.enable & (started | begin)}
        for i, name in enumerate(TAG_COUNTERS):
            span = name == "span"
            live = self._counter(m, name, present, begin if span else done, pulses[name], i)
            if span:  # the last operation has no next one
                with m.If(self.tag == present):
                    m.d.comb += self.counters[i].eq(live)
        return m

    def _counter(self, m, name, present, take, pulse, i):
        """A counter of the present tag, emptied into the row of its tag with `take`; gives what
        that row and the counter hold together."""
        m.submodules[name] = rows = RegisterFile(width=COUNTER_BITS, depth=TAGS, reads=2)
        written = Signal(TAGS, name=f"written_{name}")  # rows are not reset: the others are zero
        count = Signal(COUNTER_BITS, name=f"present_{name}")
        total = Signal(COUNTER_BITS, name=f"total_{name}")
        m.d.comb += [
            rows.read_address[0].eq(self.tag),
            self.counters[i].eq(Mux((written >> self.tag)[0], rows.read_data[0], 0)),
            rows.read_address[1].eq(present),
            total.eq(Mux((written >> present)[0], rows.read_data[1], 0) + count),
            rows.write_enable.eq(take),
            rows.write_address.eq(present),
            rows.write_data.eq(total),
        ]
        m.d.sync += count.eq(Mux(self.clear, 0, Mux(take, 0, count) + pulse))
        with m.If(take):
            m.d.sync += written.bit_select(present, 1).eq(1)
        with m.If(self.clear):
            m.d.sync += written.eq(0)
        return total
