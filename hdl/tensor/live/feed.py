"""The masks and windows of all cores, and the groups that they work in."""

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.clock import gated
from hdl.interfaces import ReadPort, registers_layout
from hdl.tensor.feed.sequencer import position_bits
from hdl.tensor.groups import by_leader, core_bits, leaders
from hdl.tensor.live.core import STATE_LAYOUT, LiveCore, told_layout
from hdl.tensor.live.masks import dead_bits
from isa.config import TREES, WORD_BITS, Config
from isa.registers import Unit


class LiveFeed(wiring.Component):
    """Joins each `LiveCore` to the leader of its group. Those without work stand still.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse
    clear : nothing is read, and what was read is forgotten; also with `start`
    registers
    used : dead outputs are skipped; constant in an operation
    works, core, group, follows : of `Groups`
    told, words, state : by core that leads a group, see `LiveCore`
    port : by core, ReadPort for its mask words
    valid, position, word : by core and tree, see `WordWindow`; valid only if `used`
    dead : by core, see `LiveCore`; 0 if not `used`
    trap : an address is out of range
    """

    def __init__(self, *, config: Config):
        self.config = config
        cores, bits = config.cores, core_bits(config)
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "registers": In(registers_layout(Unit.TENSOR)),
            "used": In(1),
            "works": In(cores),
            "core": In(bits).array(cores),
            "group": In(bits).array(cores),
            "follows": In(cores).array(cores),
            "told": In(told_layout(config)).array(cores),
            "words": In(WORD_BITS).array(cores, config.slot),
            "state": Out(STATE_LAYOUT).array(cores),
            "port": Out(ReadPort(config)).array(cores),
            "valid": Out(TREES).array(cores),
            "position": Out(position_bits(config)).array(cores, TREES),
            "word": Out(WORD_BITS).array(cores, TREES),
            "dead": Out(dead_bits(config)).array(cores),
            "trap": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        cores = range(self.config.cores)
        lives = [LiveCore(config=self.config) for _ in cores]
        for i, live in enumerate(lives):
            works, followed = self.works[i] & self.used, self.follows[i].any() & self.used
            gated(m, f"live_{i}", works, {f"live_core_{i}": live})
            connect(m, live.port, flipped(self.port[i]))
            m.d.comb += [
                live.start.eq(self.start & works),
                live.clear.eq(self.clear),
                live.registers.eq(self.registers),
                live.core.eq(self.core[i]),
                live.group.eq(self.group[i]),
                self.valid[i].eq(Mux(followed, live.valid, 0)),
                self.dead[i].eq(Mux(followed, live.dead, 0)),
                *(to.eq(of) for to, of in zip(self.position[i], live.position, strict=True)),
                *(to.eq(of) for to, of in zip(self.word[i], live.word, strict=True)),
            ]
            self._follow(m, i, live)
        for i in cores:
            self._gather(m, i, lives)
        m.d.comb += self.trap.eq(Cat(live.trap & self.follows[i].any() & self.used
                                     for i, live in enumerate(lives)).any())
        return m

    def _follow(self, m, i, live):
        """Core `i` does what its leader tells it."""
        for leader in by_leader(m, self.config, i, self.follows[i]):
            m.d.comb += [
                live.told.eq(self.told[leader]),
                *(to.eq(of) for to, of in zip(live.words, self.words[leader], strict=True)),
            ]

    def _gather(self, m, i, lives):
        """What the cores that core `i` leads tell it."""
        led = [(self.follows[j][i], live.state) for j, live in enumerate(lives)
               if i in leaders(self.config, j)]
        for name in ("known", "complete", "room", "through"):
            m.d.comb += self.state[i][name].eq(
                Cat(~follows | state[name] for follows, state in led).all())
        for name in ("wanted", "alive", "taken"):
            m.d.comb += self.state[i][name].eq(
                Cat(follows & state[name] for follows, state in led).any())
