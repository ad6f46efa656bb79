"""Values that wait beside a long pipeline, in a memory."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.regfile import RegisterFile
from hdl.memory.sram import require_positive
from hdl.vector.layouts import FLOAT_BITS, WORD_FLOATS
from isa.config import LANES, WORD_BITS


class Ring(wiring.Component):
    """A group as it was `cycles` cycles with `en` ago.

    Parameters
    ----------
    cycles : int

    Members
    -------
    en : a group goes in
    keep : it matters; else nothing is written, to save energy
    values, out : 8 binary32 numbers
    """

    def __init__(self, *, cycles: int):
        require_positive(cycles=cycles)
        self.cycles = cycles
        super().__init__({
            "en": In(1),
            "keep": In(1),
            "values": In(FLOAT_BITS).array(LANES),
            "out": Out(FLOAT_BITS).array(LANES),
        })

    def elaborate(self, platform):
        m = Module()
        place = Signal(range(self.cycles))
        with m.If(self.en):
            m.d.sync += place.eq(Mux(place == self.cycles - 1, 0, place + 1))
        for i in range(0, LANES, WORD_FLOATS):
            m.submodules[f"memory_{i}"] = memory = RegisterFile(
                width=WORD_BITS, depth=self.cycles)
            m.d.comb += [
                memory.read_address[0].eq(place),
                memory.write_enable.eq(self.en & self.keep),
                memory.write_address.eq(place),
                memory.write_data.eq(Cat(self.values[i:i + WORD_FLOATS])),
                Cat(self.out[i:i + WORD_FLOATS]).eq(memory.read_data[0]),
            ]
        return m
