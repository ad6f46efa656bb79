"""The beginning and the end of vector operations."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import CAUSE_BITS
from isa.memmap import Trap


class VectorControl(wiring.Component):
    """Checks an operation, starts the datapaths, and tells when all are done.

    Members
    -------
    start, stop, done, trap, cause : as in `hdl.interfaces.Operation`
    legal : the checks of the operation; looked at in the cycle after `start`
    begin : pulse, the datapaths start
    working : a datapath holds something that is not written
    address_trap : a datapath came to a word that is not in the scratchpad
    clear : the datapaths forget everything
    busy : from `start` to `done`, both included

    Timing
    ------
    An operation begins one cycle after `start`. One that traps or is stopped is cleared away in
    one cycle: nothing of it is on the way after that.
    """

    def __init__(self):
        super().__init__({
            "start": In(1),
            "stop": In(1),
            "done": Out(1),
            "trap": Out(1),
            "cause": Out(CAUSE_BITS),
            "legal": In(1),
            "begin": Out(1),
            "working": In(1),
            "address_trap": In(1),
            "clear": Out(1),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        with m.FSM(name="state") as state:
            with m.State("idle"), m.If(self.start):
                m.next = "check"
            with m.State("check"):
                m.next = "end"
                with m.If(~self.stop & ~self.legal):
                    m.d.comb += [self.trap.eq(1), self.cause.eq(Trap.SHAPE)]
                with m.Elif(~self.stop):
                    m.d.comb += self.begin.eq(1)
                    m.next = "work"
            with m.State("work"):
                with m.If(self.stop):
                    m.next = "end"
                with m.Elif(self.address_trap):
                    m.d.comb += [self.trap.eq(1), self.cause.eq(Trap.ADDRESS)]
                    m.next = "end"
                with m.Elif(~self.working):
                    m.d.comb += self.done.eq(1)
                    m.next = "idle"
            with m.State("end"):
                m.d.comb += [self.clear.eq(1), self.done.eq(1)]
                m.next = "idle"
        m.d.comb += self.busy.eq(self.start | ~state.ongoing("idle"))
        return m
