"""One operation at a time on the whole chip, with nothing else at work."""

import contextlib

import numpy as np

from isa.assembler import assemble, to_bytes
from isa.config import Config
from isa.registers import Unit
from sim.registers import Registers, defaults
from verif.simulation import Simulation
from winnow.host import Driver, NanInSum

MEMORY_BYTES = 1 << 20
IDLE = 64  # instructions without work, in which fetch gets ahead and leaves the bus alone


class Single:
    """A chip for single operations; external memory from `FREE` on is theirs."""

    FREE = 1 << 16

    def __init__(self, config: Config, latency: int = 8):
        self.simulation = Simulation(config, memory_bytes=MEMORY_BYTES, latency=latency)
        self.driver = Driver(self.simulation)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.simulation.close()

    def cycles(self, unit: Unit, registers: Registers) -> int:
        """Cycles that `unit` was busy with the operation."""
        lines = [f"set {name}" + "".join(f", {f}={v}" for f, v in values.items())
                 for name, values in registers.items() if values != defaults(unit)[name]]
        lines += [f"loop {IDLE}, ready", "nop", "ready:", f"run {unit.name.lower()}", "fence",
                  "halt 0"]
        code = np.frombuffer(to_bytes(assemble("\n".join(lines) + "\n", "single")), np.uint8)
        self.simulation.memory[:code.size] = code
        with contextlib.suppress(NanInSum):  # of no matter here: the scratchpad holds anything
            self.driver.execute(0)
        return self.driver.counters()[f"{unit.name.lower()}_busy"]
