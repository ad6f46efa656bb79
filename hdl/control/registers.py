"""The control registers: what the host and the csr instruction see."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.axi import LITE_ADDRESS_BITS, LITE_DATA_BITS
from hdl.control.counters import COUNTER_BITS
from hdl.interfaces import CAUSE_BITS, PC_BITS
from isa.instructions import BY_MNEMONIC
from isa.memmap import (
    BINS,
    COUNTERS,
    ID_VALUE,
    TAG_BYTES,
    TAG_COUNTERS,
    Control,
    Flag,
    Status,
    Trap,
)
from isa.registers import COUNT_BITS, TAGS, TALLY_BITS

COUNTER_BYTES = COUNTER_BITS // 8
CODE_BITS = BY_MNEMONIC["halt"].fields[0].width

# How a program ended, with a pulse `done`.
ENDING = data.StructLayout({
    "trapped": 1,
    "code": CODE_BITS,
    "cause": CAUSE_BITS,
    "pc": PC_BITS,
})


class ControlRegisters(wiring.Component):
    """Keeps the control registers and reads them and the counters.

    Members
    -------
    write, write_address, write_data, write_mask : from the bus, in one cycle
    read_address, read_data : the answer comes one cycle after the address. What has no register
        reads as zero.
    start : pulse; a program starts, from byte address `program`. While one runs there is none.
    program : its address, constant while it runs
    busy : from `start` to `done`
    done, ending : pulse; how the program ended (`ENDING`)
    pc : where control is
    nan, nan_pc : pulse; an operation made a NaN
    bin, bin_count : a bin of the histogram, and its count in the same cycle
    listed, live : pulse; how many elements of a list are live
    counter, counter_value : index and value of a counter
    tag, tag_cycles, tag_words : the counters of a tag
    interrupt : done and enabled
    """

    def __init__(self):
        super().__init__({
            "write": In(1),
            "write_address": In(LITE_ADDRESS_BITS),
            "write_data": In(LITE_DATA_BITS),
            "write_mask": In(LITE_DATA_BITS),
            "read_address": In(LITE_ADDRESS_BITS),
            "read_data": Out(LITE_DATA_BITS),
            "start": Out(1),
            "program": Out(LITE_DATA_BITS),
            "busy": Out(1),
            "done": In(1),
            "ending": In(ENDING),
            "pc": In(PC_BITS),
            "nan": In(1),
            "nan_pc": In(PC_BITS),
            "listed": In(1),
            "live": In(COUNT_BITS),
            "bin": Out(range(BINS)),
            "bin_count": In(TALLY_BITS),
            "counter": Out(range(len(COUNTERS))),
            "counter_value": In(COUNTER_BITS),
            "tag": Out(range(TAGS)),
            "tag_counter": In(COUNTER_BITS).array(len(TAG_COUNTERS)),
            "interrupt": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        program = Signal(LITE_DATA_BITS)  # as written; the one that runs is kept apart
        enable = Signal()
        done, trapped = Signal(), Signal()
        code = Signal(CODE_BITS)
        cause = Signal(CAUSE_BITS)
        trap_pc = Signal(PC_BITS)
        flags = Signal(max(Flag) + 1)
        nan_pc = Signal(PC_BITS)
        live = Signal(COUNT_BITS)
        ones = Signal(LITE_DATA_BITS)  # bits that are written with a one
        m.d.comb += [
            ones.eq(self.write_data & self.write_mask),
            self.interrupt.eq(done & enable),
        ]

        with m.If(self.write), m.Switch(self.write_address[2:]):
            with m.Case(Control.COMMAND >> 2):
                m.d.comb += self.start.eq(ones[0] & ~self.busy)
            with m.Case(Control.STATUS >> 2), m.If(ones[Status.DONE]):
                m.d.sync += done.eq(0)
            with m.Case(Control.PROGRAM >> 2):
                m.d.sync += program.eq((program & ~self.write_mask) | ones)
            with m.Case(Control.FLAGS >> 2):
                m.d.sync += flags.eq(flags & ~ones)
            with m.Case(Control.INTERRUPT_ENABLE >> 2):
                m.d.sync += enable.eq(Mux(self.write_mask[0], self.write_data[0], enable))
        with m.If(self.nan & ~flags[Flag.NAN]):
            m.d.sync += [flags[Flag.NAN].eq(1), nan_pc.eq(self.nan_pc)]
        with m.If(self.listed):
            m.d.sync += live.eq(self.live)
        with m.If(self.done):
            m.d.sync += [
                self.busy.eq(0),
                done.eq(1),
                trapped.eq(self.ending.trapped),
                code.eq(self.ending.code),
                cause.eq(self.ending.cause),
                trap_pc.eq(self.ending.pc),
            ]
        with m.If(self.start):
            m.d.sync += [
                self.program.eq(program), self.busy.eq(1), done.eq(0), trapped.eq(0), code.eq(0),
                cause.eq(Trap.NONE), trap_pc.eq(0), flags.eq(0), nan_pc.eq(0),
                live.eq(0),
            ]

        status = Signal(max(Status) + 1)
        m.d.comb += [
            status[Status.BUSY].eq(self.busy),
            status[Status.DONE].eq(done),
            status[Status.TRAPPED].eq(trapped),
        ]
        self._read(m, {
            Control.ID: ID_VALUE,
            Control.STATUS: status,
            Control.PROGRAM: program,
            Control.PC: self.pc,
            Control.HALT_CODE: code,
            Control.TRAP_CAUSE: cause,
            Control.TRAP_PC: trap_pc,
            Control.FLAGS: flags,
            Control.NAN_PC: nan_pc,
            Control.INTERRUPT_ENABLE: enable,
            Control.LIVE: live,
        })
        return m

    def _read(self, m, plain):
        address = self.read_address
        half = address[2]
        low = COUNTER_BYTES.bit_length() - 1
        tags = Control.TAG_COUNTERS
        value = Signal(COUNTER_BITS)
        in_counters, in_tags, in_bins = Signal(), Signal(), Signal()
        index = Signal(LITE_ADDRESS_BITS)
        m.d.comb += [
            index.eq((address - Control.COUNTERS) >> low),
            in_counters.eq((address >= Control.COUNTERS) & (index < len(COUNTERS))),
            in_tags.eq((address >= tags) & (address < tags + TAG_BYTES * TAGS)),
            in_bins.eq((address >= Control.HISTOGRAM) & (address < Control.HISTOGRAM + 4 * BINS)),
            self.bin.eq((address - Control.HISTOGRAM) >> 2),
            self.counter.eq(index),
            self.tag.eq((address - tags) >> exact_log2(TAG_BYTES)),
        ]
        with m.If(in_tags), m.Switch(address[low:exact_log2(TAG_BYTES)]):
            for i in range(len(TAG_COUNTERS)):
                with m.Case(i):
                    m.d.comb += value.eq(self.tag_counter[i])
        with m.Else():
            m.d.comb += value.eq(self.counter_value)
        with m.If(in_counters | in_tags):
            m.d.sync += self.read_data.eq(Mux(
                half, value[LITE_DATA_BITS:], value[:LITE_DATA_BITS]))
        with m.Elif(in_bins):
            m.d.sync += self.read_data.eq(self.bin_count)
        with m.Else():
            m.d.sync += self.read_data.eq(0)
            with m.Switch(address[2:]):
                for offset, source in plain.items():
                    with m.Case(offset >> 2):
                        m.d.sync += self.read_data.eq(source)
