"""The feeding side of the tensor unit: streams, tiles, passes of all groups."""

from amaranth.hdl import Cat, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.clock import gated
from hdl.interfaces import ReadPort, registers_layout
from hdl.tensor.core_tiles import CoreTiles
from hdl.tensor.group_feed import GroupFeed
from hdl.tensor.groups import Groups, leaders
from hdl.tensor.sequencer import position_bits
from isa.config import LANES, TREES, WORD_BITS, Config
from isa.registers import Unit


def fed_layout(config: Config) -> data.StructLayout:
    """What a core takes in a cycle, see `Core`."""
    return data.StructLayout({"valid": 1, "position": position_bits(config), "bank": 1,
                              "first": 1})


class Feed(wiring.Component):
    """Reads the streams of all groups and the tiles of all cores, and gives each core a word a
    cycle. A group does not wait for another.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse
    clear : nothing is read, and what was read is forgotten; also with `start`
    registers
    stream, stationary : arrays of ReadPort, one a core; a group reads the stream of its first
    works : bit by core: at work in this operation
    fed, word, tile : by core, `fed_layout`, 64 bits, codes [tree][lane]
    taken : bit by core: it leads a group, whose stream gives a word in this cycle
    complete : likewise, and the sums at this position are complete with the word
    drained : bit by core: it leads a group, whose older bank is free again
    positions_last : the last position of a block, as the first group's `Sequencer` has it
    wait_stream, wait_stationary, wait_drain : of the first group
    trap : an address is out of range

    Timing
    ------
    The first word enters the cores 10 cycles after `start`, if no bank makes it wait.
    """

    def __init__(self, *, config: Config):
        self.config = config
        cores = config.cores
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "registers": In(registers_layout(Unit.TENSOR)),
            "stream": Out(ReadPort(config)).array(cores),
            "stationary": Out(ReadPort(config)).array(cores),
            "works": Out(cores),
            "fed": Out(fed_layout(config)).array(cores),
            "word": Out(WORD_BITS).array(cores),
            "tile": Out(8).array(cores, TREES, LANES),
            "taken": Out(cores),
            "complete": Out(cores),
            "drained": In(cores),
            "positions_last": Out(position_bits(config)),
            "trap": Out(1),
            "wait_stream": Out(1),
            "wait_stationary": Out(1),
            "wait_drain": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, cores = self.config, range(self.config.cores)
        m.submodules.groups = groups = Groups(config=config)
        m.d.comb += [
            groups.cores.eq(self.registers.positions.cores),
            groups.groups.eq(self.registers.groups.groups),
            self.works.eq(groups.works),
        ]
        feeds = [GroupFeed(config=config) for _ in cores]
        tiles = [CoreTiles(config=config) for _ in cores]
        for i in cores:
            self._add(m, i, "group_feed", feeds[i], groups.leads[i])
            self._add(m, i, "core_tiles", tiles[i], groups.works[i])
            connect(m, feeds[i].stream, flipped(self.stream[i]))
            connect(m, tiles[i].stationary, flipped(self.stationary[i]))
            m.d.comb += [
                feeds[i].group.eq(groups.group[i]),
                feeds[i].drained.eq(self.drained[i]),
                feeds[i].tile_block_last.eq(tiles[i].block_last),
                feeds[i].tile_last.eq(tiles[i].last),
                tiles[i].core.eq(groups.core[i]),
                tiles[i].group.eq(groups.group[i]),
                self.taken[i].eq(feeds[i].valid),
                self.complete[i].eq(feeds[i].valid & feeds[i].final),
                *(self.tile[i][tree][lane].eq(tiles[i].tile[tree][lane])
                  for tree in range(TREES) for lane in range(LANES)),
            ]
            self._lead(m, i, groups, feeds, tiles)
        for i, feed in enumerate(feeds):
            waiting = [groups.works[j] & (groups.leader[j] == i) & ~tiles[j].ready
                       for j in cores if i in leaders(config, j)]
            m.d.comb += feed.tiles_ready.eq(~Cat(waiting).any())
        for name in ("positions_last", "wait_stream", "wait_stationary", "wait_drain"):
            m.d.comb += getattr(self, name).eq(getattr(feeds[0], name))
        m.d.comb += self.trap.eq(Cat(part.trap for part in (*feeds, *tiles)).any())
        return m

    def _add(self, m, i, name, part, works):
        """Adds the part of core `i`; it stands still in an operation that has no work for it."""
        if i == 0:
            m.submodules[f"{name}_0"] = part
        else:
            gated(m, f"{name}_{i}", works, {f"{name}_{i}": part})
        m.d.comb += [
            part.start.eq(self.start & works),
            part.clear.eq(self.clear),
            part.registers.eq(self.registers),
        ]

    def _lead(self, m, i, groups, feeds, tiles):
        """Core `i` takes what the feed of its group gives."""
        with m.Switch(groups.leader[i]):
            first, *others = leaders(self.config, i)
            for leader in (*others, first):
                feed = feeds[leader]
                with (m.Case(leader) if leader != first else m.Default()):
                    m.d.comb += [
                        self.word[i].eq(feed.word),
                        self.fed[i].valid.eq(feed.valid & groups.works[i]),
                        self.fed[i].position.eq(feed.position),
                        self.fed[i].bank.eq(feed.bank),
                        self.fed[i].first.eq(feed.first),
                        tiles[i].swap.eq(feed.swap & groups.works[i]),
                    ]
