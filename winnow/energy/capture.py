"""Work of the first core drawn from a training step on the model."""

from collections import defaultdict
from dataclasses import replace

import numpy as np

from isa.config import LANES, TREES, Config
from sim import tensor
from winnow.bench import phases
from winnow.compiler.recipe import Recipe
from winnow.compiler.training import PHASES, TrainingProgram
from winnow.datasets import Dataset, network_for
from winnow.energy import work
from winnow.energy.work import Work
from winnow.errors import UserError
from winnow.host import Driver, ModelDevice
from winnow.network import Network
from winnow.session import Round, Session

WINDOW = 64  # cycles of a dense operation that are taken in a row


class Step:
    """A training step whose tensor operations can be looked at.

    Parameters
    ----------
    config, network, recipe, dataset
    after : steps that the model trains before

    Raises
    ------
    UserError : there are not so many steps
    """

    def __init__(self, config: Config, network: Network, recipe: Recipe, dataset: Dataset,
                 after: int):
        recipe = replace(recipe, epochs=1)
        program = TrainingProgram(config, network_for(network, dataset), recipe)
        self.session = Session(program, dataset, 0)
        if after not in range(self.session.steps):
            raise UserError(f"after {after} steps: must be 0 to {self.session.steps - 1}, data set "
                            f"{dataset.name} has {self.session.steps} steps of {recipe.batch} "
                            "images")
        self.memory = phases.trained(self.session, after)
        self.work = Round(self.session.orders[0][after:after + 1], recipe.rate(0))
        self.program = program

    def run(self, observe) -> Driver:
        """Runs the step; `observe` is called with the phase, each tensor operation, and the
        scratchpad before it."""
        model = ModelDevice(self.program.config, self.memory.size)
        model.memory[:] = self.memory
        self.session.load(model.memory, self.work)

        def observer(tag: int, operation) -> None:
            if isinstance(operation, tensor.Operation):
                observe(self.program.counted[tag].phase, operation, model.machine.words)

        model.machine.observer = observer
        driver = Driver(model)
        driver.execute(self.program.address("program"))
        return driver

    def sample(self, cycles: int, seed: int = 0) -> dict[str, list[Work]]:
        """For each phase pieces of its operations, which take that many cycles where nothing is
        left out: drawn at random, each multiply-add equally likely."""
        sizes = defaultdict(list)

        def count(phase, operation, words):
            core = operation.blocks * operation.passes * operation.positions
            sizes[phase].append(core * TREES * LANES)

        self.run(count)
        generator = np.random.default_rng(seed)
        wanted = {phase: generator.multinomial(cycles // WINDOW, np.array(size) / sum(size))
                  for phase, size in sizes.items()}
        place, found = defaultdict(int), {phase: [] for phase in PHASES if phase in sizes}

        def take(phase, operation, words):
            pieces = wanted[phase][place[phase]]
            place[phase] += 1
            for number in generator.integers(operation.blocks, size=pieces):
                found[phase].append(_piece(work.block(operation, words, int(number)), generator))

        self.run(take)
        return found


def _piece(whole: Work, generator: np.random.Generator) -> Work:
    """The share of a block that takes `WINDOW` cycles if nothing is left out."""
    share = min(1.0, WINDOW * TREES * LANES / whole.dense)
    count = round(share * whole.cycles)
    return whole.part(int(generator.integers(whole.cycles - count + 1)), count)
