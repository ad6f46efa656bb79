"""The activations of the vector unit that are functions."""

from fractions import Fraction
from math import isqrt

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.binary32 import (
    BIAS,
    EXPONENT_BITS,
    EXPONENT_TOP,
    FRACTION_BITS,
    LAYOUT,
    NAN,
    SIGNIFICAND_BITS,
    normalise,
    shift_right_sticky,
)
from hdl.vector.layouts import FLOAT_BITS, OP
from isa.registers import Activation

SEED_BITS = 8  # of the fraction of a reciprocal or a root
SEED_INDEX_BITS = 7
POWER_BITS = 12  # of the fraction of a power of two
STEP_BITS = 6  # FLOOR and EXP2 see multiples of 2^-STEP_BITS
LIMIT_BITS = 7  # they are limited to magnitudes of 2^LIMIT_BITS
WHOLE_BITS = STEP_BITS + LIMIT_BITS + 1  # of a magnitude in steps
_TOP_EXPONENT = BIAS + LIMIT_BITS - 1  # of a number that is not limited
_BELOW_BITS = SIGNIFICAND_BITS - (WHOLE_BITS - 1)  # below a step at that exponent
_SHIFT_BITS = (WHOLE_BITS - 1).bit_length()


def reciprocal_table() -> list[int]:
    """The fraction of a reciprocal by the top 7 bits of the argument's."""
    return [round(256 * (Fraction(512, 257 + 2 * i) - 1)) for i in range(128)]


def root_table() -> list[int]:
    """The fraction of a reciprocal root by the top 6 bits of the argument's, then those for an odd
    exponent: 512 / sqrt(square) - 256, rounded."""
    squares = [(1 + j) * Fraction(129 + 2 * i, 128) for j in range(2) for i in range(64)]
    return [(isqrt(int(1024 ** 2 / square)) + 1) // 2 - 256 for square in squares]


def power_table() -> list[int]:
    """The fraction of a power of two by the 6 bits of the exponent's: a 64th root, rounded."""
    table = []
    for i in range(64):
        twice = 2 ** (64 * (POWER_BITS + 1) + i)
        for _ in range(6):  # floors of roots of floors are exact
            twice = isqrt(twice)
        table.append((twice + 1) // 2 - 2 ** POWER_BITS)
    return table


class Function(wiring.Component):
    """RECIPROCAL, RSQRT, EXP2 and FLOOR of docs/architecture.md; any other activation passes u.

    Members
    -------
    en : advances the register
    activation : Activation; constant while anything is on the way
    u : binary32 bits; a NaN is 0x7FC00000
    out : binary32 bits

    Latency
    -------
    1 cycle with `en`: first the multiple of 1/64 that EXP2 and FLOOR see, then the tables.
    """

    LATENCY = 1

    en: In(1)
    activation: In(OP["activation"].shape)
    u: In(FLOAT_BITS)
    out: Out(FLOAT_BITS)

    def elaborate(self, platform):
        m = Module()
        power = self.activation == Activation.EXP2
        floor = self.activation == Activation.FLOOR
        steps = self._steps(m, power)
        s1_u = Signal(FLOAT_BITS, reset_less=True)
        # The number of steps takes the place of low bits that are not looked at any more.
        with m.If(self.en):
            m.d.sync += s1_u.eq(Cat(Mux(power | floor, steps, self.u[:WHOLE_BITS]),
                                    self.u[WHOLE_BITS:]))

        parts = data.View(LAYOUT, s1_u)
        zero, infinite, nan, sign = Signal(), Signal(), Signal(), Signal()
        exponent = Signal(EXPONENT_BITS)
        fraction = Signal(FRACTION_BITS)
        m.d.comb += [
            nan.eq((parts.exponent == EXPONENT_TOP) & parts.fraction[-1]),
            sign.eq(parts.sign),
            exponent.eq(parts.exponent),
            fraction.eq(parts.fraction),
        ]
        out = {"zero": zero, "infinite": infinite, "nan": nan, "sign": sign,
               "exponent": exponent, "fraction": fraction}
        functions = {
            (Activation.RECIPROCAL, Activation.RSQRT): self._seed(m, parts),
            (Activation.EXP2,): self._power(m, parts),
            (Activation.FLOOR,): self._floor(m, parts),
        }
        with m.Switch(self.activation):
            for activations, values in functions.items():
                with m.Case(*activations):
                    m.d.comb += [out[name].eq(value) for name, value in values.items()]
        normal = Signal()
        m.d.comb += [
            normal.eq(~zero & ~infinite),
            self.out.eq(Mux(nan, NAN, Cat(
                fraction & normal.replicate(FRACTION_BITS),
                Mux(infinite, EXPONENT_TOP, exponent & (~zero).replicate(EXPONENT_BITS)),
                sign))),
        ]
        return m

    def _steps(self, m, power):
        """floor(64 * u), limited: in two's complement where `power`, else its magnitude."""
        parts = data.View(LAYOUT, self.u)
        significand = Cat(parts.fraction, parts.exponent != 0)
        distance = Signal(EXPONENT_BITS)
        over = Signal()
        amount = Signal(_SHIFT_BITS)
        inverted = Signal()
        up = Signal()
        steps = Signal(WHOLE_BITS)
        m.d.comb += [
            distance.eq(_TOP_EXPONENT - parts.exponent),
            over.eq(parts.exponent > _TOP_EXPONENT),
            amount.eq(distance[:_SHIFT_BITS]
                      | (distance[_SHIFT_BITS:] != 0).replicate(_SHIFT_BITS)),
            inverted.eq(parts.sign & power),
        ]
        shifted = shift_right_sticky(
            m, "s0", Cat(significand[:_BELOW_BITS].any(), significand[_BELOW_BITS:]), amount)
        # The magnitude of a negative number goes up where something was cut off, and
        # -(whole + 1) is ~whole. The lowest number and its magnitude are the same bits.
        most = 1 << (WHOLE_BITS - 1)
        m.d.comb += [
            up.eq(parts.sign & (shifted[0] ^ power)),
            steps.eq(Mux(over, Mux(parts.sign, most, most - 1),
                         (Cat(shifted[1:], 0) ^ inverted.replicate(WHOLE_BITS)) + up)),
        ]
        return steps

    def _seed(self, m, parts):
        root = self.activation == Activation.RSQRT
        odd = ~parts.exponent[0]
        some = parts.exponent != 0
        top = parts.exponent == EXPONENT_TOP
        reciprocal_fraction = _looked_up(
            m, "reciprocal", parts.fraction[-SEED_INDEX_BITS:], reciprocal_table(), SEED_BITS)
        root_fraction = _looked_up(
            m, "root", Cat(parts.fraction[1 - SEED_INDEX_BITS:], odd), root_table(), SEED_BITS)
        # -1 - e of the reciprocal, of the root -1 - floor(e / 2), both biased; ~e is -1 - e
        exponent = (Mux(root, 3 * BIAS // 2, 2 * BIAS - 1)
                    + ~Mux(root, parts.exponent[1:], parts.exponent) + (~root | odd))
        return {
            "zero": Mux(root, top, parts.exponent >= 2 * BIAS - 1),
            "infinite": ~some,
            "nan": top & parts.fraction[-1] | root & some & parts.sign,
            "sign": parts.sign & ~root,
            "exponent": exponent,
            "fraction": Mux(root, root_fraction, reciprocal_fraction)
                        << FRACTION_BITS - SEED_BITS,
        }

    def _power(self, m, parts):
        steps = parts.fraction[:WHOLE_BITS]
        fraction = _looked_up(m, "power", steps[:STEP_BITS], power_table(), POWER_BITS)
        return {
            # -128 and -127 have no normal power
            "zero": Cat(steps[STEP_BITS + 1:-1], ~steps[-1]) == 0,
            "sign": 0,
            "exponent": Cat(steps[STEP_BITS:-1], ~steps[-1]) - 1,
            "fraction": fraction << FRACTION_BITS - POWER_BITS,
        }

    def _floor(self, m, parts):
        whole = parts.fraction[:WHOLE_BITS]
        normalised, zeros = normalise(m, "s1", whole, whole)
        return {
            "zero": whole == 0,
            "sign": parts.sign & (whole != 0),
            "exponent": BIAS + LIMIT_BITS - zeros,
            "fraction": normalised[:-1] << FRACTION_BITS - (WHOLE_BITS - 1),
        }


def _looked_up(m, name, index, table, width):
    value = Signal(width, name=name)
    with m.Switch(index):
        for i, entry in enumerate(table):
            with m.Case(i):
                m.d.comb += value.eq(Const(entry, width))
    return value
