"""The performance counters of the whole chip: one for each row of the table."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.regfile import RegisterFile
from hdl.tensor.events import EIGHTH, MACS_BITS, SKIPPED
from isa.memmap import COUNTER_INDEX, COUNTERS

COUNTER_BITS = 64
EIGHTH_SHIFT = EIGHTH.bit_length() - 1
EIGHTHS = {"macs": MACS_BITS, **SKIPPED}  # counted in units of EIGHTH
PULSE_BITS = 6  # enough for the ports of the scratchpad
BEAT_BITS = 3  # enough for the words of a beat

# What each counter adds in a cycle.
PULSES = data.StructLayout({
    counter.name: {**EIGHTHS, "saturations": 4, "saturations_e5m2": PULSE_BITS,
                   "words_read": PULSE_BITS, "words_written": PULSE_BITS, "words_filled": BEAT_BITS,
                   "words_stored": BEAT_BITS, "conflicts": PULSE_BITS}.get(counter.name, 1)
    for counter in COUNTERS
})


class Counters(wiring.Component):
    """The counters of `isa.memmap.COUNTERS`.

    Each has a small adder that counts every cycle; one after the other they are emptied into the
    rows of a memory, which has the only wide adder. What is read is the sum of both.

    Members
    -------
    clear : all are zero
    enable : they count
    pulses : `PULSES`
    index, value : the counter of that number, in the same cycle; undefined if there is none
    """

    def __init__(self):
        super().__init__({
            "clear": In(1),
            "enable": In(1),
            "pulses": In(PULSES),
            "index": In(range(len(COUNTERS))),
            "value": Out(COUNTER_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        number = len(COUNTERS)
        m.submodules.rows = rows = RegisterFile(width=COUNTER_BITS, depth=number, reads=2)
        written = Signal(number)  # the rows are not reset; what was not written is zero
        turn = Signal(range(number))  # whose small counter is emptied in this cycle
        m.d.sync += turn.eq(Mux(turn == number - 1, 0, turn + 1))

        small = []
        for i, row in enumerate(COUNTERS):
            pulse = self.pulses[row.name]
            count = Signal(len(pulse) + number.bit_length(), name=row.name)
            added = Mux(self.enable, pulse, 0)
            m.d.sync += count.eq(Mux(self.clear, 0, Mux(turn == i, 0, count) + added))
            small.append(count)

        total = {}
        for port, (name, place) in enumerate((("read", self.index), ("emptied", turn))):
            chosen = Signal(max(len(count) for count in small), name=f"{name}_small")
            total[name] = Signal(COUNTER_BITS, name=f"{name}_total")
            with m.Switch(place):
                for i, count in enumerate(small):
                    with m.Case(i):
                        m.d.comb += chosen.eq(count)
            m.d.comb += [
                rows.read_address[port].eq(place),
                total[name].eq(Mux((written >> place)[0], rows.read_data[port], 0) + chosen),
            ]
        eighths = Cat(self.index == COUNTER_INDEX[name] for name in EIGHTHS).any()
        m.d.comb += [
            rows.write_enable.eq(1),
            rows.write_address.eq(turn),
            rows.write_data.eq(total["emptied"]),
            self.value.eq(Mux(eighths, total["read"] << EIGHTH_SHIFT, total["read"])),
        ]
        m.d.sync += written.eq(Mux(self.clear, 0, written | (1 << turn)))
        return m
