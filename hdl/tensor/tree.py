"""The exact tree: 8 products of FP8 numbers, added without rounding."""

from dataclasses import dataclass
from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.tensor.decode import OperandDecoder
from hdl.tensor.planes import (
    add,
    full_add,
    multiply,
    register,
    split,
    transpose,
    wire,
)
from isa.config import LANES, WORD_BITS, Config

PRODUCT_BITS = 8
FINE_BITS = 4  # of the shift; a product shifted by them has 8 + 15 bits
FINE_WIDTH = PRODUCT_BITS + (1 << FINE_BITS) - 1
SHIFT_BITS = 6


@dataclass(frozen=True)
class Window:
    """Where the products of a mode lie.

    Attributes
    ----------
    columns : bits of the largest product, in units of 2^`Config.lowest_exponent`
    drop
        Columns below the lowest one: bit j of a product lies at exponent + exponent + j - drop.
    positions : multiples of 16 that the shift has
    """

    columns: int
    drop: int
    positions: int

    @property
    def sum_bits(self) -> int:
        """Signed bits that hold each of the two parts of the sum, whatever their values."""
        return self.columns + 5


WINDOWS = {
    "e4m3": Window(columns=36, drop=2, positions=2),
    "mixed": Window(columns=50, drop=3, positions=3),
    "e5m2": Window(columns=64, drop=4, positions=4),
}


class Tree(wiring.Component):
    """The sum of 8 products, as two numbers and two ones that are still to be added.

    Negative products are inverted, not negated: the ones that they lack are counted by the carry
    inputs of the adders, six here and two in whoever adds the parts.

    Parameters
    ----------
    config : Config
        `mode` and `tree_stages` matter.

    Members
    -------
    s_codes, m_codes : 8 stationary and 8 stream codes, lane 0 in the low byte
    s_format, m_format : 0 is E4M3, 1 is E5M2; a pair that the mode has not is undefined
    partial, carry, ones
        The sum is partial + carry + ones[0] + ones[1], in units of 2^`Config.lowest_exponent`.
    poison : a product of two numbers other than zero has a NaN or an infinity; the sum is undefined

    Latency
    -------
    `tree_stages` cycles; registers always advance. With one stage it follows the adders, with two
    there is another after the multipliers, with three another after the decoders.
    """

    def __init__(self, *, config: Config):
        self.config = config
        self.window = WINDOWS[config.mode]
        super().__init__({
            "s_codes": In(WORD_BITS),
            "m_codes": In(WORD_BITS),
            "s_format": In(1),
            "m_format": In(1),
            "partial": Out(self.window.sum_bits),
            "carry": Out(self.window.sum_bits),
            "ones": Out(2),
            "poison": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        stages = self.config.tree_stages
        operands, poison = self._decode(m, stages >= 3)
        products, shifts, poison = self._multiply(m, *operands, poison, stages >= 2)
        aligned, signs = self._align(m, products, shifts)
        partial, carry = self._reduce(m, aligned, signs)
        ones = Cat(signs[-2:])
        if stages >= 1:
            partial, carry, ones, poison = (
                register(m, f"reduced_{name}", value) for name, value in
                (("partial", partial), ("carry", carry), ("ones", ones), ("poison", poison)))
        m.d.comb += [self.partial.eq(partial), self.carry.eq(carry), self.ones.eq(ones),
                     self.poison.eq(poison)]
        return m

    def _decode(self, m: Module, registered: bool):
        """(sign, exponents, significands) of both operands, and the poison of each lane."""
        wide = self.config.mode != "e4m3"
        m.submodules.s_decoder = s = OperandDecoder(wide=wide)
        m.submodules.m_decoder = t = OperandDecoder(wide=wide)
        # The exponents of both operands add up to one scale for all pairs of formats of the mode.
        both_e4m3 = ~(self.s_format | self.m_format)
        m.d.comb += [
            s.codes.eq(self.s_codes), s.format.eq(self.s_format),
            t.codes.eq(self.m_codes), t.format.eq(self.m_format),
            s.lift.eq(1 if self.config.mode == "e5m2" else both_e4m3),
            t.lift.eq(self.config.mode == "e5m2"),
        ]
        poison = wire(m, "lane_poison", (s.special | t.special) & s.nonzero & t.nonzero)
        if not registered:
            return [(d.sign, [*d.exponent], [*d.significand]) for d in (s, t)], poison
        operands = [(
            register(m, f"{name}_sign", d.sign),
            [register(m, f"{name}_exponent_{i}", p) for i, p in enumerate(d.exponent)],
            [register(m, f"{name}_significand_{i}", p) for i, p in enumerate(d.significand)],
        ) for name, d in (("s", s), ("m", t))]
        return operands, register(m, "decoded_poison", poison)

    def _multiply(self, m: Module, s, t, poison, registered: bool):
        """Products with their signs applied by inversion, and shifts with the sign above them:
        bytes by lane; and the poison of the tree."""
        sign = wire(m, "sign", s[0] ^ t[0])
        shift = add(m, "shift", s[1], t[1])
        product = multiply(m, "product", s[2], t[2])
        products = wire(m, "products", Cat(p ^ sign for p in product))
        shifts = wire(m, "shifts", Cat(*shift, sign, Const(0, LANES)))
        poison = wire(m, "any_poison", poison != 0)
        if registered:
            products, shifts, poison = (
                register(m, f"multiplied_{name}", value) for name, value in
                (("products", products), ("shifts", shifts), ("poison", poison)))
        return (split(transpose(m, "products_turned", products)),
                split(transpose(m, "shifts_turned", shifts)), poison)

    def _align(self, m: Module, products, shifts):
        """The products in place, sign extended, and their signs."""
        signs = [shift[SHIFT_BITS] for shift in shifts]
        return [self._aligned(m, f"lane{i}", product, shift[:SHIFT_BITS], sign)
                for i, (product, shift, sign) in enumerate(zip(products, shifts, signs,
                                                               strict=True))], signs

    def _aligned(self, m: Module, name: str, product: Value, shift: Value, sign: Value) -> Value:
        # Fine steps first, on few bits: a shift left, written as a shift right of the product
        # between two runs of its sign.
        run = sign.replicate(FINE_WIDTH - PRODUCT_BITS)
        fine = wire(m, f"{name}_fine", (Cat(run, product, run) >> ~shift[:FINE_BITS])[:FINE_WIDTH])

        # Then one of a few places, column by column: most columns belong to one place only.
        window = self.window
        chosen = self._places(m, name, shift[FINE_BITS:])
        starts = [(k << FINE_BITS) - window.drop for k in range(window.positions)]
        edges = sorted({min(max(edge, 0), window.columns) for start in starts
                        for edge in (start, start + FINE_WIDTH)} | {0, window.columns})
        parts = []
        for low, high in pairwise(edges):
            part = sign.replicate(high - low)
            places = [k for k, start in enumerate(starts) if start <= low < start + FINE_WIDTH]
            for k in places:
                value = fine[low - starts[k]:high - starts[k]]
                only = len(places) == window.positions and k == places[0]
                part = value if only else Mux(chosen[k], value, part)
            parts.append(part)
        extension = sign.replicate(window.sum_bits - window.columns)
        return wire(m, f"{name}_aligned", Cat(*parts, extension))

    def _places(self, m: Module, name: str, coarse: Value) -> list[Value]:
        """For each place one bit that chooses it. Shifts beyond the last place do not occur."""
        low, high = coarse
        chosen = {
            2: lambda: [~low, low],
            3: lambda: [~(low | high), low, high],
            4: lambda: [~(low | high), low & ~high, high & ~low, low & high],
        }[self.window.positions]()
        return [wire(m, f"{name}_place{k}", bit) for k, bit in enumerate(chosen)]

    def _reduce(self, m: Module, aligned, signs):
        """Carry-save adders until two numbers are left; each takes a sign where its carry has no
        bit."""
        numbers, signs, level = aligned, list(signs), 0
        while len(numbers) > 2:
            following, count = [], len(numbers) // 3 * 3
            for i in range(0, count, 3):
                total, carry = full_add(m, f"level{level}_{i // 3}", *numbers[i:i + 3])
                shifted = Cat(signs.pop(0), carry[:-1])
                following += [total, wire(m, f"level{level}_{i // 3}_shifted", shifted)]
            numbers, level = following + numbers[count:], level + 1
        return numbers
