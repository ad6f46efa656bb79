"""A chip at work in its surroundings: external memory, host port, interrupt."""

import ctypes
import functools
import os
from pathlib import Path

import numpy as np

from hdl.chip import Chip
from isa.config import Config
from isa.registers import Unit
from verif import build
from verif.simulation.library import library, load


@functools.cache
def _chip_library(config: Config, waves: bool) -> Path:
    """The library of a whole chip; its Verilog is generated once a process."""
    return library(Chip(config=config), config.name, waves=waves, chip=True)


class SimulationError(RuntimeError):
    """The chip broke a rule of its bus, or its control port does not answer."""


class BusError(SimulationError):
    """The control port answered with an error response."""


class Simulation:
    """The Verilated chip with an external memory, free running.

    Parameters
    ----------
    config : Config
    memory_bytes : int
        Size of external memory, from address 0, all zero, its last beat whole; bursts beyond it
        get an error response.
    seed : int
        Of the stalls, and of what is in the chip's memories before they are written.
    stalls : float
        Probability, from 0 to 1 exclusive, of a stall of each bus channel in each cycle.
    latency : int
        Cycles from a burst to its first answer.
    waves : path
        Writes a VCD file; by default build/run/chip.vcd where WINNOW_WAVES is 1. It has the cycles
        of WINNOW_WAVES_CYCLES, "FIRST:END", by default "0:20000".
    chip : wiring.Component
        Something else with the top ports of the chip, in its place.

    Attributes
    ----------
    memory : numpy.ndarray of uint8
        External memory itself, not a copy; gone after `close`.
    cycles : int
        Clock cycles since reset.
    """

    def __init__(self, config: Config, *, memory_bytes: int = 1 << 24, seed: int = 1,
                 stalls: float = 0.0, latency: int = 8, waves=None, chip=None):
        if memory_bytes < 8 or memory_bytes % 8:
            raise ValueError(f"memory_bytes = {memory_bytes}: must be a positive multiple of 8")
        if not 0 <= stalls < 1:
            raise ValueError(f"stalls = {stalls}: must be at least 0 and under 1")
        if latency < 0:
            raise ValueError(f"latency = {latency}: must not be negative")
        if waves is None and os.environ.get("WINNOW_WAVES") == "1":
            waves = build.BUILD / "run" / "chip.vcd"
        first, _, end = os.environ.get("WINNOW_WAVES_CYCLES", "0:20000").partition(":")
        if waves is not None:
            Path(waves).parent.mkdir(parents=True, exist_ok=True)
            waves = os.fsencode(waves)
        self.config = config
        path = (_chip_library(config, waves is not None) if chip is None
                else library(chip, config.name, waves=waves is not None))
        self._library = load(path)
        self._handle = self._library.simulation_open(
            memory_bytes, seed, latency, round(stalls * 65536), waves, int(first), int(end))
        self.memory = np.ctypeslib.as_array(self._library.simulation_memory(self._handle),
                                            shape=(memory_bytes,))

    @property
    def cycles(self) -> int:
        return self._library.simulation_cycles(self._handle)

    def fail_range(self, first: int, end: int) -> None:
        """Bursts that touch the bytes from `first` to `end` (exclusive) get an error response."""
        self._library.simulation_fail_range(self._handle, first, end)

    def trace_units(self) -> None:
        """From here on remembers when the units are busy; for a chip."""
        self._library.simulation_trace_units(self._handle)

    def spans(self, unit: Unit) -> np.ndarray:
        """For each operation of a unit since `trace_units` its first cycle, and the one after its
        last: int (operations, 2)."""
        found = ctypes.POINTER(ctypes.c_uint64)()
        number = self._library.simulation_spans(self._handle, unit, ctypes.byref(found))
        if not number:
            return np.zeros((0, 2), np.int64)
        cycles = np.ctypeslib.as_array(found, shape=(number,))
        return cycles[:number - number % 2].astype(np.int64).reshape(-1, 2)

    def read32(self, offset: int) -> int:
        """Reads a control register, over AXI4-Lite; takes cycles."""
        value = ctypes.c_uint32()
        self._answer(self._library.simulation_read(self._handle, offset, ctypes.byref(value)),
                     f"read of control register {offset:#x}")
        return value.value

    def write32(self, offset: int, value: int) -> None:
        """Writes a control register, over AXI4-Lite; takes cycles."""
        self._answer(self._library.simulation_write(self._handle, offset, value),
                     f"write of control register {offset:#x}")

    def run(self, max_cycles: int) -> bool:
        """Runs up to `max_cycles` cycles; True as soon as the interrupt is up."""
        ended = self._library.simulation_run(self._handle, max_cycles)
        self._check()
        return ended == 1

    def close(self) -> None:
        """Ends the simulation; may be called again."""
        if self._handle is not None:
            self.memory = None
            self._library.simulation_close(self._handle)
            self._handle = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _answer(self, response: int, what: str) -> None:
        self._check()
        if response < 0:
            raise SimulationError(f"{what}: no answer")
        if response:
            raise BusError(f"{what}: response {response}")

    def _check(self) -> None:
        error = self._library.simulation_error(self._handle)
        if error:
            raise SimulationError(error.decode())
