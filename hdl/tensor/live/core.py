"""What a core has for operations that skip dead outputs: its masks and its window."""

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.interfaces import ReadPort, registers_layout
from hdl.tensor.feed.sequencer import position_bits
from hdl.tensor.groups import core_bits
from hdl.tensor.live.masks import LiveMasks, dead_bits
from hdl.tensor.live.word_window import WordWindow, round_bits
from isa.config import TREES, WORD_BITS, Config
from isa.registers import Unit


def told_layout(config: Config) -> data.StructLayout:
    """What the leader of a group tells its cores, see `LiveFill` and `TreeSequencer`."""
    return data.StructLayout({"round": round_bits(config), "enter": 1, "parity": 1, "counted": 1,
                              "advance": 1, "walk": 1, "present": 1})


# What a core tells the leader, see `LiveFill` and `WordWindow`.
STATE_LAYOUT = data.StructLayout({"known": 1, "wanted": 1, "complete": 1, "alive": 1, "room": 1,
                                  "through": 1, "taken": 1})


class LiveCore(wiring.Component):
    """Gives each tree of a core the words of its live positions.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse
    clear : nothing is read, and what was read is forgotten; also with `start`
    registers
    core, group : number in the group, and the group's; constant in an operation
    port : ReadPort, for mask words
    told : of its leader
    words : of the round that entered in the cycle before
    state : to the leader
    valid, position, word : of `WordWindow`
    dead : with `counted` the dead outputs of the block, else 0
    trap : an address is out of range
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
            "told": In(told_layout(config)),
            "words": In(WORD_BITS).array(config.slot),
            "state": Out(STATE_LAYOUT),
            "valid": Out(TREES),
            "position": Out(position_bits(config)).array(TREES),
            "word": Out(WORD_BITS).array(TREES),
            "dead": Out(dead_bits(config)),
            "trap": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        told, state = self.told, self.state
        m.submodules.masks = masks = LiveMasks(config=self.config)
        m.submodules.window = window = WordWindow(config=self.config)
        connect(m, masks.port, flipped(self.port))
        for name in ("start", "clear", "registers", "core", "group"):
            m.d.comb += getattr(masks, name).eq(getattr(self, name))
        m.d.comb += [
            masks.round.eq(told.round),
            masks.advance.eq(told.advance),
            window.clear.eq(self.clear),
            *(getattr(window, name).eq(told[name])
              for name in ("round", "enter", "parity", "walk", "present")),
            state.known.eq(masks.known),
            state.wanted.eq(Cat(masks.live).any()),
            state.complete.eq(masks.complete),
            state.alive.eq(masks.alive),
            state.room.eq(window.room),
            state.through.eq(window.through),
            state.taken.eq(window.valid.any()),
            self.dead.eq(Mux(told.counted, masks.dead, 0)),
            self.trap.eq(masks.trap),
            self.valid.eq(window.valid),
            *(a.eq(b) for a, b in zip(window.live, masks.live, strict=True)),
            *(a.eq(b) for a, b in zip(window.words, self.words, strict=True)),
            *(a.eq(b) for a, b in zip(self.position, window.position, strict=True)),
            *(a.eq(b) for a, b in zip(self.word, window.word, strict=True)),
        ]
        return m
