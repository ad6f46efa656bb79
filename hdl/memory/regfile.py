"""Small memories that are read in the cycle of the address, such as accumulators."""

from amaranth.hdl import ClockSignal, Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.sram import address_width, require_positive

_BODY_READS = 2
_BODY_BITS = 64


class RegisterFile(wiring.Component):
    """`depth` rows of `width` bits with `reads` asynchronous read ports and one write port.

    Members
    -------
    read_address, read_data : arrays of `reads`
        `read_data[i]` is the row at `read_address[i]`, in the same cycle.
    write_enable, write_address, write_data
        The row changes at the end of the cycle; reads show it from the next cycle on.

    Nothing is reset: a row is undefined before its first write. Addresses of `depth` and above are
    undefined. A body has two read ports; more reads take copies of it. Rows of more than 64 bits
    are cut into equal parts, since they simulate slowly.
    """

    def __init__(self, *, width: int, depth: int, reads: int = 1):
        require_positive(width=width, depth=depth, reads=reads)
        self.width = width
        self.depth = depth
        self.reads = reads
        self.address_bits = address_width(depth)
        super().__init__({
            "read_address": In(self.address_bits).array(reads),
            "read_data": Out(width).array(reads),
            "write_enable": In(1),
            "write_address": In(self.address_bits),
            "write_data": In(width),
        })

    def elaborate(self, platform):
        m = Module()
        for first in range(0, self.reads, _BODY_READS):
            for part, (low, high) in enumerate(self._parts()):
                self._body(m, f"body_{first // _BODY_READS}_{part}", first, low, high)
        return m

    def _parts(self):
        """Bits (low, high) of the memories that a row is cut into."""
        count = -(-self.width // _BODY_BITS)
        return [(self.width * i // count, self.width * (i + 1) // count) for i in range(count)]

    def _body(self, m, name, first, low, high):
        ports = {}
        for i in range(_BODY_READS):
            port = first + i
            used = port < self.reads
            ports[f"i_read_address_{i}"] = (self.read_address[port] if used
                                            else Const(0, self.address_bits))
            ports[f"o_read_data_{i}"] = (self.read_data[port][low:high] if used
                                         else Signal(high - low, name="unused"))
        m.submodules[name] = Instance(
            "winnow_regfile",
            p_WIDTH=high - low,
            p_DEPTH=self.depth,
            p_ADDRESS_BITS=self.address_bits,
            i_clk=ClockSignal(),
            i_write_enable=self.write_enable,
            i_write_address=self.write_address,
            i_write_data=self.write_data[low:high],
            **ports,
        )
