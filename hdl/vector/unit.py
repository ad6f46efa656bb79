"""The vector unit: elementwise work, sums and the largest on streams of the scratchpad."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.clock import gated
from hdl.control.front_end import FrontEnd
from hdl.interfaces import ReadPort, UnitCommand, WritePort
from hdl.vector.control import VectorControl
from hdl.vector.datapath import VectorDatapath
from hdl.vector.decode import Decode
from isa.config import LANES, Config
from isa.memmap import BINS
from isa.registers import TALLY_BITS, VECTOR_INPUTS, VECTOR_OUTPUTS, Unit


class VectorUnit(wiring.Component):
    """t = a * b + c, u = d * e + f on groups of 8 elements, as docs/architecture.md defines it.

    Its datapaths share an operation: each works on some rounds of the loop that is split.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : UnitCommand, from control
    x, y, z : scratchpad read ports of the inputs, for each datapath; coefficients are read by z
    o0, o1, o2 : scratchpad write ports of the outputs, for each datapath
    busy : a cycle of an operation
    wait_read : of these, a datapath had an input missing
    wait_write : of these, a datapath could not write an output
    saturations : elements of E5M2 written in this cycle that saturated
    bin, count : of the last histogram; the answer comes in the same cycle

    Timing
    ------
    A group of a datapath takes a cycle for each output in FP8 and two for each in bfloat16, at
    least one in all, two where an input is bfloat16, and four where an input or an output is
    binary32, or it is counted by a histogram. With MAX only the last group of a window counts for
    the outputs. Coefficients by channel add 2 cycles and 4 for each at each round of loop n5.
    """

    def __init__(self, *, config: Config):
        self.config = config
        count = config.vector_datapaths
        super().__init__({
            "command": In(UnitCommand()),
            **{name: Out(ReadPort(config)).array(count) for name in VECTOR_INPUTS},
            **{name: Out(WritePort(config)).array(count) for name in VECTOR_OUTPUTS},
            "busy": Out(1),
            "wait_read": Out(1),
            "wait_write": Out(1),
            "saturations": Out(range(LANES * count + 1)),
            "bin": In(range(BINS)),
            "count": Out(TALLY_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.front_end = front_end = FrontEnd(unit=Unit.VECTOR)
        m.submodules.decode = decode = Decode()
        m.submodules.control = control = VectorControl()
        datapaths = [VectorDatapath(config=self.config, index=i)
                     for i in range(self.config.vector_datapaths)]
        operation = front_end.operation
        wiring.connect(m, wiring.flipped(self.command), front_end.command)
        for i, datapath in enumerate(datapaths):
            gated(m, f"datapath_{i}", control.begin | control.clear | datapath.working,
                  {f"datapath_{i}": datapath})
            for name in VECTOR_INPUTS + VECTOR_OUTPUTS:
                wiring.connect(m, getattr(datapath, name), wiring.flipped(getattr(self, name)[i]))
            m.d.comb += [
                datapath.start.eq(control.begin),
                datapath.clear.eq(control.clear),
                datapath.registers.eq(operation.registers),
                datapath.mode.eq(decode.mode),
                datapath.sum.eq(decode.sum),
                datapath.used.eq(decode.used),
            ]
        m.d.comb += [
            decode.registers.eq(operation.registers),
            control.start.eq(operation.start),
            control.stop.eq(operation.stop),
            operation.done.eq(control.done),
            operation.trap.eq(control.trap),
            operation.cause.eq(control.cause),
            control.legal.eq(decode.legal),
            control.working.eq(Cat(each.working for each in datapaths).any()),
            control.address_trap.eq(Cat(each.trap for each in datapaths).any()),
            self.busy.eq(control.busy),
            self.wait_read.eq(Cat(each.wait_read for each in datapaths).any()),
            self.wait_write.eq(Cat(each.wait_write for each in datapaths).any()),
            self.saturations.eq(sum(each.saturations for each in datapaths)),
            datapaths[0].bin.eq(self.bin),
            self.count.eq(datapaths[0].count),
        ]
        return m
