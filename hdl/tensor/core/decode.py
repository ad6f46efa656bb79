"""The decoder of one operand of a tree: 8 FP8 codes to planes."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.tensor.core.planes import split, spread, transpose, wire
from isa.config import LANES, WORD_BITS
from isa.formats import E5M2

EXPONENT_BITS = E5M2.exponent_bits
SIGNIFICAND_BITS = 4


class OperandDecoder(wiring.Component):
    """8 FP8 codes of one format, unpacked. Combinational.

    A code's value is significand * 2^(exponent - 18) for E5M2 and significand * 2^(exponent - 10)
    for E4M3. Subnormal numbers have exponent 1 like the smallest normal ones.

    Parameters
    ----------
    wide : bool
        Both formats are there; else E4M3 only, and `format` and `lift` have no effect.

    Members
    -------
    codes : 8 codes, lane 0 in the low byte
    format : 0 is E4M3, 1 is E5M2
    lift
        Adds 8 to the exponent of E4M3 codes, so that it is that of E5M2.
    sign, exponent, significand
        Planes, lowest first: bit i of a plane belongs to lane i.
    nonzero, special : planes; special is NaN or infinity, whose value means nothing
    """

    def __init__(self, *, wide: bool):
        self.wide = wide
        super().__init__({
            "codes": In(WORD_BITS),
            "format": In(1),
            "lift": In(1),
            "sign": Out(LANES),
            "exponent": Out(LANES).array(EXPONENT_BITS),
            "significand": Out(LANES).array(SIGNIFICAND_BITS),
            "nonzero": Out(LANES),
            "special": Out(LANES),
        })

    def elaborate(self, platform):
        m = Module()
        c = split(transpose(m, "codes_turned", self.codes))
        if not self.wide:
            self._unpack(m, c, [c[3], c[4], c[5], c[6], 0], [c[0], c[1], c[2]],
                         c[3] | c[4] | c[5] | c[6], c[0] & c[1] & c[2])
            return m
        e5m2 = wire(m, "e5m2", spread(self.format, LANES))
        e4m3 = wire(m, "e4m3", ~e5m2)
        lift = wire(m, "lifted", spread(self.lift, LANES))
        top = wire(m, "top", e5m2 | lift)
        exponent = [Mux(self.format, c[2], c[3]), Mux(self.format, c[3], c[4]),
                    Mux(self.format, c[4], c[5]), Mux(self.format, c[5], c[6] ^ lift),
                    c[6] & top]
        fraction = [c[0] & e4m3, Mux(self.format, c[0], c[1]), Mux(self.format, c[1], c[2])]
        self._unpack(m, c, exponent, fraction, c[3] | c[4] | c[5] | c[6] | (c[2] & e5m2),
                     c[2] & (e5m2 | (c[0] & c[1])))
        return m

    def _unpack(self, m: Module, c, exponent, fraction, normal, ones):
        """`ones`: a code whose bits 3 to 6 are ones is special."""
        normal = wire(m, "normal", normal)
        m.d.comb += [
            self.sign.eq(c[7]),
            *(self.exponent[i].eq(plane) for i, plane in enumerate(exponent) if i),
            self.exponent[0].eq(exponent[0] | ~normal),
            *(self.significand[i].eq(plane) for i, plane in enumerate(fraction)),
            self.significand[3].eq(normal),
            self.nonzero.eq(normal | c[0] | c[1] | c[2]),
            self.special.eq(c[3] & c[4] & c[5] & c[6] & ones),
        ]
