"""The whole chip, Verilated into a library, for long runs: see `Simulation`."""

from verif.simulation.simulation import BusError, Simulation, SimulationError

__all__ = ["BusError", "Simulation", "SimulationError"]
