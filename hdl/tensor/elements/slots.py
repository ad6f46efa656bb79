"""Slots of a stream, and the elements that the lanes take from them cycle by cycle."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.regfile import RegisterFile
from hdl.tensor.core.choose import Choose, spread_lanes
from hdl.tensor.core.planes import register
from hdl.tensor.elements.balance import Balance
from hdl.tensor.elements.pick import Pick, offset_bits, word_bits
from isa.config import LANES, WORD_BITS, Config

DEPTH = 16  # slots kept: those that are shared out, two at the pick, and a few that wait


def pick_layout(config: Config, about) -> data.StructLayout:
    """A cycle of a slot: `take`, `word` and `offset` of `Pick`, whether it is the slot's first and
    last, and what goes with the slot."""
    return data.StructLayout({"take": LANES,
                              "word": data.ArrayLayout(LANES, word_bits(config)),
                              "offset": data.ArrayLayout(LANES, offset_bits(config)),
                              "first": 1, "last": 1, "about": about})


class Slots(wiring.Component):
    """Keeps slots until their elements were taken.

    Parameters
    ----------
    config : Config
        `slot` and `reach` matter.
    about : shape of what goes with a slot, at most 64 bits

    Members
    -------
    clear : forgets everything
    valid, ready : a slot is there, and it is taken
    data, live, about : its words, its live elements (see `Balance`), and what goes with it
    picks : stream of `pick_layout`
    word
        The elements of the pick that was taken last, each in the lane that takes it; lanes without
        an element have zero. Valid in the cycle after the pick.

    Timing
    ------
    A slot a cycle. Each gives as many picks as it needs cycles, and one if it has no element; its
    first pick is valid `LATENCY` cycles after it came, and slots follow without a gap.
    """

    LATENCY = Balance.LATENCY + 2

    def __init__(self, *, config: Config, about):
        self.config = config
        self.layout = about
        super().__init__({
            "clear": In(1),
            "valid": In(1),
            "ready": Out(1),
            "data": In(WORD_BITS).array(config.slot),
            "live": In(LANES).array(config.slot),
            "about": In(about),
            "picks": Out(stream.Signature(pick_layout(config, about))),
            "word": Out(WORD_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        picks = self.picks.payload
        level = Signal(range(DEPTH + 1))
        written, shared, begun, present = (
            Signal(range(DEPTH), name=name) for name in ("written", "shared", "begun", "present"))
        waiting = Signal(range(DEPTH + 1))  # slots shared out and not at the pick
        push, pop, done, load = Signal(), Signal(), Signal(), Signal()
        again = Signal()  # the slot at the pick gave one already
        coming = Signal(Balance.LATENCY)  # slots that are being shared out

        m.submodules.balance = balance = Balance(config=self.config)
        m.submodules.pick = pick = Pick(config=self.config)
        m.d.comb += [
            self.ready.eq(level != DEPTH),
            push.eq(self.valid & self.ready),
            *(a.eq(b) for a, b in zip(balance.live, self.live, strict=True)),
            done.eq(coming[-1]),
            pick.clear.eq(self.clear),
            pick.valid.eq(waiting != 0),
            load.eq(pick.valid & pick.ready),
            self.picks.valid.eq(pick.busy),
            pick.enable.eq(self.picks.ready),
            pop.eq(pick.busy & pick.enable & pick.last),
            picks.take.eq(pick.take),
            *(a.eq(b) for a, b in zip(picks.word, pick.word, strict=True)),
            *(a.eq(b) for a, b in zip(picks.offset, pick.offset, strict=True)),
            picks.first.eq(~again),
            picks.last.eq(pick.last),
        ]
        m.d.sync += [
            coming.eq(Cat(push, coming)),
            level.eq(level + push - pop),
            waiting.eq(waiting + done - load),
            written.eq(written + push),
            shared.eq(shared + done),
            begun.eq(begun + load),
        ]
        with m.If(pick.busy & pick.enable):
            m.d.sync += again.eq(~pick.last)
        with m.If(load):
            m.d.sync += present.eq(begun)
        with m.If(self.clear):
            m.d.sync += [place.eq(0) for place in
                         (coming, level, waiting, written, shared, begun, again)]

        for age, (shares, to) in enumerate(zip(balance.share, pick.share, strict=True)):
            kept = self._keep(m, f"shares_{age}", done, shared, Cat(shares), begun)
            m.d.comb += Cat(to).eq(kept)
        m.d.comb += pick.more.eq(self._keep(m, "more", done, shared, balance.more, begun))
        m.d.comb += picks.about.eq(self._keep(m, "about", push, written, self.about,
                                              present))
        self._elements(m, push, written, present, pick)
        return m

    def _keep(self, m: Module, name: str, enable, place, value, read):
        """What was kept at `read` of the values that were written."""
        rows = RegisterFile(width=len(Cat(value)), depth=DEPTH)
        m.submodules[name] = rows
        m.d.comb += [rows.write_enable.eq(enable), rows.write_address.eq(place),
                     rows.write_data.eq(value), rows.read_address[0].eq(read)]
        return rows.read_data[0]

    def _elements(self, m: Module, push, written, present, pick):
        m.submodules.choose = choose = Choose(config=self.config, rows=1)
        taken = spread_lanes(m, "taken", [register(m, "taken", pick.take)])[0]
        m.d.comb += [
            *(to.eq(of) for to, of in zip(choose.word, pick.word, strict=True)),
            *(to.eq(of) for to, of in zip(choose.offset, pick.offset, strict=True)),
            self.word.eq(choose.chosen[0] & taken),
        ]
        for d, word in enumerate(self.data):
            m.d.comb += choose.words[d][0].eq(self._keep(m, f"words_{d}", push, written, word,
                                                         present))
