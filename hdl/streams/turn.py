"""The corner turn: 8 words of 8 elements become their transpose."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from isa.config import LANES

SIZE = LANES


def turn_layout(element_bits: int, last_bits: int) -> data.StructLayout:
    """A word of elements, and flags about its place in the stream."""
    return data.StructLayout({
        "elements": data.ArrayLayout(element_bits, SIZE),
        "last": last_bits,
    })


class Turn(wiring.Component):
    """Replaces each 8 consecutive words w by t, element i of t[j] = element j of w[i].

    One array of 8x8 elements does it at a word a cycle: a group is shifted in along rows while the
    one before it leaves, the next along columns, by turns.

    Parameters
    ----------
    element_bits : int
    last_bits : int
        Flags that go with a word. With `enable` only those of a group's last word count, and they
        leave with its last word.

    Members
    -------
    enable : 0 passes words on as they are; constant in an operation
    end : no word comes any more: what is here leaves alone, as behind a highest `last` flag
    clear : forgets everything
    words, turned : streams of `turn_layout`

    Timing
    ------
    A group leaves while the next one enters, from the cycle after its last word. Where no word of
    a next group is there, a group whose highest `last` flag is set leaves alone, in 8 cycles in
    which nothing enters.
    """

    def __init__(self, *, element_bits: int, last_bits: int):
        if element_bits < 1 or last_bits < 1:
            raise ValueError(f"element_bits = {element_bits}, last_bits = {last_bits}: "
                             f"must be at least 1")
        self.element_bits = element_bits
        self.last_bits = last_bits
        layout = turn_layout(element_bits, last_bits)
        super().__init__({
            "enable": In(1),
            "end": In(1),
            "clear": In(1),
            "words": In(stream.Signature(layout)),
            "turned": Out(stream.Signature(layout)),
        })

    def elaborate(self, platform):
        m = Module()
        cells = [[Signal(self.element_bits, name=f"cell_{i}_{j}", reset_less=True)
                  for j in range(SIZE)] for i in range(SIZE)]
        by_columns = Signal()  # how the present group enters, and the one before leaves
        full = Signal()  # a group is leaving, or waits to
        last = Signal(self.last_bits)  # of the group that leaves
        entering_now, entering = Signal(), Signal()
        moving = Signal()  # there is what this phase of 8 shifts is to move
        shift = Signal()
        count = Signal(range(SIZE))
        words, turned = self.words, self.turned

        with m.If(count == 0):
            m.d.comb += [entering_now.eq(words.valid),
                         moving.eq(words.valid | (full & (last[-1] | self.end)))]
        with m.Else():
            m.d.comb += [entering_now.eq(entering), moving.eq(1)]
        m.d.comb += shift.eq(moving & (words.valid | ~entering_now) & (turned.ready | ~full))

        with m.If(self.enable):
            m.d.comb += [
                turned.valid.eq(full & moving & (words.valid | ~entering_now)),
                words.ready.eq(entering_now & (turned.ready | ~full)),
                turned.payload.last.eq(Mux(count == SIZE - 1, last, 0)),
                *(turned.payload.elements[k].eq(Mux(by_columns, cells[k][0], cells[0][k]))
                  for k in range(SIZE)),
            ]
        with m.Else():
            m.d.comb += [
                turned.valid.eq(words.valid),
                words.ready.eq(turned.ready),
                turned.payload.eq(words.payload),
            ]

        with m.If(shift & self.enable):
            m.d.sync += [count.eq(count + 1), entering.eq(entering_now)]
            self._shift(m, cells, by_columns)
            with m.If(count == SIZE - 1):
                m.d.sync += [full.eq(entering_now), by_columns.eq(~by_columns),
                             last.eq(words.payload.last)]
        with m.If(self.clear):
            m.d.sync += [count.eq(0), full.eq(0)]
        return m

    def _shift(self, m, cells, by_columns):
        """Everything moves towards row 0 or column 0, and the word enters at the other end."""
        word = self.words.payload.elements
        for i in range(SIZE):
            for j in range(SIZE):
                up = cells[i + 1][j] if i + 1 < SIZE else word[j]
                left = cells[i][j + 1] if j + 1 < SIZE else word[i]
                m.d.sync += cells[i][j].eq(Mux(by_columns, left, up))
