"""What host and board say to each other over a serial line.

A request is 6 bytes: an `Op`, the number of units less one, and 4 bytes of address, low byte first;
a write is followed by its units. The answer of a read is its units, that of a write one byte,
`DONE`. Requests are done one after the other.
"""

from enum import IntEnum

REQUEST_BYTES = 6
MOST_UNITS = 256
DONE = 0xA5


class Op(IntEnum):
    """Requests. Units of the control port are 4 bytes, at an offset in bytes; those of memory 8, at
    an address in bytes, both aligned. A write of the control port is of one unit."""

    READ_CONTROL = 0
    WRITE_CONTROL = 1
    READ_MEMORY = 2
    WRITE_MEMORY = 3
    INTERRUPT = 4  # the answer is a byte: 1 while the interrupt is up


def request(op: Op, address: int = 0, units: int = 1) -> bytes:
    """The bytes of a request, without what is written."""
    if not 1 <= units <= MOST_UNITS:
        raise ValueError(f"units = {units}: must be 1 to {MOST_UNITS}")
    return bytes([op, units - 1]) + address.to_bytes(4, "little")
