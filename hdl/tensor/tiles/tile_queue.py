"""The stationary tiles of a core that reads several words at a time."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.tensor.core.planes import wire
from isa.config import LANES, TREES, WORD_BITS, WORD_BYTES, Config


def tile_words_layout(slot: int) -> data.StructLayout:
    """One word of a tile, the first, or `slot` of them, or with `whole` all words, which are zero;
    `group_last`: of the last tile of those that belong together."""
    return data.StructLayout({"data": data.ArrayLayout(WORD_BITS, slot),
                              "zeros": data.ArrayLayout(WORD_BYTES, slot), "whole": 1,
                              "group_last": 1})


class TileQueue(wiring.Component):
    """Collects tiles ahead of the present ones: up to `config.slot`, one after the other, or
    `together` those of one pass.

    Parameters
    ----------
    config : Config
        `slot` above 1.

    Members
    -------
    transpose, queued, together, wide : constant in an operation; the words come `slot` at a time
        with `wide`; both that and `together` only with `queued`
    clear : what was collected is forgotten
    words : stream of `tile_words_layout`
    found : the next tile is complete, or the next tiles together
    zero : with `found`, bit by place: the tile there has no non-zero element, or there is none
    tile_zero : with the last word of a tile: it has no non-zero element
    push : with `queued`: what was found is kept until it is swapped in
    drop : what was found is forgotten
    swap : what was kept first is present from the next cycle on; without `queued` what was found
    entry : place of the present tile, if it is alone
    tiles : [place][tree], words of 8 codes, lane 0 low: word `tree` of the tile, or with
        `transpose` byte `tree` of its words

    Timing
    ------
    `found` comes in the cycle in which the last word of a tile is there. Tiles are collected while
    there are places: a tile every 8 cycles, or 8 / `slot` if `wide`.
    """

    def __init__(self, *, config: Config):
        self.config = config
        slot = config.slot
        super().__init__({
            "transpose": In(1),
            "queued": In(1),
            "together": In(1),
            "wide": In(1),
            "clear": In(1),
            "words": In(stream.Signature(tile_words_layout(slot))),
            "found": Out(1),
            "zero": Out(slot),
            "tile_zero": Out(1),
            "push": In(1),
            "drop": In(1),
            "swap": In(1),
            "entry": Out(range(slot)),
            "tiles": Out(WORD_BITS).array(slot, TREES),
        })

    def elaborate(self, platform):
        m = Module()
        slot = self.config.slot
        count = Signal(range(TREES))  # requests of the tile that have come
        place, head = Signal(range(slot)), Signal(range(slot))  # of the tile that comes, or leaves
        level = Signal(range(slot + 1))  # tiles kept, or 1 for those that are kept together
        room, complete, found, take = Signal(), Signal(), Signal(), Signal()
        some = Signal(slot)  # places of non-zero elements that have come
        coming = Signal(slot)
        nonzero = Signal()
        word = self.words.payload

        m.d.comb += [
            room.eq(Mux(self.together, level == 0, level != slot)),
            complete.eq(word.whole | (count == Mux(self.wide, TREES // slot - 1, TREES - 1))),
            found.eq(complete & (~self.together | word.group_last)),
            self.found.eq(found & room & self.words.valid),
            nonzero.eq(~word.zeros[0].all()
                       | (self.wide & ~Cat(zeros.all() for zeros in word.zeros).all())),
            coming.eq(some | (nonzero << place)[:slot]),
            self.zero.eq(~coming),
            self.tile_zero.eq(~coming.bit_select(place, 1)),
            self.words.ready.eq(room & (~found | self.push | self.drop
                                        | (self.swap & ~self.queued))),
            take.eq(self.words.valid & self.words.ready),
        ]
        with m.If(take):
            m.d.sync += [count.eq(Mux(complete, 0, count + 1)), some.eq(Mux(found, 0, coming))]
            with m.If(complete):
                m.d.sync += place.eq(Mux(found & self.together | ~self.queued, 0,
                                         place + (self.push | self.together)))
        with m.If(self.swap & self.queued & ~self.together):
            m.d.sync += head.eq(head + 1)
        m.d.sync += level.eq(level + self.push - (self.swap & self.queued))
        with m.If(self.clear):
            m.d.sync += [count.eq(0), place.eq(0), head.eq(0), level.eq(0), some.eq(0)]
        rows = self._collect(m, take, place, count)
        self._swap(m, rows, head)
        return m

    def _collect(self, m, take, place, count):
        """The codes of all places, [place][tree][lane]."""
        slot, word = self.config.slot, self.words.payload
        rows = [[[Signal(8, name=f"code_{d}_{tree}_{lane}", reset_less=True)
                  for lane in range(LANES)] for tree in range(TREES)] for d in range(slot)]
        data = [wire(m, f"word_{k}", Mux(self.wide, word.data[k % slot], word.data[0]))
                for k in range(slot)]
        due = [wire(m, f"due_{k}", word.whole | Mux(self.wide, count == k // slot, count == k))
               for k in range(TREES)]
        for tree in range(TREES):
            for lane in range(LANES):
                name = f"{tree}_{lane}"
                now = wire(m, f"now_{name}", Mux(self.transpose, due[lane], due[tree]))
                code = wire(m, f"coming_{name}", Mux(
                    self.transpose, data[lane % slot].word_select(tree, 8),
                    data[tree % slot].word_select(lane, 8)))
                for d in range(slot):
                    with m.If(take & (place == d) & now):
                        m.d.sync += rows[d][tree][lane].eq(code)
        return rows

    def _swap(self, m, rows, head):
        coming = self.words.payload.data[0]  # the last word of a tile that is not kept
        first = [list(row) for row in rows[0]]
        for i in range(TREES):
            for tree, lane, by_lane in ((i, LANES - 1, True), (TREES - 1, i, False)):
                mine = ~self.queued & (self.transpose == by_lane)
                first[tree][lane] = Mux(mine, coming.word_select(i, 8), first[tree][lane])
        with m.If(self.swap):
            m.d.sync += self.entry.eq(head)
        for d, codes in enumerate([first, *rows[1:]]):
            with m.If(self.swap & (self.together | (head == d))):
                m.d.sync += [self.tiles[d][tree].eq(Cat(codes[tree])) for tree in range(TREES)]
