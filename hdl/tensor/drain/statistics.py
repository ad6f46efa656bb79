"""Running sums over the outputs of a core: of o, and of o * o or o * norm."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.regfile import RegisterFile
from hdl.tensor.core.planes import add, lanes, multiply, register
from hdl.tensor.drain.element import (
    LIFTED,
    element_shift,
    fixed,
    in_accumulator,
    lifted_decoder,
    of_lane,
)
from hdl.tensor.groups import core_bits
from isa.config import TREES, WORD_BITS, Config

MOMENTS = 2  # sums of o, sums of products
# By mode: the least sum of the lifted exponents of two factors, and the bits of a product.
LEAST = {"e4m3": 18, "mixed": 10, "e5m2": 2}
PRODUCT_BITS = {"e4m3": 36, "mixed": 50, "e5m2": 64}


class Statistics(wiring.Component):
    """Adds up 8 elements and 8 products a cycle for one core, exactly.

    Parameters
    ----------
    config : Config

    Members
    -------
    valid, word : a word is written
    norm, by_norm : the other factor, E4M3; without `by_norm` it is the element itself
    format : of `word`, 0 is E4M3, 1 is E5M2
    core : whose sums
    restart : the sums of `core` are zero from the next cycle on
    busy : a word is on its way into the sums
    moment, tree : choose a sum of `core`
    sum, poison : it, while not `busy`

    Timing
    ------
    A word a cycle, of any core; `busy` for one cycle after it.

    Numerics
    --------
    Modulo 2^accumulator_bits. NaN and infinity poison unless the other factor is zero.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "valid": In(1),
            "word": In(WORD_BITS),
            "norm": In(WORD_BITS),
            "by_norm": In(1),
            "format": In(1),
            "core": In(core_bits(config)),
            "restart": In(1),
            "busy": Out(1),
            "moment": In(1),
            "tree": In(range(TREES)),
            "sum": Out(signed(config.accumulator_bits)),
            "poison": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        core, empty = Signal.like(self.core), Signal(config.cores)
        place = Signal.like(core)  # whose sums are read
        fresh = Signal()
        m.d.sync += [self.busy.eq(self.valid), core.eq(self.core)]
        m.d.comb += [place.eq(Mux(self.busy, core, self.core)), fresh.eq((empty >> place)[0])]
        with m.If(self.busy):
            m.d.sync += empty.bit_select(core, 1).eq(0)
        with m.If(self.restart):
            m.d.sync += empty.bit_select(self.core, 1).eq(1)

        sums = [[], []]
        widths = (config.accumulator_bits - element_shift(config), config.accumulator_bits)
        for tree, terms in enumerate(self._terms(m)):
            for moment, (value, special) in enumerate(terms):
                width = widths[moment]
                name = f"sums_{moment}_{tree}"
                memory = RegisterFile(width=width + 1, depth=config.cores)
                m.submodules[name] = memory
                before = Signal(width + 1, name=f"{name}_before")
                after = Signal(width, name=f"{name}_after")
                m.d.comb += [
                    memory.read_address[0].eq(place),
                    before.eq(Mux(fresh, 0, memory.read_data[0])),
                    after.eq(before[:-1].as_signed() + value),
                    memory.write_enable.eq(self.busy),
                    memory.write_address.eq(core),
                    memory.write_data.eq(Cat(after, before[-1] | special)),
                ]
                number = before[:-1].as_signed()
                sums[moment].append(Cat(in_accumulator(config, number) if moment == 0 else number,
                                        before[-1]))
        m.d.comb += Cat(self.sum, self.poison).eq(
            Mux(self.moment, Array(sums[1])[self.tree], Array(sums[0])[self.tree]))
        return m

    def _terms(self, m: Module):
        """By tree, what the two sums take in the cycle of `busy`: value and poison."""
        mode = self.config.mode
        o = lifted_decoder(m, "decoder", self.word, self.format)
        n = lifted_decoder(m, "norm_decoder", self.norm, 0)

        def factor(norm, element):
            return Mux(self.by_norm, norm, element)

        significand = [factor(a, b) for a, b in zip(n.significand, o.significand, strict=True)]
        exponent = [factor(a, b) for a, b in zip(n.exponent, o.exponent, strict=True)]
        product = multiply(m, "product", [*o.significand], significand)
        shift = add(m, "shift", [*o.exponent], exponent)
        special = ((o.special | factor(n.special, o.special))
                   & o.nonzero & factor(n.nonzero, o.nonzero))
        planes = {"sign": [o.sign], "exponent": [*o.exponent], "significand": [*o.significand],
                  "special": [o.special], "product": product, "shift": shift,
                  "negative": [o.sign ^ factor(n.sign, o.sign)], "poison": [special]}
        kept = {name: [register(m, f"s1_{name}_{i}", plane) for i, plane in enumerate(group)]
                for name, group in planes.items()}
        products, shifts = (lanes(m, f"s1_{name}s", kept[name]) for name in ("product", "shift"))

        # Zeros below the least product: significands of E5M2, the format with the least, end in 0.
        cut = 2 * LIFTED + self.config.lowest_exponent - LEAST[mode]
        for tree in range(TREES):
            element = fixed(m, f"element_{tree}", kept["sign"][0][tree],
                            of_lane(kept["exponent"], tree), of_lane(kept["significand"], tree))
            by = Signal(len(shifts[tree]), name=f"by_{tree}")
            placed = Signal(PRODUCT_BITS[mode] + cut, name=f"placed_{tree}")
            product_ = Signal(signed(PRODUCT_BITS[mode] + 1), name=f"product_{tree}")
            m.d.comb += [
                by.eq(shifts[tree] - LEAST[mode]),
                placed.eq(products[tree] << by[:6]),
                product_.eq(Mux(kept["negative"][0][tree], -placed[cut:], placed[cut:])),
            ]
            yield ((element, kept["special"][0][tree]),
                   (product_, kept["poison"][0][tree]))
