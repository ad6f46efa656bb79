"""The host driver: starts programs on a device, and turns its traps and flags into exceptions.

A device is a chip as the host sees it: external memory, the control port, and time.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from isa.config import Config
from isa.instructions import INSTRUCTION_BYTES
from isa.memmap import (
    COUNTERS,
    ID_VALUE,
    TAG_COUNTERS,
    Control,
    Flag,
    Status,
    Trap,
    counter_offset,
    tag_offset,
)
from isa.registers import TAGS
from sim.machine import Machine

WORD32 = 1 << 32


class Device(Protocol):
    """What the driver needs of a chip; the model and the simulation provide it.

    Members
    -------
    memory : uint8 array, external memory, shared with the chip
    read32, write32 : the control port, by byte offset
    run : lets a number of the device's time units pass; True once the interrupt is up
    """

    memory: np.ndarray

    def read32(self, offset: int) -> int: ...

    def write32(self, offset: int, value: int) -> None: ...

    def run(self, units: int) -> bool: ...


class DeviceError(Exception):
    """The device is not what the driver expects."""


class TrapRaised(Exception):
    """The program trapped; `cause` and `pc` say why and where."""

    def __init__(self, cause: Trap, pc: int):
        super().__init__(f"trap {cause.name} at instruction {pc}")
        self.cause, self.pc = cause, pc


class NanInSum(Exception):
    """A live output of a tensor operation was NaN; `pc` is the first such operation."""

    def __init__(self, pc: int):
        super().__init__(f"NaN in a sum of the operation at instruction {pc}")
        self.pc = pc


class Driver:
    """Runs programs on a device."""

    def __init__(self, device: Device):
        self.device = device
        identity = device.read32(Control.ID)
        if identity != ID_VALUE:
            raise DeviceError(f"the device calls itself {identity:#010x}, not {ID_VALUE:#010x}")

    def start(self, program: int) -> None:
        """Begin the program at byte address `program`, with clean flags."""
        self.device.write32(Control.FLAGS, 1 << Flag.NAN)
        self.device.write32(Control.PROGRAM, program)
        self.device.write32(Control.INTERRUPT_ENABLE, 1)
        self.device.write32(Control.COMMAND, 1)

    def resume(self) -> None:
        """After a halt: begin again behind it. What is in memory and scratchpad stays."""
        halt = self.device.read32(Control.PC)
        self.start(self.device.read32(Control.PROGRAM) + INSTRUCTION_BYTES * (halt + 1))

    def finish(self) -> int:
        """After the interrupt: the halt code; `TrapRaised` or `NanInSum` if there is cause."""
        status = self.device.read32(Control.STATUS)
        self.device.write32(Control.STATUS, 1 << Status.DONE)
        if status >> Status.TRAPPED & 1:
            raise TrapRaised(Trap(self.device.read32(Control.TRAP_CAUSE)),
                             self.device.read32(Control.TRAP_PC))
        if self.device.read32(Control.FLAGS) >> Flag.NAN & 1:
            raise NanInSum(self.device.read32(Control.NAN_PC))
        return self.device.read32(Control.HALT_CODE)

    def execute(self, program: int, units: int = 1 << 20,
                tick: Callable[[int], object] = lambda units: None) -> int:
        """Start, wait, finish; `tick` is called whenever so many units of time have passed."""
        self.start(program)
        while not self.device.run(units):
            tick(units)
        return self.finish()

    def counters(self) -> dict[str, int]:
        """All counters by name."""
        return {c.name: self._read64(counter_offset(c.name)) for c in COUNTERS}

    def tag_counters(self) -> list[dict[str, int]]:
        """For each tag its `TAG_COUNTERS`: cycles busy, words streamed, cycles to the next."""
        return [{name: self._read64(tag_offset(tag, name)) for name in TAG_COUNTERS}
                for tag in range(TAGS)]

    def _read64(self, offset: int) -> int:
        return self.device.read32(offset) + (self.device.read32(offset + 4) << 32)


class ModelDevice:
    """The golden model behind the interface of a device; its unit of time is an instruction."""

    def __init__(self, config: Config, memory_bytes: int):
        self.memory = np.zeros(memory_bytes, np.uint8)
        self.machine = Machine(config, self.memory)

    def read32(self, offset: int) -> int:
        return self.machine.control(offset)

    def write32(self, offset: int, value: int) -> None:
        machine = self.machine
        match offset:
            case Control.PROGRAM:
                machine.program = value % WORD32
            case Control.INTERRUPT_ENABLE:
                machine.interrupt_enable = value & 1
            case Control.FLAGS if value >> Flag.NAN & 1:
                machine.state.nan_pc = None
            case Control.COMMAND if value & 1:
                machine.start(machine.program)

    def run(self, units: int) -> bool:
        return self.machine.run(units)
