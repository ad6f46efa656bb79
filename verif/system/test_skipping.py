"""Skip anything, change nothing: random layers, each once with nothing left out and once with what
it may, on chips whose memory stalls. What fills up channel blocks is random as well."""

import numpy as np
import pytest

from isa.config import Config
from verif import seeds
from verif.simulation import Simulation
from winnow.bench import layer
from winnow.bench.sparsity import MECHANISMS, Bench, memory
from winnow.errors import UserError
from winnow.graph import Layer
from winnow.host import ModelDevice
from winnow.network import Shape

CHIPS = {
    "one": (Config("one", slot=2, reach=1), 80),
    "two": (Config("two", cores=2, banks=16, scratchpad_kib=256, slot=4, reach=2), 220),
    "four": (Config("four", cores=4, banks=32, block=16, scratchpad_kib=256, slot=4, reach=3,
                    axi_words=2, tree_stages=1), 200),
}
STALLS = 0.2
DENSITIES = (0.0, 0.05, 0.1, 0.3, 0.5, 0.8, 1.0)
EIGHTS = 8


def drawn(generator: np.random.Generator) -> Layer:
    """Any kernel, stride, padding, size and number of channels."""
    def pick(*choices: int) -> int:
        return int(generator.choice(choices))

    while True:
        kernel, stride = pick(1, 2, 3, 3, 5), pick(1, 1, 2)
        padding = pick(*range(kernel))
        height, width = (int(side) for side in generator.integers(1, 13, 2))
        sides = [(side + 2 * padding - kernel) // stride + 1 for side in (height, width)]
        if min(sides) > 0:
            return Layer("drawn", Shape(pick(5, 8, 16, 24, 32, 40, 64), height, width),
                         Shape(pick(5, 8, 16, 24, 32, 40, 64), *sides), kernel, stride, padding)


def cases(config: Config, generator: np.random.Generator, count: int):
    """So many phases of layers, each with what it is to leave out."""
    while count:
        images, made = EIGHTS * int(generator.integers(1, 3)), drawn(generator)
        alone = bool(generator.integers(2))
        try:
            phases = [*layer.convolutions(config, made, images, alone),
                      *layer.streams(config, made, images),
                      *layer.updates(config, made, images)]
        except UserError:  # it does not fit
            continue
        phase = phases[generator.integers(len(phases))]
        yield made, phase, str(generator.choice(phase.mechanisms))
        count -= 1


@pytest.mark.slow
@pytest.mark.parametrize("chip", CHIPS)
def test_what_is_left_out_changes_nothing(chip):
    """Every byte, to the model and to the dense operation; every multiply-add counted once. Of all
    the cases on all chips there are 500."""
    config, count = CHIPS[chip]
    generator = seeds.generator(f"skipping on {chip}")
    made = list(cases(config, generator, count))
    external = memory(config, [phase for _, phase, _ in made])
    saved = dict.fromkeys(MECHANISMS, 0)
    with Simulation(config, memory_bytes=external.size, seed=seeds.seed(), stalls=STALLS) as rtl:
        bench = Bench(config, rtl, ModelDevice(config, external.size), external)
        for shape, phase, mechanism in made:
            densities = {name: float(generator.choice(DENSITIES))
                         for name in mechanism.split(" and ")}
            bench.load(phase.operands(generator, densities))
            dense, sparse, equal = bench.compare(phase, MECHANISMS[mechanism])
            assert equal, (shape, phase.name, phase.groups, mechanism, densities)
            saved[mechanism] += dense["cycles"] - sparse["cycles"]
    assert all(cycles > 0 for cycles in saved.values()), saved


def test_there_are_500_cases_of_every_kind():
    """Each phase and mechanism is drawn on each chip, and layers of all kinds."""
    assert sum(count for _, count in CHIPS.values()) == 500
    for name, (config, count) in CHIPS.items():
        made = list(cases(config, seeds.generator(name), count))
        assert {(phase.name, mechanism) for _, phase, mechanism in made} == {
            *(("FP", m) for m in ("tiles", "elements", "tiles and elements", "weights")),
            *(("BP", m) for m in ("tiles", "outputs", "tiles and outputs", "weights")),
            ("WU", "elements"), ("WU", "outputs")}
        assert {shape.stride for shape, _, _ in made} == {1, 2}
