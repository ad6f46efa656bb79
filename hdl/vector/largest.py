"""The largest of a lane's numbers."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.vector.layouts import FLOAT_BITS, NUMBER_BITS


class Largest(wiring.Component):
    """Keeps the largest number so far, what came with it, and its own number.

    Members
    -------
    en : takes a number
    first : it begins anew
    value, x, number : binary32 bits; a NaN of `value` is 0x7FC00000, `number` has no sign
    best_value, best_x, best_number
        The largest up to and with this number, in the same cycle. A later one replaces an earlier
        one where it is greater, or NaN and the earlier one is not.
    """

    en: In(1)
    first: In(1)
    value: In(FLOAT_BITS)
    x: In(FLOAT_BITS)
    number: In(NUMBER_BITS)
    best_value: Out(FLOAT_BITS)
    best_x: Out(FLOAT_BITS)
    best_number: Out(NUMBER_BITS)

    def elaborate(self, platform):
        m = Module()
        replaces = Signal()
        kept_value = Signal(FLOAT_BITS, reset_less=True)
        m.d.comb += replaces.eq(self.first | _greater(self.value, kept_value))
        for name in ("value", "x", "number"):
            given, best = getattr(self, name), getattr(self, f"best_{name}")
            kept = kept_value if name == "value" else Signal.like(
                given, name=f"kept_{name}", reset_less=True)
            m.d.comb += best.eq(Mux(replaces, given, kept))
            with m.If(self.en):
                m.d.sync += kept.eq(best)
        return m


def _greater(a, b):
    """a > b; zeros are equal, NaN (positive) is above all. Magnitudes are compared both ways at
    once, and signs choose."""
    (a_sign, a_size), (b_sign, b_size) = ((value[-1], value[:-1]) for value in (a, b))
    return Mux(a_sign, b_sign & (a_size < b_size),
               Mux(b_sign, (a_size | b_size) != 0, a_size > b_size))
