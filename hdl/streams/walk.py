"""The inner loops of a nest whose outer ones are walked elsewhere."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.streams.walker import PLACE_BITS, WINDOW_LAYOUT, item_layout, origin_layout, step_layout
from isa.registers import ADDRESS_BITS, COUNT_BITS


class Walk(wiring.Component):
    """Runs through a nest of bounded loops once for each origin that it is given.

    Parameters
    ----------
    loops : sequence of str
        Names of the loops, innermost first.
    outer : int
        Loops around them.

    Members
    -------
    clear : while set there are no items, and what was left of the nest is forgotten
    counts, steps, window : as of a `Walker`; only height and width of the window matter
    origins : stream of `origin_layout(outer)`, taken with the first item of each
    single : with an origin: it has one item, the last, and that is outside
    items : stream of `item_layout(len(loops) + outer)`

    Timing
    ------
    The first item of an origin is valid in the same cycle; an item a cycle.
    """

    def __init__(self, *, loops, outer: int):
        self.loops = tuple(loops)
        self.outer = outer
        super().__init__({
            "clear": In(1),
            "counts": In(data.StructLayout(dict.fromkeys(self.loops, COUNT_BITS))),
            "steps": In(data.StructLayout({loop: step_layout(True) for loop in self.loops})),
            "window": In(WINDOW_LAYOUT),
            "origins": In(stream.Signature(origin_layout(outer))),
            "single": In(1),
            "items": Out(stream.Signature(item_layout(len(self.loops) + outer))),
        })

    def elaborate(self, platform):
        m = Module()
        begun = Signal()  # with the present origin, which was taken
        rounds = [Signal(COUNT_BITS, init=1, name=f"round_{loop}") for loop in self.loops]
        ends = Signal(len(self.loops))
        last = Signal(len(self.loops))
        outer_last, kept_last = Signal(self.outer), Signal(self.outer, reset_less=True)
        take, single, ends_all = Signal(), Signal(), Signal()
        origin, payload = self.origins.payload, self.items.payload

        for i, loop in enumerate(self.loops):
            m.d.comb += [ends[i].eq(rounds[i] == self.counts[loop]), last[i].eq(ends[:i + 1].all())]
        row = self._place(m, begun, take, last, "dy", PLACE_BITS, origin.row)
        column = self._place(m, begun, take, last, "dx", PLACE_BITS, origin.column)
        m.d.comb += [
            outer_last.eq(Mux(begun, kept_last, origin.last)),
            self.items.valid.eq((begun | self.origins.valid) & ~self.clear),
            take.eq(self.items.valid & self.items.ready),
            self.origins.ready.eq(take & ~begun),
            single.eq(self.single & ~begun),
            ends_all.eq(last[-1] | single),
            payload.last.eq(Cat(last | single.replicate(len(self.loops)),
                                Mux(ends_all, outer_last, 0))),
            payload.address.eq(self._place(m, begun, take, last, "stride", ADDRESS_BITS,
                                           origin.address)),
            payload.inside.eq((row < self.window.height) & (column < self.window.width) & ~single),
        ]
        with m.If(take):
            m.d.sync += [begun.eq(~ends_all), kept_last.eq(outer_last)]
            for i, counter in enumerate(rounds):
                with m.If((last[i - 1] if i else Const(1, 1)) & ~single):
                    m.d.sync += counter.eq(Mux(ends[i], 1, counter + 1))
        with m.If(self.clear):
            m.d.sync += [begun.eq(0), *(counter.eq(1) for counter in rounds)]
        return m

    def _place(self, m, begun, take, last, step, width, origin):
        """The unsigned image of a coordinate that each loop moves by its field `step`. As in a
        `Walker` each loop keeps the place of its present round's beginning."""
        begins = [Signal(width, name=f"{step}_{loop}", reset_less=True) for loop in self.loops]
        places = [Signal(width, name=f"{step}_{loop}_now") for loop in self.loops]
        chosen_place, chosen_step = Signal(width), Signal(width)
        for i in reversed(range(len(self.loops))):  # the innermost loop that has rounds left
            with m.If(~last[i]):
                m.d.comb += [chosen_place.eq(places[i]),
                             chosen_step.eq(self.steps[self.loops[i]][step])]
        for i, (begin, place) in enumerate(zip(begins, places, strict=True)):
            m.d.comb += place.eq(Mux(begun, begin, origin))
            with m.If(take):
                m.d.sync += begin.eq(Mux(last[i - 1] if i else Const(1, 1),
                                         chosen_place + chosen_step, place))
        return places[0]
