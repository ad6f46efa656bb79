"""The gate of a core: for each position, whether its base sums pass the threshold."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.interfaces import ReadPort, registers_layout
from hdl.tensor.feed.sequencer import BANKS, SETTLED, position_bits
from hdl.tensor.gates.thresholds import Thresholds
from isa.config import TREES, Config
from isa.registers import Unit

STAGES = 5  # from a sum to its gate: as it is, three of adders, and the comparison


class Gate(wiring.Component):
    """Adds up the sums of the 8 trees as they are written, and compares them with the threshold of
    the block. What the last pass of the base leaves is the gate.

    Parameters
    ----------
    config : Config

    Members
    -------
    start, clear, registers, port, known, begins, trap : of `Thresholds`
    ended : pulse; the oldest block that has begun ended: no more words of it come
    valid, position, bank : to the core in this cycle: a word of the base
    sums, poison : by tree, what the core writes `Config.tree_stages` cycles later
    open : by bank, bit by position

    Timing
    ------
    A word a cycle. `open` is that of a word `tree_stages` + `STAGES` cycles after it.
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
            "ended": In(1),
            "valid": In(1),
            "position": In(position_bits(config)),
            "bank": In(1),
            "sums": In(signed(config.accumulator_bits)).array(TREES),
            "poison": In(TREES),
            "open": Out(config.block).array(BANKS),
            "trap": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.thresholds = thresholds = Thresholds(config=self.config)
        connect(m, thresholds.port, flipped(self.port))
        m.d.comb += [
            *(getattr(thresholds, name).eq(getattr(self, name))
              for name in ("start", "clear", "registers", "begins")),
            self.known.eq(thresholds.known),
            self.trap.eq(thresholds.trap),
            thresholds.through.eq(self._later(m, "ended", self.ended,
                                              self.config.tree_stages + SETTLED)),
        ]
        words = self.config.tree_stages
        total, poison = [Signal.like(each, name=f"sum_{i}", reset_less=True)
                         for i, each in enumerate(self.sums)], self.poison.any()
        m.d.sync += [to.eq(each) for to, each in zip(total, self.sums, strict=True)]
        for stage in range(STAGES - 2):
            pairs = [a + b for a, b in zip(total[::2], total[1::2], strict=True)]
            total = [Signal.like(pair, name=f"total_{stage}_{i}", reset_less=True)
                     for i, pair in enumerate(pairs)]
            m.d.sync += [to.eq(pair) for to, pair in zip(total, pairs, strict=True)]
        delay = words + STAGES - 1
        valid = self._later(m, "valid", self.valid, delay)
        bank = self._later(m, "bank", self.bank, delay)
        position = self._later(m, "position", self.position, delay)
        poison = self._later(m, "poison", poison, STAGES - 1)
        threshold = Mux(bank, *reversed(thresholds.threshold))
        passes = Signal()
        m.d.comb += passes.eq(poison | (total[0] > threshold))
        for i, row in enumerate(self.open):
            with m.If(valid & (bank == i)):
                m.d.sync += row.bit_select(position, 1).eq(passes)
        return m

    def _later(self, m, name, value, cycles):
        """A value some cycles later; forgotten with `clear`."""
        for i in range(cycles):
            following = Signal(len(value), name=f"{name}_{i}")
            m.d.sync += following.eq(Mux(self.clear, 0, value))
            value = following
        return value
