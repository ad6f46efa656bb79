"""One stream to several takers, each in its own time."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Fork(wiring.Component):
    """Offers an element to all who want it, and is done with it when each took it once.

    Parameters
    ----------
    takers : int

    Members
    -------
    clear : forgets who took the present element
    valid, ready : the stream
    wanted : a bit for each taker; constant while there are elements
    offers, took : a bit for each taker; `took` may only answer `offers` of the same cycle
    """

    def __init__(self, *, takers: int):
        if takers < 1:
            raise ValueError(f"takers = {takers}: must be at least 1")
        self.takers = takers
        super().__init__({
            "clear": In(1),
            "valid": In(1),
            "ready": Out(1),
            "wanted": In(takers),
            "offers": Out(takers),
            "took": In(takers),
        })

    def elaborate(self, platform):
        m = Module()
        already = Signal(self.takers)
        m.d.comb += [
            self.offers.eq(self.valid.replicate(self.takers) & self.wanted & ~already),
            self.ready.eq((~self.wanted | already | self.took).all()),
        ]
        with m.If(self.clear | self.valid & self.ready):
            m.d.sync += already.eq(0)
        with m.Else():
            m.d.sync += already.eq(already | self.took)
        return m
