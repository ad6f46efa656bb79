"""The thresholds of the blocks of a core, as fixed-point numbers."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.interfaces import ReadPort, registers_layout
from hdl.streams.reader import WordReader
from hdl.tensor.core.planes import wire
from hdl.tensor.feed.sequencer import BANKS
from hdl.tensor.nest import tensor_walker
from isa.config import TREES, Config
from isa.registers import BLOCKS, Unit

FRACTION = 23  # bits of a binary32 number
BIAS = 127
SPARE = 2  # bits of a threshold beyond those of the sum of 8 accumulators: its limits are no sum


def threshold_bits(config: Config) -> int:
    """Width of a threshold."""
    return config.accumulator_bits + TREES.bit_length() - 1 + SPARE


class Thresholds(wiring.Component):
    """Reads the thresholds of a core, up to a block ahead.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse
    clear : nothing is read, and what was read is forgotten; also with `start`
    registers
    port : ReadPort, which is asked at most once a block
    known : that of the next block is there
    begins : pulse, only with `known`: the next block begins
    through : pulse; the oldest block needs its threshold no more
    threshold : by bank, of the block in it
    trap : an address is out of range

    Numerics
    --------
    A threshold is the largest multiple of 2^`Config.lowest_exponent` that is not above the binary32
    number, in units of this; of NaN, and of what is too large, more than any sum, of what is too
    small less.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "registers": In(registers_layout(Unit.TENSOR)),
            "port": Out(ReadPort(config)),
            "known": Out(1),
            "begins": In(1),
            "through": In(1),
            "threshold": Out(signed(threshold_bits(config))).array(BANKS),
            "trap": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        walker = tensor_walker(m, "walker", self.registers, "bias", BLOCKS, start=self.start,
                               stop=self.clear, base=self.registers.threshold_base.address)
        m.submodules.reader = reader = WordReader(config=self.config, loops=len(BLOCKS))
        connect(m, walker.items, reader.items)
        connect(m, reader.port, flipped(self.port))
        held, waiting = (Signal(range(BANKS + 1), name=name) for name in ("held", "waiting"))
        bank, take = Signal(), Signal()
        m.d.comb += [
            reader.clear.eq(self.clear),
            reader.words.ready.eq(held != BANKS),
            take.eq(reader.words.valid & reader.words.ready),
            self.known.eq(waiting != 0),
            self.trap.eq(reader.trap),
        ]
        m.d.sync += [held.eq(held + take - self.through), bank.eq(bank ^ take),
                     waiting.eq(waiting + take - self.begins)]
        fixed = self._fixed(m, reader.words.payload.data[:32])
        for i, threshold in enumerate(self.threshold):
            with m.If(take & (bank == i)):
                m.d.sync += threshold.eq(fixed)
        with m.If(self.clear):
            m.d.sync += [held.eq(0), waiting.eq(0), bank.eq(0)]
        return m

    def _fixed(self, m, number):
        """A binary32 number in fixed point, rounded down."""
        width = threshold_bits(self.config)
        exponent, normal = number[FRACTION:31], number[FRACTION:31].any()
        magnitude = Cat(number[:FRACTION], normal)
        value = Signal(signed(FRACTION + 2))
        shift = Signal(signed(10))  # to the left, of a significand that is an integer
        nan = wire(m, "nan", (exponent == 255) & number[:FRACTION].any())
        over = Signal()
        left, right = (Signal(range(n + 1), name=name)
                       for name, n in (("left", width), ("right", FRACTION + 2)))
        away = Signal(signed(10))
        m.d.comb += [
            value.eq(Mux(number[31], -magnitude, magnitude)),
            shift.eq(Mux(normal, exponent, 1) - (BIAS + FRACTION + self.config.lowest_exponent)),
            away.eq(-shift),
            over.eq((shift > width - len(value)) & (normal | nan)),
            left.eq(Mux(shift > 0, shift[:len(left)], 0)),
            right.eq(Mux(shift > 0, 0, Mux(away > FRACTION + 2, FRACTION + 2,
                                           away[:len(right)]))),
        ]
        limit = (1 << width - 1) - 1
        fixed = Signal(signed(width))
        m.d.comb += fixed.eq(Mux(over, Mux(number[31] & ~nan, -limit - 1, limit),
                                 ((value >> right) << left)[:width].as_signed()))
        return fixed
