"""The scalar registers."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.regfile import RegisterFile
from isa.instructions import SCALARS

SCALAR_BITS = 32
READS = 2


class Scalars(wiring.Component):
    """The scalar registers, all zero after `clear`.

    Members
    -------
    clear : all registers are zero from the next cycle on
    read_address, read_data : arrays of two; the value is there in the same cycle
    write_enable, write_address, write_data
        The register changes at the end of the cycle.
    """

    def __init__(self):
        address = range(SCALARS)
        super().__init__({
            "clear": In(1),
            "read_address": In(address).array(READS),
            "read_data": Out(SCALAR_BITS).array(READS),
            "write_enable": In(1),
            "write_address": In(address),
            "write_data": In(SCALAR_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.rows = rows = RegisterFile(width=SCALAR_BITS, depth=SCALARS, reads=READS)
        written = Signal(SCALARS)  # the rows are not reset; what was not written is zero
        m.d.comb += [
            rows.write_enable.eq(self.write_enable),
            rows.write_address.eq(self.write_address),
            rows.write_data.eq(self.write_data),
        ]
        for i in range(READS):
            known = (written >> self.read_address[i])[0]
            m.d.comb += [
                rows.read_address[i].eq(self.read_address[i]),
                self.read_data[i].eq(Mux(known, rows.read_data[i], 0)),
            ]
        with m.If(self.write_enable):
            m.d.sync += written.bit_select(self.write_address, 1).eq(1)
        with m.If(self.clear):
            m.d.sync += written.eq(0)
        return m
