"""Which outputs of a core are live, from the words of the mask."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import bits_for

from hdl.choose import choose
from hdl.interfaces import ReadPort, registers_layout
from hdl.memory.regfile import RegisterFile
from hdl.streams.reader import WordReader
from hdl.tensor.groups import core_bits
from hdl.tensor.live.origin import Origin
from hdl.tensor.live.word_window import round_bits
from hdl.tensor.nest import tensor_walker
from isa.config import TREES, Config
from isa.registers import BLOCKS, POSITIONS, Unit

BLOCKS_HELD = 2  # the present block and the next


def dead_bits(config: Config) -> int:
    """Width of a number of dead outputs of a core's block."""
    return bits_for(TREES * config.block)


class LiveMasks(wiring.Component):
    """Reads the mask words of a core's outputs, up to a block ahead, and keeps which are live.

    A round is `Config.slot` consecutive positions; a block has a whole number of them.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse
    clear : nothing is read, and what was read is forgotten; also with `start`
    registers
    core, group : number in the group, and the group's; constant in an operation
    port : ReadPort
    round : of the present block
    known, live : in the same cycle; by tree, a bit for each position of the round
    complete : all rounds of the present block are known
    dead, alive : with `complete`: outputs of the block that are dead, and whether any is live
    advance : pulse, only with `complete`; the next block is the present one from the next cycle on
    trap : an address is out of range

    Timing
    ------
    A position a cycle, the first asked for 2 + core + group cycles after `start`. A round is known
    in the cycle after its last word came.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "registers": In(registers_layout(Unit.TENSOR)),
            "core": In(core_bits(config)),
            "group": In(core_bits(config)),
            "port": Out(ReadPort(config)),
            "round": In(round_bits(config)),
            "known": Out(1),
            "live": Out(config.slot).array(TREES),
            "complete": Out(1),
            "dead": Out(dead_bits(config)),
            "alive": Out(1),
            "advance": In(1),
            "trap": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        slot = self.config.slot
        words = self._words(m)
        live = Signal(TREES)  # of the position whose word is here
        kept = [Signal(TREES, name=f"kept_{i}", reset_less=True) for i in range(slot - 1)]
        row = Signal(TREES * slot)
        place = Signal(range(slot))  # of the position in its round
        fill_round = Signal(len(self.round))
        filled = Signal(1 << len(self.round))  # bit by round, of the block that is read
        fill_bank, bank = Signal(), Signal()
        held = Signal(range(BLOCKS_HELD + 1))  # blocks complete
        take, row_done, block_done = Signal(), Signal(), Signal()
        m.d.comb += [
            live.eq(~words.payload.zeros),
            words.ready.eq(held != BLOCKS_HELD),
            take.eq(words.valid & words.ready),
            row_done.eq(take & (place == slot - 1)),
            block_done.eq(take & words.payload.last[len(POSITIONS) - 1]),
            row.eq(Cat(*kept, live)),
            self.complete.eq(held != 0),
            self.known.eq(self.complete | choose(list(filled), self.round)),
        ]
        with m.If(take):
            m.d.sync += [place.eq(place + 1),
                         *(a.eq(b) for a, b in zip(kept, [*kept[1:], live], strict=True))]
        with m.If(row_done):
            m.d.sync += [fill_round.eq(Mux(block_done, 0, fill_round + 1)),
                         filled.eq(Mux(block_done, 0, filled << 1 | 1))]
        m.d.sync += [held.eq(held + block_done - self.advance),
                     fill_bank.eq(fill_bank ^ block_done), bank.eq(bank ^ self.advance)]
        self._rows(m, row, row_done, Cat(fill_round, fill_bank), Cat(self.round, bank))
        self._count(m, live, take, block_done, fill_bank, bank)
        with m.If(self.clear):
            m.d.sync += [place.eq(0), fill_round.eq(0), filled.eq(0), held.eq(0), fill_bank.eq(0),
                         bank.eq(0)]
        return m

    def _words(self, m):
        """The mask words, block by block."""
        registers = self.registers
        loops = (*POSITIONS, *BLOCKS)
        walker = tensor_walker(m, "walker", registers, "aux", loops, start=self.start,
                               stop=self.clear, base=registers.mask_base.address, place="output")
        if self.config.cores > 1:
            self._begin(m, walker)
        m.submodules.reader = reader = WordReader(config=self.config, loops=len(loops))
        connect(m, walker.items, reader.items)
        connect(m, reader.port, flipped(self.port))
        m.d.comb += [reader.clear.eq(self.clear), self.trap.eq(reader.trap)]
        return reader.words

    def _begin(self, m, walker):
        """The walker begins at the outputs of this core."""
        registers, window = self.registers, self.registers.output_window
        m.submodules.origin = origin = Origin(config=self.config)
        for loop in ("core", "group"):
            place, step = registers[f"output_{loop}"], getattr(origin, f"{loop}_step")
            m.d.comb += [step.stride.eq(registers[f"aux_{loop}"].stride), step.dy.eq(place.dy),
                         step.dx.eq(place.dx)]
        m.d.comb += [
            origin.start.eq(self.start),
            origin.stop.eq(self.clear),
            origin.core.eq(self.core),
            origin.group.eq(Mux(registers.groups.merge, 0, self.group)),
            origin.base.eq(registers.mask_base.address),
            origin.y.eq(window.y),
            origin.x.eq(window.x),
            walker.start.eq(origin.done),
            walker.base.eq(origin.address),
            walker.window.y.eq(origin.row),
            walker.window.x.eq(origin.column),
        ]

    def _rows(self, m, row, row_done, fill, present):
        """Keeps a row of flags for each round."""
        slot = self.config.slot
        rows = BLOCKS_HELD << len(self.round)
        m.submodules.rows = memory = RegisterFile(width=TREES * slot, depth=rows)
        m.d.comb += [
            memory.write_enable.eq(row_done),
            memory.write_address.eq(fill),
            memory.write_data.eq(row),
            memory.read_address[0].eq(present),
            *(self.live[tree].eq(Cat(memory.read_data[0][tree::TREES]))
              for tree in range(TREES)),
        ]

    def _count(self, m, live, take, block_done, fill_bank, bank):
        """Counts the dead outputs of each block."""
        dead = [Signal(len(self.dead), name=f"dead_{i}") for i in range(BLOCKS_HELD)]
        alive = Signal(BLOCKS_HELD)
        begun = Signal()  # the block that is read
        before, total = Signal(len(self.dead)), Signal(len(self.dead))
        m.d.comb += [
            before.eq(Mux(begun, Array(dead)[fill_bank], 0)),
            total.eq(before + sum(~bit for bit in live)),
            self.dead.eq(Array(dead)[bank]),
            self.alive.eq(alive.bit_select(bank, 1)),
        ]
        with m.If(take):
            m.d.sync += [
                begun.eq(~block_done), Array(dead)[fill_bank].eq(total),
                alive.bit_select(fill_bank, 1).eq(
                    live.any() | (begun & alive.bit_select(fill_bank, 1))),
            ]
        with m.If(self.clear):
            m.d.sync += begun.eq(0)
