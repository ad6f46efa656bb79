"""Words of a stream that the trees of a core walk through each by itself."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.choose import choose
from hdl.tensor.feed.sequencer import position_bits
from isa.config import TREES, WORD_BITS, Config

SLOTS = 4  # of Config.slot words each


def round_bits(config: Config) -> int:
    """Width of the number of a slot of positions in a block; at least 1."""
    return max(1, (config.block // config.slot - 1).bit_length())


def several(bits):
    """Whether more than one of the bits is set, found pair by pair."""
    found = [(bit, 0) for bit in bits]  # whether there is one, and more than one
    while len(found) > 1:
        found = [(a | b, (a & b) | more_a | more_b)
                 for (a, more_a), (b, more_b) in zip(found[::2], found[1::2], strict=True)]
    return found[0][1]


class WordWindow(wiring.Component):
    """Holds 4 slots of words and gives each tree the next word that it has a live position for.

    Slots enter in the order of a pass, and leave when no tree needs a word of them. A tree takes
    its live positions in order, one a cycle, and stays within the present pass.

    Parameters
    ----------
    config : Config
        `slot` and `block` matter.

    Members
    -------
    clear : between operations
    room : a slot may enter
    enter : a slot enters if there is room; it takes none if nothing is live
    round : its number in the block: its positions are slot * round and those after it
    live : by tree, a bit for each word
    parity : of its pass; those of a pass and the next one differ
    words : those of a slot, one cycle after it entered
    walk : the trees may take words in this cycle
    present : parity of the present pass
    through : with `walk`, after this cycle nothing of the present pass is left in the window
    valid : bit by tree; it takes a word
    position, word : by tree

    Timing
    ------
    What enters can be taken in the next cycle. Positions and words follow one cycle after the
    cycle that took them.
    """

    def __init__(self, *, config: Config):
        self.config = config
        slot = config.slot
        super().__init__({
            "clear": In(1),
            "room": Out(1),
            "enter": In(1),
            "round": In(round_bits(config)),
            "live": In(slot).array(TREES),
            "parity": In(1),
            "words": In(WORD_BITS).array(slot),
            "walk": In(1),
            "present": In(1),
            "through": Out(1),
            "valid": Out(TREES),
            "position": Out(position_bits(config)).array(TREES),
            "word": Out(WORD_BITS).array(TREES),
        })

    def elaborate(self, platform):
        m = Module()
        slot = self.config.slot
        entries = range(SLOTS)
        following = Signal(SLOTS, init=1)  # the entry that the next slot takes, and the oldest
        rounds = [Signal(len(self.round), name=f"round_{e}", reset_less=True) for e in entries]
        parities = Signal(SLOTS)
        pending = [Signal(SLOTS * slot, name=f"pending_{tree}") for tree in range(TREES)]
        entering = Signal()
        enters, writes = Signal(SLOTS), Signal(SLOTS)  # the entry that a slot, its words enter
        places = Signal(SLOTS * slot)  # the words of the entry that is entered in this cycle
        present, old = (Signal(SLOTS * slot, name=name) for name in ("of_present", "of_old"))

        def words_of(bits):
            return Cat(bit.replicate(slot) for bit in bits)

        m.d.comb += [
            self.room.eq(~Cat((p & words_of(following)).any() for p in pending).any()),
            entering.eq(self.enter & self.room & Cat(self.live).any()),
            enters.eq(Mux(entering, following, 0)),
            places.eq(words_of(enters)),
            # from `following` on are the oldest entries, those before it are younger
            old.eq(words_of(following[:e + 1].any() for e in entries)),
            present.eq(words_of(p == self.present for p in parities)),
        ]
        m.d.sync += writes.eq(enters)
        with m.If(entering):
            m.d.sync += following.eq(following.rotate_left(1))
        for e in entries:
            with m.If(enters[e]):
                m.d.sync += [rounds[e].eq(self.round), parities[e].eq(self.parity)]
        words = self._words(m, writes)
        through = []
        for tree, waiting in enumerate(pending):
            index = self._take(m, tree, waiting, waiting & present, old, places, through)
            m.d.comb += [
                self.word[tree].eq(choose(words, index)),
                self.position[tree].eq(Cat(index[:exact_log2(slot)],
                                           choose(rounds, index[exact_log2(slot):]))),
            ]
        m.d.comb += self.through.eq(Cat(through).all())
        with m.If(self.clear):
            m.d.sync += [following.eq(1), writes.eq(0), self.valid.eq(0),
                         *(waiting.eq(0) for waiting in pending)]
        return m

    def _words(self, m, writes):
        """The words of all entries, in order."""
        words = []
        for e in range(SLOTS):
            for i in range(self.config.slot):
                word = Signal(WORD_BITS, name=f"word_{e}_{i}", reset_less=True)
                with m.If(writes[e]):
                    m.d.sync += word.eq(self.words[i])
                words.append(word)
        return words

    def _take(self, m, tree, waiting, candidates, old, places, through):
        """Which word the tree takes, one cycle later; appends whether it then has none left."""
        count = len(waiting)
        ready, first = (Signal(count, name=f"{name}_{tree}") for name in ("ready", "first"))
        chosen = Signal(count, name=f"chosen_{tree}")
        index = Signal(range(count), name=f"index_{tree}", reset_less=True)
        m.d.comb += [
            ready.eq(candidates),
            first.eq(Mux((ready & old).any(), ready & old, ready)),
            chosen.eq(Mux(self.walk, first & -first, 0)),
        ]
        through.append(~several(ready))
        m.d.sync += [
            self.valid[tree].eq(chosen.any()),
            index.eq(Cat(Cat(bit for i, bit in enumerate(chosen) if i >> k & 1).any()
                         for k in range(len(index)))),
            waiting.eq((waiting & ~chosen) | (places & self.live[tree].replicate(SLOTS))),
        ]
        return index
