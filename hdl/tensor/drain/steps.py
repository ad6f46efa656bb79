"""How positions advance through the lanes of the drain."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.tensor.drain.lane import Lane
from isa.config import TREES


class Steps(wiring.Component):
    """Decides when which lane takes a step.

    A position enters all lanes at once, or one lane after the other where sums are made serially
    (`serial`). The stages count a position where its last lane is.

    Members
    -------
    clear : between operations
    serial : totals come tree by tree; constant in an operation
    wide : positions leave at `Lane.VALUE_STAGE`, as binary32; else at `Lane.STAGES`, as FP8
    valid, last, ready : a position waits at the lanes, and is taken; `last` goes with it
    total_valid, total_last, total_ready : likewise of the next tree's total, if `serial`
    bias_ready, index_ready : the bias and the random index of the next position are there
    en : for each lane
    bias_release : the last position of a block and core has met its bias
    index_take : a position has met its index
    out_valid, out_last, out_take : a position is at the end, and is taken
    """

    clear: In(1)
    serial: In(1)
    wide: In(1)
    valid: In(1)
    last: In(1)
    ready: Out(1)
    total_valid: In(1)
    total_last: In(1)
    total_ready: Out(1)
    bias_ready: In(1)
    index_ready: In(1)
    en: Out(TREES)
    bias_release: Out(1)
    index_take: Out(1)
    out_valid: Out(1)
    out_last: Out(1)
    out_take: In(1)

    def elaborate(self, platform):
        m = Module()
        # bit i - 1: a position at stage i, and whether it is the last of a block and core
        valid, last = Signal(Lane.STAGES), Signal(Lane.STAGES)
        valid_in, last_in = Signal(), Signal()
        tree = Signal(range(TREES))  # whose total is next
        allowed = Signal()
        step = Signal()  # the whole position moves
        at_bias, at_index, at_value, at_end = (
            stage - 1 for stage in (Lane.BIAS_STAGE, Lane.INDEX_STAGE, Lane.VALUE_STAGE,
                                    Lane.STAGES))

        m.d.comb += [
            valid_in.eq(Mux(self.serial, self.total_valid, self.valid)),
            last_in.eq(Mux(self.serial, self.total_last, self.last)),
            self.out_valid.eq(Mux(self.wide, valid[at_value], valid[at_end])),
            self.out_last.eq(last[at_end]),
            allowed.eq((~self.out_valid | self.out_take)
                       & (~valid[at_bias] | self.bias_ready)
                       & (~valid[at_index] | self.index_ready)),
            self.bias_release.eq(step & valid[at_bias] & last[at_bias]),
            self.index_take.eq(step & valid[at_index]),
        ]
        with m.If(~self.serial):
            m.d.comb += [step.eq(allowed), self.ready.eq(allowed),
                         self.en.eq(allowed.replicate(TREES))]
        with m.Elif(self.total_valid):
            m.d.comb += [self.total_ready.eq(allowed), self.en.bit_select(tree, 1).eq(allowed),
                         step.eq(allowed & (tree == TREES - 1))]
            m.d.sync += tree.eq(tree + allowed)
        with m.Elif(tree == 0):  # nothing to take, and no lane ahead of another
            m.d.comb += [step.eq(allowed), self.en.eq(allowed.replicate(TREES))]

        with m.If(step):
            m.d.sync += [valid.eq(Cat(valid_in, valid)), last.eq(Cat(last_in, last))]
            with m.If(self.wide):
                m.d.sync += valid[at_value + 1:].eq(0)
        with m.Elif(self.out_take):
            m.d.sync += valid[at_end].eq(0)
            with m.If(self.wide):
                m.d.sync += valid[at_value].eq(0)
        with m.If(self.clear):
            m.d.sync += [valid.eq(0), tree.eq(0)]
        return m
