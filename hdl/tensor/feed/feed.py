"""The feeding side of the tensor unit: streams, tiles, passes of all groups."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.clock import gated
from hdl.interfaces import ReadPort, registers_layout
from hdl.tensor.elements.pick import offset_bits, word_bits
from hdl.tensor.feed.group_feed import GroupFeed
from hdl.tensor.feed.sequencer import BANKS, position_bits
from hdl.tensor.gates.gate import Gate
from hdl.tensor.groups import Groups, by_leader, leaders
from hdl.tensor.live.feed import LiveFeed
from hdl.tensor.live.masks import dead_bits
from hdl.tensor.skips import skips
from hdl.tensor.tiles.core_tiles import CoreTiles
from isa.config import LANES, TREES, WORD_BITS, Config
from isa.registers import Skip, Unit


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
    known : the positions of a block are; until then nothing is left out
    works : bit by core: at work in this operation
    fed, word : by core, `fed_layout`, 64 bits
    tile : by core, codes [tree][lane], if `slot` is 1
    tiles, pick_word, pick_offset : by core, of `SkippingCore`, if it is above
    tree_valid, tree_position, tree_word : by core, what its trees take, if `slot` is above 1
    taken : bit by core: it leads a group, whose stream gives a word in this cycle
    decided : likewise, which does or leaves out a pass; only in operations that skip something
    left_out : by core that leads a group: words that it leaves out, at each position
    skipped : likewise, zero elements that are left out, if `slot` is above 1
    take : by core, bit by lane: with `fed.valid`, it has an element; likewise
    dead : by core, dead outputs that are left out with this cycle, likewise
    closed : by core, words of its tile that are left out with this cycle: their gate is closed;
        none if `slot` is 1
    sums, poison : by core, of `Gate`
    read_bank, read_position : of the drain
    open : bit by core: in the cycle after it, the gate of that position
    complete, complete_all, untouched : by core that leads a group, see `Sequencer`
    drained : bit by core: it leads a group, whose older bank is free again
    wait_stream, wait_stationary, wait_drain : of the first group
    trap : an address is out of range

    Timing
    ------
    The first word enters the cores 10 cycles after `start`, 11 if `slot` is above 1, if no bank
    makes it wait and nothing is skipped.
    """

    def __init__(self, *, config: Config):
        self.config = config
        cores, slot = config.cores, config.slot
        tiles = {"tile": Out(8).array(cores, TREES, LANES)} if slot == 1 else {
            "tiles": Out(WORD_BITS).array(cores, slot, TREES),
            "pick_word": Out(LANES).array(cores, word_bits(config)),
            "pick_offset": Out(LANES).array(cores, offset_bits(config)),
            "take": Out(LANES).array(cores),
            "skipped": Out(range(slot * LANES + 1)).array(cores),
            "tree_valid": Out(TREES).array(cores),
            "tree_position": Out(position_bits(config)).array(cores, TREES),
            "tree_word": Out(WORD_BITS).array(cores, TREES),
            "dead": Out(dead_bits(config)).array(cores),
        }
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "registers": In(registers_layout(Unit.TENSOR)),
            "known": In(1),
            "stream": Out(ReadPort(config, config.slot)).array(cores),
            "stationary": Out(ReadPort(config, config.slot)).array(cores),
            "works": Out(cores),
            "fed": Out(fed_layout(config)).array(cores),
            "word": Out(WORD_BITS).array(cores),
            **tiles,
            "closed": Out(range(slot + 1)).array(cores),
            "sums": In(signed(config.accumulator_bits)).array(cores, TREES),
            "poison": In(TREES).array(cores),
            "read_bank": In(1),
            "read_position": In(position_bits(config)),
            "open": Out(cores),
            "taken": Out(cores),
            "decided": Out(cores),
            "left_out": Out(range(slot + 1)).array(cores),
            "complete": Out(cores),
            "complete_all": Out(cores),
            "untouched": Out(BANKS).array(cores),
            "drained": In(cores),
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
        gates = [Gate(config=config) for _ in cores if config.slot > 1]
        tiles = [CoreTiles(config=config) for _ in cores]
        for i in cores:
            self._add(m, i, "group_feed", feeds[i], groups.leads[i])
            self._add(m, i, "core_tiles", tiles[i], groups.works[i])
            connect(m, tiles[i].stationary, flipped(self.stationary[i]))
            m.d.comb += [
                feeds[i].group.eq(groups.group[i]),
                feeds[i].known.eq(self.known),
                feeds[i].drained.eq(self.drained[i]),
                feeds[i].round_last.eq(tiles[i].round_last),
                feeds[i].block_last.eq(tiles[i].block_last),
                feeds[i].last.eq(tiles[i].last),
                tiles[i].core.eq(groups.core[i]),
                tiles[i].group.eq(groups.group[i]),
                self.taken[i].eq(feeds[i].valid),
                self.decided[i].eq(feeds[i].push | feeds[i].drop),
                self.left_out[i].eq(feeds[i].left_out),
                self.complete[i].eq(feeds[i].complete),
                self.complete_all[i].eq(feeds[i].complete_all),
                self.untouched[i].eq(feeds[i].untouched),
            ]
            shut = Const(0)
            if config.slot > 1:
                m.d.comb += self.skipped[i].eq(feeds[i].skipped)
                shut = self._gate(m, i, gates[i], feeds[i], groups.leads[i])
            self._present(m, i, tiles[i])
            self._lead(m, i, groups, feeds, tiles, shut)
        for i, feed in enumerate(feeds):
            led = [(groups.follows[j][i], tiles[j]) for j in cores if i in leaders(config, j)]
            m.d.comb += [
                feed.found.eq(~Cat(at_work & ~part.found for at_work, part in led).any()),
                feed.zero.eq(~reduce(or_, (Mux(at_work, ~part.zero, 0) for at_work, part in led))),
            ]
        for name in ("wait_stream", "wait_stationary", "wait_drain"):
            m.d.comb += getattr(self, name).eq(getattr(feeds[0], name))
        traps = [part.trap for part in (*feeds, *tiles)]
        traps += [gate.trap & self.registers.mode.gate & groups.leads[i]
                  for i, gate in enumerate(gates)]
        if config.slot > 1:
            live = self._live(m, groups, feeds)
            traps.append(live.trap)
            for i in cores:
                self._share(m, feeds[i].stream, live.port[i], gates[i].port, self.stream[i])
        else:
            for i in cores:
                connect(m, feeds[i].stream, flipped(self.stream[i]))
        m.d.comb += self.trap.eq(Cat(traps).any())
        return m

    def _gate(self, m, i, gate, feed, leads):
        """The gate of core `i`, which is a group of its own where there are gates."""
        used = self.registers.mode.gate & leads
        gated(m, f"gate_{i}", used | self.clear, {f"gate_{i}": gate})
        answer = Signal(name=f"open_{i}")
        row = Mux(feed.bank, *reversed(gate.open))
        shut = used & feed.behind & ~row.bit_select(feed.position, 1)
        m.d.comb += [
            gate.start.eq(self.start & used),
            gate.clear.eq(self.clear),
            gate.registers.eq(self.registers),
            gate.begins.eq(feed.begins & used),
            gate.ended.eq(feed.ended),
            gate.valid.eq(feed.valid & ~feed.behind),
            gate.position.eq(feed.position),
            gate.bank.eq(feed.bank),
            *(to.eq(of) for to, of in zip(gate.sums, self.sums[i], strict=True)),
            gate.poison.eq(self.poison[i]),
            feed.threshold_known.eq(gate.known),
            self.open[i].eq(answer),
        ]
        m.d.sync += answer.eq(Mux(self.read_bank, *reversed(gate.open)).bit_select(
            self.read_position, 1))
        m.d.comb += [
            *(to.eq(of) for to, of in zip(feed.open, gate.open, strict=True)),
            self.closed[i].eq(Mux(skips(self.registers, Skip.ELEMENTS), feed.closed,
                                  feed.valid & shut)),
        ]
        return shut

    def _live(self, m, groups, feeds):
        """What trees take that walk by themselves, and others; gives the trap of their masks."""
        used = skips(self.registers, Skip.OUTPUTS)
        m.submodules.live = live = LiveFeed(config=self.config)
        for name in ("start", "clear", "registers"):
            m.d.comb += getattr(live, name).eq(getattr(self, name))
        m.d.comb += [live.used.eq(used), live.works.eq(groups.works)]
        for i, (feed, fed) in enumerate(zip(feeds, self.fed, strict=True)):
            for name in ("core", "group", "follows"):
                m.d.comb += getattr(live, name)[i].eq(getattr(groups, name)[i])
            m.d.comb += [
                live.told[i].eq(feed.told),
                feed.state.eq(live.state[i]),
                *(to.eq(of) for to, of in zip(live.words[i], feed.words, strict=True)),
                self.tree_valid[i].eq(Mux(used, live.valid[i], fed.valid.replicate(TREES))),
                *(self.tree_position[i][tree].eq(
                    Mux(used, live.position[i][tree], fed.position)) for tree in range(TREES)),
                *(self.tree_word[i][tree].eq(Mux(used, live.word[i][tree], self.word[i]))
                  for tree in range(TREES)),
                self.dead[i].eq(live.dead[i]),
            ]
        return live

    def _share(self, m, words, masks, thresholds, port):
        """Gives the port of a core to its thresholds, which ask once a block of an operation with
        a gate, then to the stream, then to its masks, which ask where there is no gate."""
        first = thresholds.request.valid
        masked = masks.request.valid & skips(self.registers, Skip.OUTPUTS)
        m.d.comb += [
            port.request.valid.eq(first | words.request.valid | masked),
            # late is whether a word is asked for
            port.request.payload.eq(Mux(words.request.valid, *(
                Mux(first, thresholds.request.payload, other.request.payload)
                for other in (words, masks)))),
            thresholds.request.ready.eq(port.request.ready),
            words.request.ready.eq(port.request.ready & ~first),
            masks.request.ready.eq(port.request.ready & ~words.request.valid),
            port.wide.eq(words.request.valid & words.wide & ~first),
            words.valid.eq(port.valid),
            *(to.eq(of) for name in ("data", "zeros")
              for to, of in zip(getattr(words, name), getattr(port, name), strict=True)),
        ]
        for other in (thresholds, masks):
            m.d.comb += [other.valid.eq(port.valid), other.data.eq(port.data[0]),
                         other.zeros.eq(port.zeros[0])]

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

    def _present(self, m, i, tiles):
        """The tiles of core `i`."""
        if self.config.slot == 1:
            m.d.comb += [self.tile[i][tree][lane].eq(tiles.tile[tree][lane])
                         for tree in range(TREES) for lane in range(LANES)]
            return
        m.d.comb += [self.tiles[i][place][tree].eq(tiles.tiles[place][tree])
                     for place in range(self.config.slot) for tree in range(TREES)]

    def _pick(self, m, i, feed, tiles):
        """What core `i` takes of its tiles: the only one is at a place of its own."""
        elements = skips(self.registers, Skip.ELEMENTS)
        m.d.comb += [
            *(pick.eq(Mux(elements, plane, tiles.entry[bit].replicate(LANES)))
              for bit, (pick, plane) in enumerate(zip(self.pick_word[i], feed.pick_word,
                                                      strict=True))),
            *(pick.eq(Mux(elements, plane, 0))
              for pick, plane in zip(self.pick_offset[i], feed.pick_offset, strict=True)),
            self.take[i].eq(feed.take),
        ]

    def _lead(self, m, i, groups, feeds, tiles, shut):
        """Core `i` takes what the feed of its group gives, unless its gate is shut."""
        works = groups.follows[i].any()
        for leader in by_leader(m, self.config, i, groups.follows[i]):
            feed = feeds[leader]
            m.d.comb += [
                self.word[i].eq(feed.word),
                self.fed[i].valid.eq(feed.valid & works & ~shut),
                self.fed[i].position.eq(feed.position),
                self.fed[i].bank.eq(feed.bank),
                self.fed[i].first.eq(feed.first),
                *(getattr(tiles[i], name).eq(getattr(feed, name) & works)
                  for name in ("push", "drop", "swap")),
            ]
            if self.config.slot > 1:
                self._pick(m, i, feed, tiles[i])
