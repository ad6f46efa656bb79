"""Affine loop nests: the addresses of a stream, one a cycle."""

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from isa.registers import ADDRESS_BITS, COORDINATE_BITS, COUNT_BITS, STRIDE_BITS

PLACE_BITS = 16  # rows and columns on the way, two's complement

WINDOW_LAYOUT = data.StructLayout({
    "y": signed(PLACE_BITS),
    "x": signed(PLACE_BITS),
    "height": COORDINATE_BITS,
    "width": COORDINATE_BITS,
})


def step_layout(bounded: bool, stride_bits: int = STRIDE_BITS) -> data.StructLayout:
    """What a loop adds at each step, as the registers of the streams have it."""
    step = {"stride": signed(stride_bits)}
    if bounded:
        step |= {"dy": signed(COORDINATE_BITS), "dx": signed(COORDINATE_BITS)}
    return data.StructLayout(step)


def item_layout(loops: int, bits: int = ADDRESS_BITS) -> data.StructLayout:
    """One element of a stream; its address has `bits` bits.

    `last` bit i: every loop from the innermost to loop i is in its last round.
    """
    return data.StructLayout({"address": bits, "inside": 1, "last": loops})


def origin_layout(loops: int) -> data.StructLayout:
    """Where a round of the loops around a `Walk` begins; `last` as in `item_layout`."""
    return data.StructLayout({"address": ADDRESS_BITS, "row": PLACE_BITS, "column": PLACE_BITS,
                              "last": loops})


class Walker(wiring.Component):
    """Runs once through a nest of loops and gives an address for each innermost round.

    Parameters
    ----------
    loops : sequence of str
        Names of the loops, innermost first.
    bounded : bool
        Whether there are rows and columns, checked against a window.
    bits, stride_bits : int
        Width of addresses and of strides.
    origins : bool
        Items are `origin_layout`: rows and columns, if bounded, and not whether they are inside;
        addresses are those of the scratchpad.

    Members
    -------
    start : pulse; begins the nest anew. The inputs below hold from here to the last item.
    stop : while set there are no items, and what was left of the nest is forgotten.
    base, window, counts, steps
        As in the registers; a count of zero never ends by itself. `window` exists if bounded.
    items : stream of `item_layout` or `origin_layout`
        `address` wraps at `bits`; `inside` is always 1 if not bounded.

    Timing
    ------
    The first item is valid in the cycle after `start`, the following ones without a gap.

    Each loop keeps the place of its present round's beginning, so a step is one addition: the
    innermost loop that has rounds left moves on and all within it begin at the new place.
    """

    def __init__(self, *, loops, bounded: bool = False, origins: bool = False,
                 bits: int = ADDRESS_BITS, stride_bits: int = STRIDE_BITS):
        if not loops:
            raise ValueError("loops is empty: a walker needs at least one loop")
        self.loops = tuple(loops)
        self.bounded = bounded
        self.bits = bits
        self.origins = origins
        items = origin_layout(len(self.loops)) if origins else item_layout(len(self.loops), bits)
        super().__init__({
            "start": In(1),
            "stop": In(1),
            "base": In(bits),
            "counts": In(data.StructLayout(dict.fromkeys(self.loops, COUNT_BITS))),
            "steps": In(data.StructLayout(
                {loop: step_layout(bounded, stride_bits) for loop in self.loops})),
            "items": Out(stream.Signature(items)),
            **({"window": In(WINDOW_LAYOUT)} if bounded else {}),
        })

    def elaborate(self, platform):
        m = Module()
        active = Signal()
        rounds = [Signal(COUNT_BITS, init=1, name=f"round_{loop}") for loop in self.loops]
        ends = Signal(len(self.loops))
        last = Signal(len(self.loops))
        take = Signal()
        payload = self.items.payload

        for i, loop in enumerate(self.loops):
            m.d.comb += [
                ends[i].eq(rounds[i] == self.counts[loop]),
                last[i].eq(ends[:i + 1].all()),
            ]
        m.d.comb += [
            self.items.valid.eq(active & ~self.stop),
            take.eq(self.items.valid & self.items.ready),
            payload.last.eq(last),
            payload.address.eq(self._place(m, take, last, "stride", self.bits, self.base)),
        ]
        if self.bounded:
            row = self._place(m, take, last, "dy", PLACE_BITS, self.window.y)
            column = self._place(m, take, last, "dx", PLACE_BITS, self.window.x)
            if self.origins:
                m.d.comb += [payload.row.eq(row), payload.column.eq(column)]
            else:
                m.d.comb += payload.inside.eq((row < self.window.height)
                                              & (column < self.window.width))
        elif not self.origins:
            m.d.comb += payload.inside.eq(1)

        with m.If(take):
            m.d.sync += active.eq(~last[-1])
            for i, counter in enumerate(rounds):
                inner_last = last[i - 1] if i else Const(1, 1)
                with m.If(inner_last):
                    m.d.sync += counter.eq(Mux(ends[i], 1, counter + 1))
        with m.If(self.stop):
            m.d.sync += active.eq(0)
        with m.If(self.start):
            m.d.sync += [active.eq(1), *(counter.eq(1) for counter in rounds)]
        return m

    def _place(self, m, take, last, step, width, origin):
        """The unsigned image of a coordinate that each loop moves by its field `step`."""
        begins = [Signal(width, name=f"{step}_{loop}") for loop in self.loops]
        chosen_begin, chosen_step = Signal(width), Signal(width)
        moved = Signal(width)
        # the innermost loop that has rounds left; nothing moves after the last item
        for i in reversed(range(len(self.loops))):
            with m.If(~last[i]):
                m.d.comb += [chosen_begin.eq(begins[i]),
                             chosen_step.eq(self.steps[self.loops[i]][step])]
        m.d.comb += moved.eq(Mux(self.start, origin, chosen_begin + chosen_step))
        for i, begin in enumerate(begins):
            with m.If(self.start | (take & (last[i - 1] if i else Const(1, 1)))):
                m.d.sync += begin.eq(moved)
        return begins[0]
