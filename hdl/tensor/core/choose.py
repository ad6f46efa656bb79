"""The operand multiplexers: to each lane its element of a slot."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.tensor.core.planes import register, wire
from hdl.tensor.elements.pick import offset_bits, word_bits
from isa.config import LANES, WORD_BITS, Config

FRONT = 8  # words that are chosen from before the registers


def spread_lanes(m: Module, name: str, planes) -> list[Signal]:
    """For each plane of a bit a lane a word whose bytes are that bit."""
    return [wire(m, f"{name}_mask_{i}", Cat(bit.replicate(8) for bit in plane))
            for i, plane in enumerate(planes)]


class Choose(wiring.Component):
    """Byte m of a row is byte m - offset, modulo 8, of one of the row's words.

    Parameters
    ----------
    config : Config
        `slot` and `reach` matter.
    rows : int
        Rows that choose alike.

    Members
    -------
    words : [word][row]
    word, offset : by lane the number of the word, and the offset: bit planes, see `Pick`
    chosen : by row

    Latency
    -------
    One cycle. The registers lie between the first multiplexers, of `FRONT` words each, and the
    last; deeper ones take more gates.
    """

    def __init__(self, *, config: Config, rows: int):
        self.config = config
        self.rows = rows
        super().__init__({
            "words": In(WORD_BITS).array(config.slot, rows),
            "word": In(LANES).array(word_bits(config)),
            "offset": In(LANES).array(offset_bits(config)),
            "chosen": Out(WORD_BITS).array(rows),
        })

    def elaborate(self, platform):
        m = Module()
        ages = FRONT // self.config.slot  # that one register chooses from
        low = (ages - 1).bit_length()
        number = spread_lanes(m, "word", self.word)
        front = spread_lanes(m, "front", self.offset[:low])
        back = spread_lanes(m, "back", [register(m, f"offset_{i}", plane)
                                        for i, plane in enumerate(self.offset[low:])])
        for row in range(self.rows):
            words = [words[row] for words in self.words]
            moved = [self._one(m, f"row_{row}_age_{age}",
                               [word.rotate_left(8 * age) for word in words], number)
                     for age in range(self.config.reach + 1)]
            kept = [register(m, f"row_{row}_kept_{first}",
                             self._one(m, f"row_{row}_from_{first}", moved[first:first + ages],
                                       front))
                    for first in range(0, len(moved), ages)]
            m.d.comb += self.chosen[row].eq(self._one(m, f"row_{row}", kept, back))
        return m

    def _one(self, m: Module, name: str, words: list[Value], masks) -> Value:
        """Of `words` the one whose number the masks give, by halves."""
        if len(words) == 1:
            return words[0]
        half = 1 << (len(words) - 1).bit_length() - 1
        mask = masks[half.bit_length() - 1]
        low = self._one(m, f"{name}_low", words[:half], masks)
        high = self._one(m, f"{name}_high", words[half:], masks)
        # with masks of whole words because they simulate fast
        return wire(m, name, (high & mask) | (low & ~mask))
