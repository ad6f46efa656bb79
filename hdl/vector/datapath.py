"""The datapath of the vector unit: inputs, coefficients, lanes, outputs and sums."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.clock import gated
from hdl.interfaces import ReadPort, WritePort
from hdl.streams.walker import Walker
from hdl.vector.coefficients import Coefficients
from hdl.vector.fork import Fork
from hdl.vector.groups import GroupCounter
from hdl.vector.histogram import Histogram
from hdl.vector.input import Input
from hdl.vector.lanes import Lanes
from hdl.vector.layouts import (
    COEFFICIENTS,
    GROUP_INDEX_BITS,
    LANE_MODE,
    NUMBER_STRIDE_BITS,
    REGISTERS,
)
from hdl.vector.outputs import Outputs
from hdl.vector.reduction import Reduction
from hdl.vector.split import Split
from isa.config import LANES, Config
from isa.memmap import BINS
from isa.registers import (
    REDUCED,
    TALLY_BITS,
    VECTOR_INPUTS,
    VECTOR_LOOPS,
    VECTOR_OUTPUTS,
)


class VectorDatapath(wiring.Component):
    """Works through the groups of an operation, or through its share of them.

    Parameters
    ----------
    config : Config
    index : int
        Which of `config.vector_datapaths` it is. The first has the histogram, and does all of an
        operation with one.

    Members
    -------
    start : pulse; `registers`, `mode`, `sum` and `used` hold from here until nothing is left
    clear : forgets everything
    registers, mode, sum, used : the operation, as `Decode` reads it
    x, y, z, o0, o1, o2 : scratchpad ports; coefficients are read by that of z
    working : from the cycle after `start` until the last write was taken; never without a share
    trap : a word is not in the scratchpad
    wait_read : lanes that could go on have an input missing
    wait_write : a write is not taken
    saturations : elements of E5M2 written in this cycle that saturated
    bin, count : of the histogram; only of the first
    """

    def __init__(self, *, config: Config, index: int):
        self.config = config
        self.index = index
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "registers": In(REGISTERS),
            "mode": In(LANE_MODE),
            "sum": In(1),
            "used": In(len(VECTOR_INPUTS)),
            **{name: Out(ReadPort(config)) for name in VECTOR_INPUTS},
            **{name: Out(WritePort(config)) for name in VECTOR_OUTPUTS},
            "working": Out(1),
            "trap": Out(1),
            "wait_read": Out(1),
            "wait_write": Out(1),
            "saturations": Out(range(LANES + 1)),
            **({"bin": In(range(BINS)), "count": Out(TALLY_BITS)} if index == 0 else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.split = split = Split(datapaths=self.config.vector_datapaths,
                                           index=self.index)
        m.submodules.groups = groups = GroupCounter()
        m.submodules.lanes = lanes = Lanes()
        m.submodules.fork = fork = Fork(takers=len(VECTOR_OUTPUTS) + 2)
        m.submodules.outputs = outputs = Outputs(config=self.config)
        m.submodules.reduction = reduction = Reduction()
        registers, op = self.registers, self.registers.op
        start = Signal()
        tally, offered, counted, counting = Signal(), Signal(), Signal(), Signal()
        m.submodules.coefficients = coefficients = Coefficients(config=self.config)
        wiring.connect(m, coefficients.port, wiring.flipped(self.z))
        ports = {"x": wiring.flipped(self.x), "y": wiring.flipped(self.y),
                 "z": coefficients.input}

        inputs = []
        for i, name in enumerate(VECTOR_INPUTS):
            m.submodules[name] = unit = Input(config=self.config)
            inputs.append(unit)
            wiring.connect(m, unit.port, ports[name])
            m.d.comb += [
                unit.start.eq(start),
                unit.clear.eq(self.clear),
                unit.used.eq(self.used[i]),
                unit.format.eq(registers.inputs[name]),
                unit.base.eq(split.bases[i]),
                unit.counts.eq(split.counts),
                unit.strides.eq(split.strides[i]),
                unit.ready.eq(lanes.s0_ready & lanes.s0_valid),
                *(here.eq(there) for here, there in
                  zip(getattr(lanes, f"s0_{name}"), unit.values, strict=True)),
            ]
        present = coefficients.present & Cat(unit.valid for unit in inputs).all()
        m.d.comb += [
            split.registers.eq(registers),
            start.eq(self.start & ~split.none),
            coefficients.start.eq(start),
            coefficients.clear.eq(self.clear),
            coefficients.next.eq(groups.next),
            coefficients.channel.eq(op.channel),
            coefficients.base.eq(split.k_base),
            coefficients.stride.eq(split.k_stride),
            *(coefficients.values[i].eq(registers[k].value) for i, k in enumerate(COEFFICIENTS)),

            groups.start.eq(start),
            groups.clear.eq(self.clear),
            groups.counts.eq(split.counts),
            groups.ready.eq(lanes.s0_ready & present),
            lanes.clear.eq(self.clear),
            lanes.mode.eq(self.mode),
            lanes.s0_valid.eq(groups.valid & present),
            lanes.s0_nest_last.eq(groups.nest_last),
            lanes.keep_x.eq(self.mode.largest & registers.o1_mode.enable),
            *(here.eq(there) for k in COEFFICIENTS for here, there in
              zip(getattr(lanes, f"s0_{k}"), getattr(coefficients, k), strict=True)),

            fork.clear.eq(self.clear),
            fork.valid.eq(lanes.valid),
            lanes.ready.eq(fork.ready),
            fork.wanted.eq(Cat(
                *(registers[f"{name}_mode"].enable for name in VECTOR_OUTPUTS[:-1]),
                registers[f"{VECTOR_OUTPUTS[-1]}_mode"].enable & ~self.sum,
                self.sum, tally)),
            fork.took.eq(Cat(outputs.took, reduction.took, counted)),

            outputs.start.eq(start),
            outputs.clear.eq(self.clear),
            outputs.sum.eq(self.sum),
            outputs.largest.eq(self.mode.largest),
            outputs.more.eq(groups.valid | lanes.busy),
            outputs.key.eq(registers.key.key),
            outputs.counts.eq(split.counts),
            Cat(outputs.offers, reduction.offer, offered).eq(fork.offers),

            reduction.clear.eq(self.clear),
            reduction.quantum.eq(op.quantum),
            reduction.across.eq(registers.tally.across),
            reduction.source.eq(op.source),
            reduction.nest_last.eq(lanes.nest_last),

            self.saturations.eq(outputs.saturations),
            self.working.eq(groups.valid | lanes.busy | outputs.busy | counting),
            self.trap.eq(outputs.trap | coefficients.trap
                         | Cat(unit.trap for unit in inputs).any()),
            self.wait_read.eq(groups.valid & ~present & lanes.s0_ready),
            self.wait_write.eq(Cat(
                port.request.valid & ~port.request.ready for port in
                (getattr(self, name) for name in VECTOR_OUTPUTS)).any()),
        ]
        m.d.comb += [here.eq(there) for here, there in
                     zip(outputs.number, lanes.number, strict=True)]
        takers = [outputs, reduction]
        if self.index == 0:
            takers.append(histogram := self._histogram(m, start, tally, offered))
            m.d.comb += [counted.eq(histogram.took), counting.eq(histogram.busy)]
        for taker in takers:
            m.d.comb += [
                *(here.eq(there) for here, there in zip(taker.t, lanes.t, strict=True)),
                *(here.eq(there) for here, there in zip(taker.u, lanes.u, strict=True)),
            ]
        for i, name in enumerate(VECTOR_OUTPUTS):
            wiring.connect(m, getattr(outputs, name), wiring.flipped(getattr(self, name)))
            m.d.comb += [
                outputs.modes[i].eq(registers[f"{name}_mode"]),
                outputs.bases[i].eq(split.bases[len(VECTOR_INPUTS) + i]),
                outputs.strides[i].eq(split.strides[len(VECTOR_INPUTS) + i]),
            ]
        wiring.connect(m, reduction.words, outputs.sums)
        m.d.comb += outputs.index.eq(self._number(m, split, start, lanes.valid & fork.ready))
        return m

    def _histogram(self, m, start, tally, offered):
        """Counts groups, where that is asked for."""
        histogram = Histogram()
        m.d.comb += tally.eq(self.registers.tally.histogram)
        gated(m, "tally", tally | self.clear, {"histogram": histogram})
        m.d.comb += [
            histogram.start.eq(start & tally & ~self.registers.tally.more),
            histogram.clear.eq(self.clear),
            histogram.first.eq(self.registers.tally.first),
            histogram.source.eq(self.registers.op.source),
            histogram.offer.eq(offered),
            histogram.bin.eq(self.bin),
            self.count.eq(histogram.count),
        ]
        return histogram

    def _number(self, m, split, start, took):
        """The number of the group that the outputs are offered, where anything is rounded by it;
        else it stands still."""
        used = Cat(self.registers[f"{name}_mode"].stochastic for name in VECTOR_OUTPUTS).any()
        walker = Walker(loops=VECTOR_LOOPS, bits=GROUP_INDEX_BITS, stride_bits=NUMBER_STRIDE_BITS)
        gated(m, "numbers", used | self.clear, {"numbers": walker})
        m.d.comb += [
            walker.start.eq(start & used),
            walker.stop.eq(self.clear),
            walker.base.eq(split.number_base),
            walker.items.ready.eq(took),
        ]
        for loop in VECTOR_LOOPS:
            once = self.mode.largest if loop in REDUCED else 0
            m.d.comb += [walker.counts[loop].eq(Mux(once, 1, split.counts[loop])),
                         walker.steps[loop].stride.eq(split.number_strides[loop])]
        return walker.items.payload.address
