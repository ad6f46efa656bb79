"""Something with the ports of the chip that is simple enough to test the harness with."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.axi import BURST_INCR, Axi4, AxiLite

SOURCE, TARGET, GO, ERRORS, BAD = 0, 4, 8, 12, 16
BEATS = 16


class Copier(wiring.Component):
    """Copies `GO` bursts of 16 beats from `SOURCE` to `TARGET`, then raises the interrupt.

    `strobe` are the byte enables of every beat that is written.
    Reading `ERRORS` gives the count of error responses and clears the interrupt; `BAD` answers
    with an error. `unaligned` breaks the rules of the bus on purpose.
    """

    def __init__(self, *, words: int = 1, strobe: int = -1, unaligned: bool = False):
        self.words = words
        self.strobe = strobe
        self.unaligned = unaligned
        super().__init__({"axi": Out(Axi4(id_bits=1, words=words)), "control": In(AxiLite()),
                          "interrupt": Out(1)})

    def elaborate(self, platform):
        m = Module()
        axi, size = self.axi, self.signature.members["axi"].signature.size
        source, target, left, errors = Signal(32), Signal(32), Signal(32), Signal(32)
        beat = Signal(range(BEATS))
        m.submodules.words = words = Memory(shape=64 * self.words, depth=BEATS, init=[])
        write, read = words.write_port(), words.read_port(domain="comb")
        m.d.comb += [
            axi.araddr.eq(source + self.unaligned), axi.arlen.eq(BEATS - 1), axi.arsize.eq(size),
            axi.arburst.eq(BURST_INCR), axi.arid.eq(1),
            axi.awaddr.eq(target), axi.awlen.eq(BEATS - 1), axi.awsize.eq(size),
            axi.awburst.eq(BURST_INCR),
            write.addr.eq(beat), write.data.eq(axi.rdata), read.addr.eq(beat),
            axi.wdata.eq(read.data), axi.wstrb.eq(self.strobe),
            axi.wlast.eq(beat == BEATS - 1),
        ]
        with m.FSM():
            with m.State("idle"), m.If(left != 0):
                m.next = "ask"
            with m.State("ask"):
                m.d.comb += axi.arvalid.eq(1)
                with m.If(axi.arready):
                    m.next = "read"
            with m.State("read"):
                m.d.comb += [axi.rready.eq(1), write.en.eq(axi.rvalid)]
                with m.If(axi.rvalid):
                    m.d.sync += [beat.eq(beat + 1), errors.eq(errors + axi.rresp[1])]
                    with m.If(axi.rlast):
                        m.next = "announce"
            with m.State("announce"):
                m.d.comb += axi.awvalid.eq(1)
                with m.If(axi.awready):
                    m.next = "write"
            with m.State("write"):
                m.d.comb += axi.wvalid.eq(1)
                with m.If(axi.wready):
                    m.d.sync += beat.eq(beat + 1)
                    with m.If(axi.wlast):
                        m.next = "wait"
            with m.State("wait"):
                m.d.comb += axi.bready.eq(1)
                with m.If(axi.bvalid):
                    m.d.sync += [errors.eq(errors + axi.bresp[1]), left.eq(left - 1),
                                 source.eq(source + (BEATS << size)),
                                 target.eq(target + (BEATS << size)),
                                 self.interrupt.eq(left == 1)]
                    m.next = "idle"
        self._control(m, {SOURCE: source, TARGET: target, GO: left}, errors)
        return m

    def _control(self, m, registers, errors):
        control = self.control
        taken = Signal()
        m.d.comb += [taken.eq(control.awvalid & control.wvalid & ~control.bvalid),
                     control.awready.eq(taken), control.wready.eq(taken)]
        with m.If(taken):
            m.d.sync += [control.bvalid.eq(1), control.bresp.eq(Mux(control.awaddr == BAD, 2, 0))]
            for offset, register in registers.items():
                with m.If(control.awaddr == offset):
                    m.d.sync += register.eq(control.wdata)
        with m.Elif(control.bready):
            m.d.sync += control.bvalid.eq(0)
        m.d.comb += control.arready.eq(~control.rvalid)
        with m.If(control.arvalid & control.arready):
            m.d.sync += [control.rvalid.eq(1), control.rdata.eq(errors),
                         control.rresp.eq(Mux(control.araddr == BAD, 2, 0))]
            with m.If(control.araddr == ERRORS):
                m.d.sync += self.interrupt.eq(0)
        with m.Elif(control.rready):
            m.d.sync += control.rvalid.eq(0)
