"""The generated Verilog as a device: `winnow.host.Device`."""

from collections.abc import Iterator
from contextlib import contextmanager

from isa.config import Config
from winnow import progress
from winnow.errors import UserError

CYCLES_AT_ONCE = 50_000  # between two looks at a short program


@contextmanager
def simulated(config: Config, memory_bytes: int, *, show: bool = True, **options) -> Iterator:
    """A `verif.simulation.Simulation`, which is built if need be: that takes a minute or more.

    Parameters
    ----------
    memory_bytes : external memory
    show : say so on stderr
    options : those of `Simulation`

    What goes wrong in it is a `UserError`.
    """
    from verif.simulation import Simulation, SimulationError

    progress.say("generating the Verilog and building the simulation (cached by content)", show)
    try:
        with Simulation(config, memory_bytes=memory_bytes, **options) as simulation:
            yield simulation
    except SimulationError as error:
        raise UserError(f"simulation: {error}") from error
