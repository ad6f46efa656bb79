"""AXI4 and AXI4-Lite signatures, and the simple channels that the units inside speak.

A beat is 1, 2 or 4 words of 64 bits; word 0 is the one at the lowest address.

`Axi4` and `AxiLite` have one flat member for each signal, with the standard names. Amaranth joins
the names of a top port with two underscores: a member `axi` of the top becomes `axi__araddr` and
so on. cocotbext-axi joins its prefix with one underscore, so ``AxiBus.from_prefix(dut, "axi_")``
and ``AxiLiteBus.from_prefix(dut, "control_")`` find them as they are.
"""

from enum import IntEnum

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from isa.config import WORD_BITS, WORD_BYTES

ADDRESS_BITS = 32
LENGTH_BITS = 8
LITE_ADDRESS_BITS = 12
LITE_DATA_BITS = 32
BURST_INCR = 1
ERROR_BIT = 1  # of a response: SLVERR and DECERR have it, OKAY and EXOKAY have not


class Resp(IntEnum):
    """Response codes."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


class Axi4(wiring.Signature):
    """AXI4 with INCR bursts of full beats, as the manager sees it.

    Parameters
    ----------
    id_bits : int
        Width of the transaction ids.
    words : int
        Words of a beat.
    """

    def __init__(self, *, id_bits: int, words: int):
        self.id_bits = id_bits
        self.words = words
        self.size = (words * WORD_BYTES).bit_length() - 1  # of ARSIZE and AWSIZE
        address = {"id": id_bits, "addr": ADDRESS_BITS, "len": LENGTH_BITS, "size": 3, "burst": 2}
        members = {}
        for channel in ("aw", "ar"):
            members |= {channel + name: Out(width) for name, width in address.items()}
        members |= {"wdata": Out(words * WORD_BITS), "wstrb": Out(words * WORD_BYTES),
                    "wlast": Out(1),
                    "bid": In(id_bits), "bresp": In(2),
                    "rid": In(id_bits), "rdata": In(words * WORD_BITS), "rresp": In(2),
                    "rlast": In(1)}
        super().__init__(members | _handshakes())


class AxiLite(wiring.Signature):
    """AXI4-Lite with 32 bits of data and 12 of address, as the manager sees it."""

    def __init__(self):
        super().__init__({
            "awaddr": Out(LITE_ADDRESS_BITS), "wdata": Out(LITE_DATA_BITS),
            "wstrb": Out(LITE_DATA_BITS // 8), "bresp": In(2),
            "araddr": Out(LITE_ADDRESS_BITS), "rdata": In(LITE_DATA_BITS), "rresp": In(2),
        } | _handshakes())


def _handshakes():
    members = {}
    for channel in ("aw", "w", "ar"):
        members |= {channel + "valid": Out(1), channel + "ready": In(1)}
    for channel in ("b", "r"):
        members |= {channel + "valid": In(1), channel + "ready": Out(1)}
    return members


BURST_LAYOUT = data.StructLayout({
    "address": ADDRESS_BITS,  # any byte of the first beat; no burst may cross a 4 KiB boundary
    "length": LENGTH_BITS,  # beats - 1
})


class ReadChannel(wiring.Signature):
    """Read bursts, as the reader sees them.

    Parameters
    ----------
    words : int
        Words of a beat.

    Members
    -------
    request : stream of bursts
    valid, ready, data, error, last
        The beats, in the order of the requests; `data` is an array of `words`, `error` marks an
        error response. They are no stream payload because signals over 64 bits are slow in
        simulation.
    """

    def __init__(self, *, words: int):
        self.words = words
        super().__init__({
            "request": Out(stream.Signature(BURST_LAYOUT)),
            "valid": In(1), "ready": Out(1), "data": In(WORD_BITS).array(words), "error": In(1),
            "last": In(1),
        })


class WriteChannel(wiring.Signature):
    """Write bursts, as the writer sees them.

    Parameters
    ----------
    words : int
        Words of a beat.

    Members
    -------
    request : stream of bursts
    valid, ready, data, lanes, last
        The beats, in the order of the requests; they may come before their request. `data` is an
        array of `words`; bit i of `lanes` says that word i is written.
    response, error
        A pulse for each burst that is done, and whether it failed; it cannot be refused.
    """

    def __init__(self, *, words: int):
        self.words = words
        super().__init__({
            "request": Out(stream.Signature(BURST_LAYOUT)),
            "valid": Out(1), "ready": In(1), "data": Out(WORD_BITS).array(words),
            "lanes": Out(words), "last": Out(1), "response": In(1), "error": In(1),
        })
