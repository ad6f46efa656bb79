"""From serial bytes to the chip's control port and the memory."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.axi import LITE_ADDRESS_BITS, LITE_DATA_BITS, AxiLite
from hdl.board.memory import HostPort
from isa.config import WORD_BITS, WORD_BYTES
from isa.serial import DONE, REQUEST_BYTES, Op

_LITE_BYTES = LITE_DATA_BITS // 8


class State(enum.Enum):
    REQUEST = 0  # its bytes come
    TAKE = 1  # the bytes of a unit come
    ACCESS = 2  # asked for, not done
    LOAD = 3  # what was read stands at the port
    GIVE = 4  # the bytes of a unit, or of an acknowledgement, go


class Bridge(wiring.Component):
    """Does the requests of isa/serial.py.

    Parameters
    ----------
    address_bits : int
        Of the memory's words.

    Members
    -------
    received, sent : streams of bytes
    control : AxiLite manager; error responses are not told
    memory : HostPort
    interrupt : of the chip

    Timing
    ------
    A unit takes two cycles, an access, and a byte a cycle. A request is taken when the one before
    it is answered.
    """

    def __init__(self, *, address_bits: int):
        self.address_bits = address_bits
        super().__init__({
            "received": In(stream.Signature(8)),
            "sent": Out(stream.Signature(8)),
            "control": Out(AxiLite()),
            "memory": Out(HostPort(address_bits=address_bits)),
            "interrupt": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        state = Signal(State)
        request = Signal(8 * REQUEST_BYTES)
        op, left, address = request[:8], request[8:16], request[16:48]
        data = Signal(WORD_BITS)
        count = Signal(range(WORD_BYTES + 1))  # bytes that are still to come or go
        of_memory, writes, last = Signal(), Signal(), Signal()
        done = Signal()
        m.d.comb += [
            of_memory.eq((op == Op.READ_MEMORY) | (op == Op.WRITE_MEMORY)),
            writes.eq((op == Op.WRITE_MEMORY) | (op == Op.WRITE_CONTROL)),
            last.eq(left == 0),
            done.eq(self._access(m, state == State.ACCESS, op, of_memory, writes, address, data)),
        ]
        unit_bytes = Signal.like(count)
        m.d.comb += unit_bytes.eq(_LITE_BYTES)
        with m.If(of_memory):
            m.d.comb += unit_bytes.eq(WORD_BYTES)

        begun = Signal(range(REQUEST_BYTES))
        m.d.comb += self.sent.payload.eq(data[:8])
        with m.Switch(state):
            with m.Case(State.REQUEST):
                m.d.comb += self.received.ready.eq(1)
                with m.If(self.received.valid):
                    m.d.sync += [request.eq(Cat(request[8:], self.received.payload)),
                                 begun.eq(begun + 1)]
                    with m.If(begun == REQUEST_BYTES - 1):
                        m.d.sync += begun.eq(0)
                        # the op came first, and stands one byte above its place
                        coming = request[8:16]
                        with m.If((coming == Op.WRITE_MEMORY) | (coming == Op.WRITE_CONTROL)):
                            m.d.sync += [state.eq(State.TAKE), count.eq(0)]
                        with m.Else():
                            m.d.sync += state.eq(State.ACCESS)
            with m.Case(State.TAKE):
                m.d.comb += self.received.ready.eq(1)
                with m.If(self.received.valid):
                    m.d.sync += [data.eq(Cat(data[8:], self.received.payload)),
                                 count.eq(count + 1)]
                    with m.If(count == unit_bytes - 1):
                        m.d.sync += [state.eq(State.ACCESS), count.eq(0)]
            with m.Case(State.ACCESS), m.If(done):
                m.d.sync += [address.eq(address + unit_bytes), left.eq(left - 1)]
                with m.If(~writes):
                    m.d.sync += state.eq(State.LOAD)
                with m.Elif(last):
                    m.d.sync += [state.eq(State.GIVE), data.eq(DONE), count.eq(1),
                                 left.eq(0)]
                with m.Else():
                    m.d.sync += state.eq(State.TAKE)
            with m.Case(State.LOAD):
                m.d.sync += [state.eq(State.GIVE), count.eq(unit_bytes)]
                with m.Switch(op):
                    with m.Case(Op.READ_MEMORY):
                        m.d.sync += data.eq(self.memory.read_data)
                    with m.Case(Op.INTERRUPT):
                        m.d.sync += [data.eq(self.interrupt), count.eq(1)]
                    with m.Default():
                        m.d.sync += data.eq(self._read)
            with m.Case(State.GIVE):
                m.d.comb += self.sent.valid.eq(1)
                with m.If(self.sent.ready):
                    m.d.sync += [data.eq(data >> 8), count.eq(count - 1)]
                    with m.If(count == 1):
                        m.d.sync += state.eq(State.REQUEST)
                        # what was the last unit has counted below zero
                        with m.If(~writes & ~left.all()):
                            m.d.sync += state.eq(State.ACCESS)
        return m

    def _access(self, m, active, op, of_memory, writes, address, data):
        """Drives both ports in the state of an access; whether it is done in this cycle."""
        control, memory = self.control, self.memory
        addressed, written, asked = Signal(), Signal(), Signal()
        self._read = Signal(LITE_DATA_BITS)
        lite = active & ~of_memory & (op != Op.INTERRUPT)
        done = Signal(name="access_done")
        m.d.comb += [
            memory.valid.eq(active & of_memory),
            memory.write.eq(writes),
            memory.address.eq(address[(WORD_BYTES - 1).bit_length():]),
            memory.write_data.eq(data),
            control.awaddr.eq(address[:LITE_ADDRESS_BITS]),
            control.awvalid.eq(lite & writes & ~addressed),
            # four bytes came in at the top
            control.wdata.eq(data[WORD_BITS - LITE_DATA_BITS:]),
            control.wstrb.eq((1 << _LITE_BYTES) - 1),
            control.wvalid.eq(lite & writes & ~written),
            control.bready.eq(1),
            control.araddr.eq(address[:LITE_ADDRESS_BITS]),
            control.arvalid.eq(lite & ~writes & ~asked),
            control.rready.eq(1),
            done.eq(active & ((op == Op.INTERRUPT) | (of_memory & memory.ready)
                              | (lite & (control.bvalid | control.rvalid)))),
        ]
        for kept, valid, ready in ((addressed, control.awvalid, control.awready),
                                   (written, control.wvalid, control.wready),
                                   (asked, control.arvalid, control.arready)):
            with m.If(valid & ready):
                m.d.sync += kept.eq(1)
            with m.If(done):
                m.d.sync += kept.eq(0)
        with m.If(control.rvalid):
            m.d.sync += self._read.eq(control.rdata)
        return done
