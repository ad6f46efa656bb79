"""One lane of the vector unit: two chained multiply-adds, an activation, the largest."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.add import FloatAdd
from hdl.arith.multiply import FloatMultiply
from hdl.vector.delay import delayed
from hdl.vector.function import Function
from hdl.vector.largest import Largest
from hdl.vector.layouts import FLOAT_BITS, LANE_MODE, LEVEL_BITS, NUMBER_BITS
from isa.registers import Activation, Operand

_ONE = 0x3F800000  # 1.0 in binary32


class Lane(wiring.Component):
    """t = a * b + c, u = activation(d * e + f); or the largest of these.

    Members
    -------
    en : advances every register but the last
    mode : `LANE_MODE`, constant while anything is on the way
    x, y, z : an element of each input
    k0, k1, k2 : the coefficients for this element
    count, first, number, late_x
        t and u at the end are counted by `Largest`; which is their window's first, their number,
        their element of x
    take : the results change to those that have come to the end
    t, u, best_number
        The results; u after the activation. With `mode.largest` the largest, its x, its number.

    Latency
    -------
    `Lane.LATENCY` cycles with `en`, one to pick the operands and then the five units; and one with
    `take`. Operands and t wait beside the units until they are used.

    Numerics
    --------
    Each multiply and each add is IEEE binary32, rounded to nearest even. A negated operand has its
    sign bit inverted. ReLU: what has its sign bit set becomes +0 (a NaN of the add is positive).
    """

    LATENCY = 2 * (FloatMultiply.LATENCY + FloatAdd.LATENCY) + 1 + Function.LATENCY

    en: In(1)
    mode: In(LANE_MODE)
    x: In(FLOAT_BITS)
    y: In(FLOAT_BITS)
    z: In(FLOAT_BITS)
    k0: In(FLOAT_BITS)
    k1: In(FLOAT_BITS)
    k2: In(FLOAT_BITS)
    count: In(1)
    first: In(1)
    number: In(NUMBER_BITS)
    late_x: In(FLOAT_BITS)
    take: In(1)
    t: Out(FLOAT_BITS)
    u: Out(FLOAT_BITS)
    best_number: Out(NUMBER_BITS)

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiply_0 = multiply_0 = FloatMultiply()
        m.submodules.add_0 = add_0 = FloatAdd()
        m.submodules.multiply_1 = multiply_1 = FloatMultiply()
        m.submodules.add_1 = add_1 = FloatAdd()
        m.submodules.function = function = Function()
        mode, en = self.mode, self.en
        product, both = FloatMultiply.LATENCY, FloatMultiply.LATENCY + FloatAdd.LATENCY
        m.d.comb += [unit.en.eq(en) for unit in (multiply_0, add_0, multiply_1, add_1, function)]

        s0, s0_zero = self._picked(m)

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
        is_t = {name: Signal(name=f"{name}_is_t", reset_less=True) for name in "def"}
        with m.If(en):
            m.d.sync += [is_t[name].eq(mode[name] == Operand.T) for name in "def"]
        m.d.comb += [
            multiply_1.a.eq(Mux(is_t["d"], t, d)),
            multiply_1.b.eq(Mux(is_t["e"], t, e)),
        ]
        t_product = later("t", t, product)
        f_product = later("f_product", f, product)
        m.d.comb += [
            add_1.a.eq(multiply_1.out),
            add_1.b.eq(_negated(Mux(is_t["f"], t_product, f_product), mode.negate_f)),
            function.activation.eq(mode.activation),
            function.u.eq(add_1.out),
        ]
        t_end = later("t_end", t_product, FloatAdd.LATENCY + Function.LATENCY)
        zero = later("zero", s0_zero, 2 * both + Function.LATENCY)
        relu = (mode.activation == Activation.RELU) & function.out[-1]
        u_end = Signal(FLOAT_BITS)
        m.d.comb += u_end.eq(Mux(zero | relu, 0, function.out))
        self._results(m, t_end, u_end)
        return m

    def _picked(self, m):
        """The registers of the operands that are not t, by name, and whether the mask is zero."""
        mode = self.mode
        low = FLOAT_BITS - 1 - LEVEL_BITS
        whole, zero = Signal(), Signal()  # z has no bits below a level; it is zero
        gated_y = Signal(FLOAT_BITS)
        m.d.comb += [
            whole.eq(self.z[:low] == 0),
            zero.eq(whole & (self.z[low:-1] == 0)),
            gated_y.eq(Mux(
                mode.gate & ~(whole & (self.z[low:-1] == mode.level) & (~self.z[-1] | zero)),
                0, self.y)),
        ]
        s0_zero = Signal(reset_less=True)
        with m.If(self.en):
            m.d.sync += s0_zero.eq((mode.activation == Activation.MASK) & zero)
        # by code, ZERO to K2
        operands = [Const(0, FLOAT_BITS), Const(_ONE, FLOAT_BITS), self.x, gated_y, self.z,
                    self.k0, self.k1, self.k2]
        s0 = {}
        for name in "abcdef":
            s0[name] = Signal(FLOAT_BITS, name=f"s0_{name}", reset_less=True)
            with m.If(self.en):
                m.d.sync += s0[name].eq(_chosen(operands, mode[name]))
        return s0, s0_zero

    def _results(self, m, t_end, u_end):
        mode = self.mode
        m.submodules.largest = largest = Largest()
        m.d.comb += [
            largest.en.eq(self.count),
            largest.first.eq(self.first),
            largest.value.eq(Mux(mode.source, u_end, t_end)),
            largest.x.eq(self.late_x),
            largest.number.eq(self.number),
        ]
        with m.If(self.take):
            m.d.sync += [
                self.t.eq(Mux(mode.largest, largest.best_value, t_end)),
                self.u.eq(Mux(mode.largest, largest.best_x, u_end)),
                self.best_number.eq(largest.best_number),
            ]


def _chosen(operands, code):
    """operands[code], as a tree of multiplexers; for T the first one, of no matter what."""
    if len(operands) == 1:
        return operands[0]
    pairs = zip(operands[::2], operands[1::2], strict=True)
    return _chosen([Mux(code[0], odd, even) for even, odd in pairs], code[1:])


def _negated(value, negate):
    return value ^ Cat(Const(0, FLOAT_BITS - 1), negate)
