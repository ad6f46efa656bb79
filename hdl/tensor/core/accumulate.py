"""A tree and the adder of its accumulator; the accumulators themselves are outside."""

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.tensor.core.planes import full_add, spread, wire
from hdl.tensor.core.tree import Tree
from isa.config import WORD_BITS, Config

PART_BITS = 62  # most bits of a part of an accumulator: with two carries it fits a 64-bit word


def part_widths(bits: int) -> list[int]:
    """`bits` in equal parts of at most `PART_BITS`, the lowest first.

    Adders work part by part because numbers of more than 64 bits simulate slowly.
    """
    count = -(-bits // PART_BITS)
    return [bits * (i + 1) // count - bits * i // count for i in range(count)]


def accumulator_layout(config: Config) -> data.StructLayout:
    """An accumulator: parts of the sum, lowest first, and its poison."""
    return data.StructLayout({
        **{f"part{i}": width for i, width in enumerate(part_widths(config.accumulator_bits))},
        "poison": 1,
    })


class AccumulatingTree(wiring.Component):
    """Adds 8 products to an accumulator, exactly.

    Parameters
    ----------
    config : Config
        `mode`, `tree_stages` and `accumulator_bits` matter.

    Members
    -------
    s_codes, m_codes, s_format, m_format : the operands, see `Tree`
    accumulator
        The accumulator (`accumulator_layout`), `tree_stages` cycles after the operands.
    result : in the same cycle, with the products added; poison stays

    Latency
    -------
    `tree_stages` cycles from the operands, none from `accumulator`.
    """

    def __init__(self, *, config: Config):
        self.config = config
        super().__init__({
            "s_codes": In(WORD_BITS),
            "m_codes": In(WORD_BITS),
            "s_format": In(1),
            "m_format": In(1),
            "accumulator": In(accumulator_layout(config)),
            "result": Out(accumulator_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.tree = tree = Tree(config=self.config)
        m.d.comb += [
            tree.s_codes.eq(self.s_codes),
            tree.m_codes.eq(self.m_codes),
            tree.s_format.eq(self.s_format),
            tree.m_format.eq(self.m_format),
            self.result.poison.eq(self.accumulator.poison | tree.poison),
        ]
        # The carry into a part: the top carry of the 3:2 adder below, and that of the adder.
        shifted, carried = tree.ones[0], tree.ones[1]
        low = 0
        for i, width in enumerate(part_widths(self.config.accumulator_bits)):
            total, carry = full_add(m, f"part{i}",
                                    wire(m, f"part{i}_partial", _slice(tree.partial, low, width)),
                                    wire(m, f"part{i}_carry_in", _slice(tree.carry, low, width)),
                                    self.accumulator[f"part{i}"])
            # A one below both numbers is where the carry enters, so there is one adder.
            added = wire(m, f"part{i}_added",
                         Cat(Const(1, 1), total) + Cat(carried, shifted, carry[:-1]))
            m.d.comb += self.result[f"part{i}"].eq(added[1:])
            shifted, carried, low = carry[-1], added[width + 1], low + width
        return m


def _slice(value: Value, low: int, width: int) -> Value:
    """Bits low .. low + width - 1 of `value`, sign extended."""
    known = value[low:low + width]
    missing = width - len(known)
    return Cat(known, spread(value[-1], missing)) if missing else known
