"""The stream of a group of cores, and its passes."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.clock import gated
from hdl.interfaces import ReadPort, registers_layout
from hdl.streams.reader import WordReader
from hdl.streams.turn import Turn
from hdl.tensor.elements.elements import Elements
from hdl.tensor.elements.pick import offset_bits, word_bits
from hdl.tensor.feed.passes import Passes
from hdl.tensor.feed.sequencer import BANKS, STREAM_WORD, Sequencer, position_bits
from hdl.tensor.feed.tree_sequencer import TreeSequencer
from hdl.tensor.groups import core_bits
from hdl.tensor.live.core import STATE_LAYOUT, told_layout
from hdl.tensor.live.fill import LiveFill
from hdl.tensor.nest import tensor_walk, tensor_walker
from hdl.tensor.skips import skips
from isa.config import LANES, WORD_BITS, Config
from isa.registers import BLOCKS, POSITIONS, REDUCTION, Skip, Unit

OUTER = (*REDUCTION, *BLOCKS)
FED = ("valid", "word", "position", "bank", "first", "behind", "complete", "complete_all",
       "wait_stream", "wait_stationary", "wait_drain")
PASS, ALL = 0, 1  # flags of a stream word: last of its pass; nothing may come after it


class GroupFeed(wiring.Component):
    """Reads a group's stream and gives its cores a word a cycle, as their tiles allow.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse
    clear : nothing is read, and what was read is forgotten; also with `start`
    registers
    group : number of the group; constant in an operation
    stream : ReadPort, of `slot` words
    known, found, round_last, block_last, last, push, drop, swap : of `Passes`
    zero : with `found`, bit by place: all cores' tiles there are zero
    valid, word, position, bank, first, behind, complete, complete_all, untouched, drained, wait_*
        Of `Sequencer`.
    threshold_known, begins, ended : its `known`, `begins` and `ended`
    open : by bank, bit by position, of `Gate`; only with a gate
    pick_word, pick_offset : of `SkippingCore`, if `slot` is above 1 and the operation skips
        elements; the words come one cycle later than from the `Sequencer`
    take : with `valid`, bit by lane: it has an element
    left_out : words of passes that are left out with this cycle, of each position
    skipped : zero elements that are left out with this cycle
    closed : words that are, since their gate is closed; if the operation skips elements
    told, words, state : of the cores whose trees walk by themselves, if the operation skips dead
        outputs: see `LiveCore`. Their words come with `bank` and `first`.
    trap : an address is out of range
    """

    def __init__(self, *, config: Config):
        self.config = config
        slot = config.slot
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "registers": In(registers_layout(Unit.TENSOR)),
            "group": In(core_bits(config)),
            "stream": Out(ReadPort(config, config.slot)),
            "known": In(1),
            "found": In(1),
            "zero": In(config.slot),
            "round_last": In(1),
            "block_last": In(1),
            "last": In(1),
            "push": Out(1),
            "drop": Out(1),
            "swap": Out(1),
            "valid": Out(1),
            "word": Out(WORD_BITS),
            "position": Out(position_bits(config)),
            "bank": Out(1),
            "first": Out(1),
            "behind": Out(1),
            "threshold_known": In(1),
            "begins": Out(1),
            "ended": Out(1),
            "complete": Out(1),
            "complete_all": Out(1),
            "untouched": Out(BANKS),
            "drained": In(1),
            "trap": Out(1),
            "wait_stream": Out(1),
            "wait_stationary": Out(1),
            "wait_drain": Out(1),
            "left_out": Out(range(slot + 1)),
            **({
                "pick_word": Out(LANES).array(word_bits(config)),
                "pick_offset": Out(LANES).array(offset_bits(config)),
                "take": Out(LANES),
                "skipped": Out(range(slot * LANES + 1)),
                "open": In(config.block).array(BANKS),
                "closed": Out(range(slot + 1)),
                "told": Out(told_layout(config)),
                "words": Out(WORD_BITS).array(slot),
                "state": In(STATE_LAYOUT),
            } if slot > 1 else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.sequencer = sequencer = Sequencer(config=self.config)
        m.d.comb += [
            sequencer.clear.eq(self.clear),
            sequencer.drained.eq(self.drained),
            sequencer.gate.eq(self.registers.mode.gate),
            sequencer.known.eq(self.threshold_known),
            self.begins.eq(sequencer.begins),
            self.ended.eq(sequencer.ended),
        ]
        passes = self._passes(m)
        if self.config.slot == 1:
            connect(m, passes.passes, sequencer.passes)
            _, turned = self._stream(m, passes)
            m.d.comb += [*(getattr(self, name).eq(getattr(sequencer, name)) for name in FED),
                         self.untouched.eq(sequencer.untouched), self.left_out.eq(passes.drop)]
            connect(m, turned, sequencer.words)
        else:
            trees, fill = self._live(m, passes, sequencer)
            words, turned = self._stream(m, passes, fill)
            elements = self._elements(m, words, turned, passes, sequencer)
            self._register(m, sequencer, trees, elements)
        return m

    def _live(self, m, passes, sequencer):
        """Where dead outputs are skipped, the trees walk by themselves and passes go to a
        sequencer of their own."""
        used = skips(self.registers, Skip.OUTPUTS)
        trees, fill = TreeSequencer(), LiveFill(config=self.config)
        gated(m, "live", used, {"tree_sequencer": trees, "live_fill": fill})
        told, state, begins = self.told, self.state, passes.begins
        m.d.comb += [
            trees.clear.eq(self.clear),
            trees.drained.eq(self.drained),
            trees.filled.eq(fill.filled),
            trees.through.eq(state.through),
            trees.taken.eq(state.taken),
            fill.clear.eq(self.clear),
            fill.ended.eq(trees.ended),
            fill.begin_valid.eq(begins.valid),
            fill.begin_live.eq(passes.begins_live),
            fill.begin_last.eq(begins.payload.last[len(REDUCTION) - 1]),
            *(getattr(fill, name).eq(state[name])
              for name in ("known", "wanted", "room", "complete", "alive")),
            *(told[name].eq(getattr(fill, name))
              for name in ("round", "enter", "parity", "counted", "advance")),
            *(told[name].eq(getattr(trees, name)) for name in ("walk", "present")),
            trees.passes.payload.eq(passes.passes.payload),
            sequencer.passes.payload.eq(passes.passes.payload),
            self.untouched.eq(Mux(used, trees.untouched, sequencer.untouched)),
        ]
        with m.If(used):
            m.d.comb += [trees.passes.valid.eq(passes.passes.valid),
                         passes.passes.ready.eq(trees.passes.ready)]
        with m.Else():
            m.d.comb += [sequencer.passes.valid.eq(passes.passes.valid),
                         passes.passes.ready.eq(sequencer.passes.ready)]
        return trees, fill

    def _register(self, m, sequencer, trees, elements):
        """Words come a cycle later, since the operands are registered behind their multiplexers."""
        by_tree, by_slot = skips(self.registers, Skip.OUTPUTS), skips(self.registers, Skip.ELEMENTS)
        for name in FED:
            value = getattr(sequencer, name)
            if hasattr(trees, name):
                value = Mux(by_tree, getattr(trees, name), value)
            later = Signal(len(value), name=f"later_{name}")
            m.d.sync += later.eq(Mux(self.clear, 0, value) if len(value) == 1 else value)
            m.d.comb += getattr(self, name).eq(
                Mux(by_slot, elements.word, later) if name == "word" else later)

    def _elements(self, m, words, turned, passes, sequencer):
        """Where zero elements are skipped, words come from slots."""
        used = skips(self.registers, Skip.ELEMENTS)
        elements = Elements(config=self.config)
        gated(m, "elements", used, {"elements": elements})
        word, given = words.payload, sequencer.words
        m.d.comb += [
            elements.clear.eq(self.clear),
            elements.rounds.eq(self.registers.reduction.r0),
            elements.droppable.eq(skips(self.registers, Skip.TILES)),
            elements.push.eq(passes.push),
            elements.drop.eq(passes.drop),
            elements.zero.eq(self.zero),
            elements.block_last.eq(self.block_last),
            elements.behind.eq(passes.behind),
            elements.settled.eq(sequencer.settled),
            *(to.eq(of) for to, of in zip(elements.open, self.open, strict=True)),
            elements.valid.eq(words.valid & used),
            *(to.eq(of) for to, of in zip(elements.data, word.data, strict=True)),
            *(to.eq(of) for to, of in zip(elements.zeros, word.zeros, strict=True)),
            elements.pass_last.eq(word.last[len(POSITIONS) - 1]),
            elements.picks.ready.eq(given.ready),
            sequencer.by_slot.eq(used),
            sequencer.slot_position.eq(elements.picks.payload.position),
            sequencer.slot_first.eq(elements.picks.payload.first),
            given.payload.data.eq(turned.payload.data),
            self.left_out.eq(Mux(used, elements.left_out, passes.drop)),
            self.skipped.eq(Mux(used, elements.skipped, 0)),
            self.closed.eq(Mux(used, elements.closed, 0)),
            *(to.eq(of) for to, of in zip(self.pick_word, elements.word_number, strict=True)),
            *(to.eq(of) for to, of in zip(self.pick_offset, elements.offset, strict=True)),
        ]
        m.d.sync += self.take.eq(Mux(used, elements.take, (1 << LANES) - 1))
        with m.If(used):
            m.d.comb += [words.ready.eq(elements.ready), given.valid.eq(elements.picks.valid),
                         given.payload.pass_last.eq(elements.picks.payload.pass_last)]
        with m.Else():
            m.d.comb += [given.valid.eq(turned.valid), turned.ready.eq(given.ready),
                         given.payload.pass_last.eq(turned.payload.pass_last)]
        return elements

    def _passes(self, m):
        skip = self.registers.mode.skip
        counts = {}
        if self.config.slot > 1:  # the rounds of r0 are done together
            counts["r0"] = Mux(skips(self.registers, Skip.ELEMENTS), 1, self.registers.reduction.r0)
        walker = tensor_walker(m, "origins", self.registers, "stream", OUTER, start=self.start,
                               stop=self.clear, place="stream", origins=True, counts=counts,
                               at={"group": self.group} if self.config.cores > 1 else {})
        m.submodules.passes = passes = Passes(config=self.config, outer=len(OUTER))
        connect(m, walker.items, passes.origins)
        m.d.comb += [
            passes.clear.eq(self.clear),
            passes.queued.eq(skip != Skip.NONE),
            passes.gate.eq(self.registers.mode.gate),
            passes.marked.eq(skips(self.registers, Skip.OUTPUTS)),
            passes.droppable.eq(skips(self.registers, Skip.TILES)),
            passes.zero.eq(self.zero.all()),
            *(getattr(passes, name).eq(getattr(self, name))
              for name in ("known", "found", "round_last", "block_last", "last")),
            *(getattr(self, name).eq(getattr(passes, name)) for name in ("push", "drop", "swap")),
        ]
        return passes

    def _stream(self, m, passes, fill=None):
        """From where passes begin to words as they are read, and one a position, turned if they
        should be."""
        slot, queued = self.config.slot, self.registers.mode.skip != Skip.NONE
        walk = tensor_walk(m, "walk", self.registers, "stream", POSITIONS, outer=len(OUTER),
                           clear=self.clear, **self._rounds())
        loops = len(POSITIONS) + len(OUTER)
        m.submodules.reader = reader = WordReader(config=self.config, loops=loops, words=slot)
        m.submodules.turn = turn = Turn(element_bits=8, last_bits=2)
        turned = stream.Signature(STREAM_WORD).create(path=("turned",))
        connect(m, reader.port, flipped(self.stream))
        word = reader.words.payload
        pass_last = word.last[len(POSITIONS) - 1]
        by_word = Const(1, 1)
        if slot == 1:
            connect(m, passes.begins, walk.origins)
            connect(m, walk.items, reader.items)
        else:
            by_word = ~skips(self.registers, Skip.ELEMENTS | Skip.OUTPUTS)
            m.d.comb += reader.wide.eq(~by_word)
            self._fill(m, passes.begins, walk, fill, reader)
        with m.If(by_word):
            m.d.comb += reader.words.ready.eq(turn.words.ready)
        m.d.comb += [
            reader.clear.eq(self.clear),
            self.trap.eq(reader.trap),
            turn.clear.eq(self.clear),
            turn.enable.eq(self.registers.mode.turn_stream),
            turn.words.valid.eq(reader.words.valid & by_word),
            turn.words.payload.elements.eq(word.data if slot == 1 else word.data[0]),
            turn.words.payload.last[PASS].eq(pass_last),
            turn.words.payload.last[ALL].eq(Mux(queued, pass_last, word.last[-1])),
            turned.valid.eq(turn.turned.valid),
            turned.payload.data.eq(turn.turned.payload.elements),
            turned.payload.pass_last.eq(turn.turned.payload.last[PASS]),
            turn.turned.ready.eq(turned.ready),
        ]
        return reader.words, turned

    def _rounds(self):
        """Counts and strides of p0: where dead outputs are skipped it goes by slots."""
        slot, registers = self.config.slot, self.registers
        if slot == 1:
            return {}
        by_slot = skips(self.registers, Skip.OUTPUTS)
        p0, low = registers.positions.p0, (slot - 1).bit_length()
        return {"counts": {"p0": Mux(by_slot, p0 >> low, p0)},
                "strides": {"p0": Mux(by_slot, slot, registers.stream_p0.stride)}}

    def _fill(self, m, begins, walk, fill, reader):
        """From where passes begin to what is read: where dead outputs are skipped, what the windows
        of the cores need."""
        m.d.comb += [
            walk.origins.payload.eq(begins.payload),
            fill.items.payload.eq(walk.items.payload),
            fill.asked.ready.eq(reader.items.ready),
            reader.items.payload.eq(fill.asked.payload),
            *(to.eq(of) for to, of in zip(self.words, reader.words.payload.data, strict=True)),
        ]
        used = skips(self.registers, Skip.OUTPUTS)
        m.d.comb += begins.ready.eq(walk.origins.ready | (used & fill.begin_take))
        with m.If(used):
            m.d.comb += [
                walk.origins.valid.eq(begins.valid & fill.walk),
                fill.items.valid.eq(walk.items.valid),
                walk.items.ready.eq(fill.items.ready),
                reader.items.valid.eq(fill.asked.valid),
                reader.words.ready.eq(1),  # the windows have room for what was asked for
            ]
        with m.Else():
            m.d.comb += [
                walk.origins.valid.eq(begins.valid),
                reader.items.valid.eq(walk.items.valid),
                walk.items.ready.eq(reader.items.ready),
            ]
