"""One lane of the vector unit: two chained multiply-adds and an activation."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.add import FloatAdd
from hdl.arith.multiply import FloatMultiply
from hdl.vector.delay import delayed
from hdl.vector.layouts import FLOAT_BITS, LANE_MODE


class Lane(wiring.Component):
    """t = a * b + c, u = activation(d * e + f).

    Members
    -------
    en : advances every register but the results
    mode : `LANE_MODE`, constant while anything is on the way
    x, y, z : an element of each input
    take : the results change to those that have come to the end
    t, u : the results; u after the activation

    Latency
    -------
    `Lane.LATENCY` cycles with `en`, one to pick the operands and then the four units; and one with
    `take`. Operands and t wait beside the units until they are used.

    Numerics
    --------
    Each multiply and each add is IEEE binary32, rounded to nearest even. A negated operand has its
    sign bit inverted. ReLU: what has its sign bit set becomes +0 (a NaN of the add is positive).
    """

    LATENCY = 2 * (FloatMultiply.LATENCY + FloatAdd.LATENCY) + 1

    en: In(1)
    mode: In(LANE_MODE)
    x: In(FLOAT_BITS)
    y: In(FLOAT_BITS)
    z: In(FLOAT_BITS)
    take: In(1)
    t: Out(FLOAT_BITS)
    u: Out(FLOAT_BITS)

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiply_0 = multiply_0 = FloatMultiply()
        m.submodules.add_0 = add_0 = FloatAdd()
        m.submodules.multiply_1 = multiply_1 = FloatMultiply()
        m.submodules.add_1 = add_1 = FloatAdd()
        mode, en = self.mode, self.en
        product, both = FloatMultiply.LATENCY, FloatMultiply.LATENCY + FloatAdd.LATENCY
        m.d.comb += [unit.en.eq(en) for unit in (multiply_0, add_0, multiply_1, add_1)]

        s0 = {name: self._picked(m, name) for name in "abcdef"}
        s0_zero = Signal(reset_less=True)
        with m.If(en):
            m.d.sync += s0_zero.eq(mode.mask & (self.z[:-1] == 0))

        def later(name, value, cycles):
            return delayed(m, name, value, cycles, en)

        m.d.comb += [
            multiply_0.a.eq(s0["a"]),
            multiply_0.b.eq(s0["b"]),
            add_0.a.eq(multiply_0.out),
            add_0.b.eq(_negated(later("c", s0["c"], product), mode.negate_c)),
        ]
        t = add_0.out
        d, e, f = (later(name, s0[name], both) for name in "def")
        m.d.comb += [
            multiply_1.a.eq(Mux(mode.d.t, t, d)),
            multiply_1.b.eq(Mux(mode.e.t, t, e)),
        ]
        t_product = later("t", t, product)
        f_product = later("f_product", f, product)
        m.d.comb += [
            add_1.a.eq(multiply_1.out),
            add_1.b.eq(_negated(Mux(mode.f.t, t_product, f_product), mode.negate_f)),
        ]
        t_sum = later("t_sum", t_product, FloatAdd.LATENCY)
        zero = later("zero", s0_zero, 2 * both)
        with m.If(self.take):
            m.d.sync += [
                self.t.eq(t_sum),
                self.u.eq(Mux(zero | mode.relu & add_1.out[-1], 0, add_1.out)),
            ]
        return m

    def _picked(self, m, name):
        """The register of an operand that is not t."""
        pick = self.mode[name]
        operand = Signal(FLOAT_BITS, name=f"s0_{name}", reset_less=True)
        with m.If(self.en):
            m.d.sync += operand.eq(
                pick.constant
                | self.x & pick.x.replicate(FLOAT_BITS)
                | self.y & pick.y.replicate(FLOAT_BITS)
                | self.z & pick.z.replicate(FLOAT_BITS))
        return operand


def _negated(value, negate):
    return value ^ Cat(Const(0, FLOAT_BITS - 1), negate)
