"""Values that wait for others in a pipeline."""

from amaranth.hdl import Signal


def delayed(m, name: str, value, cycles: int, en):
    """`value` as it was `cycles` cycles with `en` ago. Not reset."""
    for cycle in range(1, cycles + 1):
        following = Signal.like(value, name=f"{name}_{cycle}", reset_less=True)
        with m.If(en):
            m.d.sync += following.eq(value)
        value = following
    return value
