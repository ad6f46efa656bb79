"""The tokens: counting semaphores that order the units."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from isa.instructions import TOKEN_MOST, TOKENS


class Tokens(wiring.Component):
    """Counts the tokens, gives them to those that wait, and takes them back.

    Parameters
    ----------
    clients : int
        Those who take and give tokens. A lower number goes first.

    Members
    -------
    clear : all tokens are zero
    hold : no token is taken in this cycle
    wants, want : arrays; client i needs one each of the tokens in want[i]
    grant : array; client i gets them at the end of this cycle, at most one client a cycle
    give : array; tokens that client i gives in this cycle, one each
    overflow : array; client i gave a token past its most. Its count is undefined from there on.

    Timing
    ------
    `grant` depends on `wants` of the same cycle; what is given can be taken in the next.
    """

    def __init__(self, *, clients: int):
        if clients < 1:
            raise ValueError(f"clients = {clients}: must be at least 1")
        self.clients = clients
        super().__init__({
            "clear": In(1),
            "hold": In(1),
            "wants": In(1).array(clients),
            "want": In(TOKENS).array(clients),
            "grant": Out(1).array(clients),
            "give": In(TOKENS).array(clients),
            "overflow": Out(1).array(clients),
        })

    def elaborate(self, platform):
        m = Module()
        counts = [Signal(TOKEN_MOST.bit_length(), name=f"count_{i}") for i in range(TOKENS)]
        there = Signal(TOKENS)
        taken = Signal(TOKENS)
        over = Signal(TOKENS)
        free = ~self.hold
        for i in range(self.clients):
            m.d.comb += self.grant[i].eq(free & self.wants[i] & ((self.want[i] & ~there) == 0))
            free &= ~self.grant[i]
            with m.If(self.grant[i]):
                m.d.comb += taken.eq(self.want[i])
            m.d.comb += self.overflow[i].eq((self.give[i] & over) != 0)
        for token, count in enumerate(counts):
            total = Signal(range(TOKEN_MOST + self.clients + 1), name=f"total_{token}")
            given = sum(self.give[i][token] for i in range(self.clients))
            m.d.comb += [
                there[token].eq(count != 0),
                total.eq(Mux(taken[token], count - 1, count) + given),
                over[token].eq(total > TOKEN_MOST),
            ]
            m.d.sync += count.eq(total)
        with m.If(self.clear):
            m.d.sync += [count.eq(0) for count in counts]
        return m
