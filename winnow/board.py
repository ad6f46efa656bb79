"""A board behind the interface of a device (winnow/host.py): chip, memory and a serial line."""

from typing import Protocol

import numpy as np

from isa.config import WORD_BYTES
from isa.memmap import Control
from isa.serial import DONE, MOST_UNITS, Op, request
from winnow.errors import UserError
from winnow.host import DeviceError

_CONTROL_BYTES = 4
RATE = 1_000_000  # bits a second


class Link(Protocol):
    """Bytes to a board and back; `read` waits for all of them, or gives fewer after a time-out."""

    def write(self, data: bytes) -> object: ...

    def read(self, size: int) -> bytes: ...


def serial_port(path: str, rate: int = RATE, timeout: float = 2.0) -> Link:
    """The serial port at `path`, by the Python package pyserial."""
    try:
        import serial
    except ImportError:
        raise UserError("pyserial is missing: pip install 'winnow-hdl[fpga]'") from None
    try:
        return serial.Serial(path, rate, timeout=timeout)
    except serial.SerialException as error:
        raise UserError(f"{path}: {error}") from None


class BoardDevice:
    """A board as a device; its unit of time is a look at the interrupt.

    `memory` is a copy. What changed in it goes to the board when a program is started; the whole
    memory comes back when it is done.

    Parameters
    ----------
    link : Link
    memory_bytes : int
        Of the board's memory.
    """

    def __init__(self, link: Link, memory_bytes: int):
        if memory_bytes % WORD_BYTES:
            raise ValueError(f"memory_bytes = {memory_bytes}: must be a multiple of {WORD_BYTES}")
        self.link = link
        self.memory = np.zeros(memory_bytes, np.uint8)
        self._held: np.ndarray | None = None  # what the board has, if it is known

    def read32(self, offset: int) -> int:
        self.link.write(request(Op.READ_CONTROL, offset))
        return int.from_bytes(self._read(_CONTROL_BYTES), "little")

    def write32(self, offset: int, value: int) -> None:
        if offset == Control.COMMAND:
            self._upload()
        self.link.write(request(Op.WRITE_CONTROL, offset)
                        + (value % (1 << 32)).to_bytes(_CONTROL_BYTES, "little"))
        self._acknowledged()

    def run(self, units: int) -> bool:
        for _ in range(units):
            self.link.write(request(Op.INTERRUPT))
            if self._read(1)[0]:
                self._download()
                return True
        return False

    def _upload(self) -> None:
        words = self.memory.view(np.uint64)
        changed = (np.ones(words.size, bool) if self._held is None
                   else words != self._held.view(np.uint64))
        places = np.flatnonzero(changed)
        for run in np.split(places, np.flatnonzero(np.diff(places) != 1) + 1):
            for first in range(0, run.size, MOST_UNITS):
                part = run[first:first + MOST_UNITS]
                self.link.write(request(Op.WRITE_MEMORY, int(part[0]) * WORD_BYTES, part.size)
                                + words[part].tobytes())
                self._acknowledged()
        self._held = self.memory.copy()

    def _download(self) -> None:
        most = MOST_UNITS * WORD_BYTES
        for first in range(0, self.memory.size, most):
            count = min(most, self.memory.size - first)
            self.link.write(request(Op.READ_MEMORY, first, count // WORD_BYTES))
            self.memory[first:first + count] = np.frombuffer(self._read(count), np.uint8)
        self._held = self.memory.copy()

    def _read(self, count: int) -> bytes:
        got = bytes(self.link.read(count))
        if len(got) != count:
            raise DeviceError(f"the board gave {len(got)} bytes of {count}: is it there, and does "
                              "it run at the link's rate?")
        return got

    def _acknowledged(self) -> None:
        got = self._read(1)[0]
        if got != DONE:
            raise DeviceError(f"the board answered {got:#04x} to a write, not {DONE:#04x}")
