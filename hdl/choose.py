"""Multiplexers."""

from amaranth.hdl import Mux


def choose(values, index):
    """The value with the number `index`, of a power of two of them, by multiplexers of two: an
    `Array` or a `Switch` becomes several times as many gates."""
    for bit in index:
        values = [Mux(bit, odd, even)
                  for even, odd in zip(values[::2], values[1::2], strict=True)]
    value, = values
    return value
