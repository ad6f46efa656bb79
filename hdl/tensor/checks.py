"""What is checked before a tensor operation may write."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import CAUSE_BITS, registers_layout
from hdl.tensor.feed.sequencer import position_bits
from hdl.tensor.groups import CORES_BITS, sizes
from hdl.tensor.skips import skips
from isa.config import MODES, TREES, Config
from isa.formats import E5M2, FormatCode
from isa.memmap import Trap
from isa.registers import (
    BLOCKS,
    COUNT_BITS,
    POSITIONS,
    REDUCTION,
    ROWS,
    AuxMode,
    Skip,
    StatsMode,
    Unit,
)

# no reduction of all groups with what is in it is longer
DEPTH_BITS = COUNT_BITS * len(REDUCTION) + CORES_BITS + 1


class Checks(wiring.Component):
    """Checks the registers of an operation: SHAPE, then DEPTH (docs/architecture.md).

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse; the registers hold from here on
    clear : gives up the present check
    registers
    known, positions_last
        The number of positions of a block is known, and the last position; until then the highest.
        Meaningless if the check gives a trap.
    done : the registers are in order; from then until the next `start`
    trap, cause : they are not; likewise

    Timing
    ------
    At least 9 cycles, of a chip of several cores 10. The products of the counts are made one bit a
    cycle: as many cycles as the counts of positions and reduction have significant bits, and one
    more for each count; the number of groups is one of them.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "registers": In(registers_layout(Unit.TENSOR)),
            "known": Out(1),
            "positions_last": Out(position_bits(config)),
            "done": Out(1),
            "trap": Out(1),
            "cause": Out(CAUSE_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        config, registers = self.config, self.registers
        limit = min(config.max_passes, (1 << DEPTH_BITS) - 1)
        width = max(limit, config.block + 1).bit_length()
        factors = [*(registers.positions[p] for p in POSITIONS),
                   *(registers.reduction[r] for r in REDUCTION)]
        if config.cores > 1:
            factors.append(Mux(registers.groups.merge, registers.groups.groups, 1))
        turned = registers.mode.turn_stream | registers.mode.turn_output

        at = Signal(range(len(factors) + 1))
        busy = Signal()
        multiplier = Signal(COUNT_BITS)
        addend = Signal(width)
        too_large = Signal()  # the addend has lost bits
        product = Signal(width)
        total = Signal(width + 1)
        over = Signal()  # the product is larger than any limit
        m.d.comb += [
            total.eq(product + Mux(multiplier[0], addend, 0)),
            over.eq(multiplier[0] & (total[width] | too_large)),
        ]

        def trap(cause):
            return [self.trap.eq(1), self.cause.eq(cause), busy.eq(0)]

        def load(factor, value):
            return [multiplier.eq(factor), addend.eq(value), too_large.eq(0), product.eq(0)]

        with m.If(busy):
            with m.If(multiplier != 0):
                m.d.sync += [product.eq(total), multiplier.eq(multiplier >> 1),
                             addend.eq(addend << 1), too_large.eq(too_large | addend[-1])]
                with m.If(over):
                    m.d.sync += trap(Mux(at < len(POSITIONS), Trap.SHAPE, Trap.DEPTH))
            with m.Else():
                m.d.sync += at.eq(at + 1)
                with m.Switch(at):
                    for i, factor in enumerate(factors[1:]):
                        with m.Case(i):
                            # the product of the reduction begins anew
                            value = 1 if i + 1 == len(POSITIONS) else product
                            m.d.sync += load(factor, value)
                            if i + 1 == len(POSITIONS):
                                m.d.sync += [self.known.eq(1),
                                             self.positions_last.eq(product - 1)]
                                with m.If((product > config.block)
                                          | (turned & (product[:3] != 0))):
                                    m.d.sync += trap(Trap.SHAPE)
                    with m.Default():
                        m.d.sync += [busy.eq(0), self.done.eq(1)]
                        with m.If(product + registers.depth.passes > limit):
                            m.d.sync += [self.done.eq(0), *trap(Trap.DEPTH)]
        with m.If(self.start):
            m.d.sync += [busy.eq(1), self.done.eq(0), self.trap.eq(0), at.eq(0),
                         self.known.eq(0), self.positions_last.eq(-1), *load(factors[0], 1)]
            with m.If(self._shape(registers)):
                m.d.sync += trap(Trap.SHAPE)
        with m.Elif(self.clear):
            m.d.sync += [busy.eq(0), self.trap.eq(0)]
        return m

    def _shape(self, registers):
        """Whether any rule but those about products is broken."""
        mode, positions = registers.mode, registers.positions
        cores, groups = positions.cores, registers.groups.groups
        counts = [*(positions[loop] for loop in (*POSITIONS, *ROWS)), cores, groups,
                  *(registers.reduction[r] for r in REDUCTION),
                  *(registers.blocks[b] for b in BLOCKS)]
        raw, wide = (mode.output == code for code in (FormatCode.RAW, FormatCode.E5M2))
        fp8 = ~mode.output[1]
        stats, norm = mode.stats != StatsMode.NONE, mode.stats == StatsMode.NORM
        rules = [count == 0 for count in counts]
        rules += [
            cores > self.config.cores,
            (groups > 1) & ~Cat((cores == size) & (groups <= self.config.cores // size)
                                for size in sizes(self.config)).any(),
            ~Cat((positions.q0 == q) & (positions.q1 == TREES // q)
                 for q in range(1, TREES + 1) if TREES % q == 0).any(),
            mode.turn_output & (~fp8 | mode.bias | stats),
            ~fp8 & (stats | (mode.aux == AuxMode.ELEMENT)),
            (mode.aux == AuxMode.RAW) & stats,
            mode.aux > max(AuxMode),
            mode.stats > max(StatsMode),
            raw & (mode.bias | mode.relu | mode.stochastic),
            mode.gate & (~fp8 | (cores != 1) | registers.groups.merge | mode.aux.any() | mode.mask
                         | mode.turn_output | norm | skips(registers, Skip.OUTPUTS)
                         | (self.config.slot == 1)),
            *self._skip(registers),
        ]
        most = sum(f is E5M2 for f in MODES[self.config.mode])
        if most < 2:
            rules += [mode.stationary + mode.stream > most,
                      (mode.stats == StatsMode.SQUARE) & wide]
        if most < 1:
            rules.append(norm & wide)
        return Cat(rules).any()

    def _skip(self, registers):
        """The rules about what is left out."""
        mode, slot = registers.mode, self.config.slot
        elements, outputs = (skips(registers, what) for what in (Skip.ELEMENTS, Skip.OUTPUTS))
        if slot == 1:
            return [elements | outputs]

        def apart(loop):
            """Whether the words of a loop of the stream do not follow each other."""
            step = registers[f"stream_{loop}"]
            return (step.stride != 1) | step.dy.any() | step.dx.any()

        r0 = registers.reduction.r0
        return [
            elements & outputs,
            (elements | outputs) & mode.turn_stream,
            elements & ((r0 > slot) | ((r0 > 1) & apart("r0"))),
            outputs & (~mode.mask | mode.turn_output | apart("p0")
                       | (registers.positions.p0[:(slot - 1).bit_length()] != 0)),
        ]
