"""The random bits of stochastic rounding: six rounds of a small block cipher on the index."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

HALF = 16
ROUNDS = 6
ROUNDS_A_STAGE = 3
KEY_STEP = 0x9E37  # makes the round keys differ


class RandomBits(wiring.Component):
    """16 random bits from a key and the number of an element (docs/architecture.md, Numbers).

    Members
    -------
    en : advances every register
    key, index : 32 bits each
    bits : 16 bits

    Latency
    -------
    2 cycles with `en`.
    """

    LATENCY = ROUNDS // ROUNDS_A_STAGE

    en: In(1)
    key: In(2 * HALF)
    index: In(2 * HALF)
    bits: Out(HALF)

    def elaborate(self, platform):
        m = Module()
        x, y, key = self.index[HALF:], self.index[:HALF], self.key
        for i in range(ROUNDS):
            half = key[HALF:] if i % 2 else key[:HALF]
            mixed = Signal(HALF, name=f"x{i}")
            turned = Signal(HALF, name=f"y{i}")
            m.d.comb += [
                mixed.eq((x.rotate_right(7) + y)[:HALF] ^ half ^ (KEY_STEP * (i + 1) & 0xFFFF)),
                turned.eq(y.rotate_left(2) ^ mixed),
            ]
            x, y = mixed, turned
            if (i + 1) % ROUNDS_A_STAGE == 0:
                stage = (i + 1) // ROUNDS_A_STAGE
                x, y, key = (self._register(m, f"s{stage}_{name}", value)
                             for name, value in (("x", x), ("y", y), ("key", key)))
        m.d.comb += self.bits.eq(x)
        return m

    def _register(self, m: Module, name: str, value):
        register = Signal(len(value), name=name, reset_less=True)
        with m.If(self.en):
            m.d.sync += register.eq(value)
        return register
