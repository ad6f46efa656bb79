"""The cycles of a slot: which element each lane takes in each of them."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.tensor.core.planes import wire
from isa.config import LANES, Config


def word_bits(config: Config) -> int:
    """Planes of the number of a word in a slot."""
    return (config.slot - 1).bit_length()


def offset_bits(config: Config) -> int:
    """Planes of how many lanes before its own a lane takes an element from."""
    return config.reach.bit_length()


class Pick(wiring.Component):
    """Gives an element to each lane in each cycle until those of a slot are done.

    Parameters
    ----------
    config : Config
        `slot` and `reach` matter.

    Members
    -------
    clear : the present slot is forgotten
    valid, share, more : a slot waits; see `Balance`
    ready : it is taken; it is the present one from the next cycle on
    enable : the present cycle's elements are taken
    busy : there is a present slot
    last : with `busy`: this is its last cycle
    take : a bit a lane: the lane has an element
    word, offset
        Planes, lowest first, a bit a lane: the number of the element's word in the slot, and the
        lanes from its own to this one. Zero where the lane has no element.

    Timing
    ------
    Slots follow without a gap. One without elements takes one cycle.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "clear": In(1),
            "valid": In(1),
            "share": In(LANES).array(config.reach + 1, config.slot),
            "more": In(range(config.slot)),
            "ready": Out(1),
            "enable": In(1),
            "busy": Out(1),
            "last": Out(1),
            "take": Out(LANES),
            "word": Out(LANES).array(word_bits(config)),
            "offset": Out(LANES).array(offset_bits(config)),
        })

    def elaborate(self, platform):
        m = Module()
        places = [(age, d) for age in range(self.config.reach + 1)
                  for d in range(self.config.slot)]
        left = {place: Signal(LANES, name="left_{}_{}".format(*place), reset_less=True)
                for place in places}
        more = Signal.like(self.more)
        chosen, after = {}, {}
        found = 0
        for place in places:
            name = "{}_{}".format(*place)
            chosen[place] = wire(m, f"chosen_{name}", left[place] & ~found)
            after[place] = wire(m, f"after_{name}", left[place] & found)
            found = wire(m, f"found_{name}", left[place] | found)

        def those(condition):
            planes = [plane for place, plane in chosen.items() if condition(*place)]
            total = planes[0]
            for plane in planes[1:]:
                total = total | plane
            return total

        m.d.comb += [
            self.take.eq(found),
            *(plane.eq(those(lambda age, d, i=i: d >> i & 1))
              for i, plane in enumerate(self.word)),
            *(plane.eq(those(lambda age, d, i=i: age >> i & 1))
              for i, plane in enumerate(self.offset)),
            self.last.eq(more == 0),
            self.ready.eq(~self.busy | (self.enable & self.last)),
        ]
        with m.If(self.ready):
            m.d.sync += self.busy.eq(self.valid)
        with m.If(self.ready | self.enable):
            m.d.sync += [left[age, d].eq(Mux(self.ready, self.share[age][d], after[age, d]))
                         for age, d in places]
            m.d.sync += more.eq(Mux(self.ready, self.more, more - 1))
        with m.If(self.clear):
            m.d.sync += self.busy.eq(0)
        return m
