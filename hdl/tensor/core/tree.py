"""The exact tree: 8 products of FP8 numbers, added without rounding."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.tensor.core.decode import OperandDecoder
from hdl.tensor.core.planes import (
    add,
    full_add,
    lanes,
    multiply,
    register,
    spread,
    wire,
)
from isa.config import LANES, WORD_BITS, Config

PRODUCT_BITS = 8
FINE_BITS = 4  # of the shift; a product shifted by them has 8 + 15 bits
FINE_WIDTH = PRODUCT_BITS + (1 << FINE_BITS) - 1


@dataclass(frozen=True)
class Window:
    """Where the products of a mode lie.

    Attributes
    ----------
    columns : bits of the largest product, in units of 2^`Config.lowest_exponent`
    drop
        Columns below the lowest one: bit j of a product lies at exponent + exponent + j - drop.
    places : multiples of 16 that the shift has
    """

    columns: int
    drop: int
    places: int

    @property
    def sum_bits(self) -> int:
        """Signed bits that hold each of the two parts of the sum, whatever their values."""
        return self.columns + 5


WINDOWS = {
    "e4m3": Window(columns=36, drop=2, places=2),
    "mixed": Window(columns=50, drop=3, places=3),
    "e5m2": Window(columns=64, drop=4, places=4),
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
        product, shift, sign, poison = self._multiply(m, *operands, poison, stages >= 2)
        aligned = self._align(m, product, shift, sign)
        partial, carry = self._reduce(m, aligned, sign)
        ones = sign[LANES - 2:]
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
        """Planes of the products, inverted where negative, of their shifts and of their signs; and
        the poison of the tree."""
        sign = wire(m, "sign", s[0] ^ t[0])
        shift = add(m, "shift", s[1], t[1])
        product = multiply(m, "product", s[2], t[2])
        poison = wire(m, "any_poison", poison != 0)
        product = [p ^ sign for p in product]
        if registered:
            product, shift = (
                [register(m, f"{name}_{i}", plane) for i, plane in enumerate(planes)]
                for name, planes in (("multiplied_product", product), ("multiplied_shift", shift)))
            sign, poison = (register(m, f"multiplied_{name}", value) for name, value in
                            (("sign", sign), ("poison", poison)))
        return product, shift, sign, poison

    def _align(self, m: Module, product, shift, sign):
        """The products in place, sign extended, by lane."""
        fine, places = shift[:FINE_BITS], self._places(m, *shift[FINE_BITS:])
        products = lanes(m, "products", product)
        controls = lanes(m, "controls", [*fine, sign, *places])
        return [self._aligned(m, f"lane{i}", *pair)
                for i, pair in enumerate(zip(products, controls, strict=True))]

    def _places(self, m: Module, low: Value, high: Value) -> list[Value]:
        """A plane for each place that chooses it. Shifts beyond the last place do not occur."""
        return {
            2: lambda: [~low, low],
            3: lambda: [~(low | high), low, high],
            4: lambda: [~(low | high), low & ~high, high & ~low, low & high],
        }[self.window.places]()

    def _aligned(self, m: Module, name: str, product: Value, control: Value) -> Value:
        window = self.window
        sign, chosen = control[FINE_BITS], control[FINE_BITS + 1:]
        fill = wire(m, f"{name}_fill", spread(sign, window.sum_bits))

        # Fine steps first, on few bits: a shift left, written as a shift right of the product
        # between two runs of its sign.
        run = fill[:FINE_WIDTH - PRODUCT_BITS]
        fine = wire(m, f"{name}_fine",
                    (Cat(run, product, run) >> ~control[:FINE_BITS])[:FINE_WIDTH])

        # Then one of a few places. Most columns belong to one place only, and cost one multiplexer;
        # it is written with masks because those simulate fast.
        result = fill
        for k in range(window.places):
            low = (k << FINE_BITS) - window.drop
            columns = ((1 << FINE_WIDTH) - 1 << low + window.drop) >> window.drop
            columns &= (1 << window.columns) - 1
            moved = fine << low if low >= 0 else fine >> -low
            mask = wire(m, f"{name}_mask{k}", spread(chosen[k], window.sum_bits, columns))
            result = wire(m, f"{name}_place{k}",
                          ((moved & mask) | (result & ~mask))[:window.sum_bits])
        return result

    def _reduce(self, m: Module, aligned, signs: Value):
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
