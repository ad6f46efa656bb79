"""The one synchronous memory of the chip, a Verilog body so that flows can put a macro there."""

from amaranth.hdl import ClockSignal, Instance, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


def require_positive(**values) -> None:
    """`ValueError` naming the first value that is not a positive integer."""
    for name, value in values.items():
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} = {value!r}: must be a positive integer")


def address_width(depth: int) -> int:
    """Bits of an address into `depth` rows; at least 1, since Verilog has no narrower port."""
    return max(1, (depth - 1).bit_length())


class Sram(wiring.Component):
    """`depth` rows of `width` bits with one read and one write port.

    Members
    -------
    read_enable, read_address, read_data
        `read_data` holds the row one cycle after `read_enable`, until the next `read_enable`.
    write_enable, write_address, write_data
        The row changes at the end of the cycle; a read in the same cycle gives the old row.

    Nothing is reset: a row is undefined before its first write. Addresses of `depth` and above are
    undefined. Keep `width` at 64 or less where simulation speed matters.
    """

    LATENCY = 1

    def __init__(self, *, width: int, depth: int):
        require_positive(width=width, depth=depth)
        self.width = width
        self.depth = depth
        self.address_bits = address_width(depth)
        super().__init__({
            "read_enable": In(1),
            "read_address": In(self.address_bits),
            "read_data": Out(width),
            "write_enable": In(1),
            "write_address": In(self.address_bits),
            "write_data": In(width),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.body = Instance(
            "winnow_sram",
            p_WIDTH=self.width,
            p_DEPTH=self.depth,
            p_ADDRESS_BITS=self.address_bits,
            i_clk=ClockSignal(),
            i_read_enable=self.read_enable,
            i_read_address=self.read_address,
            o_read_data=self.read_data,
            i_write_enable=self.write_enable,
            i_write_address=self.write_address,
            i_write_data=self.write_data,
        )
        return m
