"""Operations stay inside the buffers that they name: what order and placement rely on."""

import numpy as np
import pytest

from isa.config import Config
from isa.registers import BLOCKS, POSITIONS, VECTOR_LOOPS, Unit
from sim.loops import nest
from sim.registers import defaults, vector_counts
from verif import seeds
from verif.system.networks import random_session
from winnow.compiler.placement import PlacementError
from winnow.compiler.step import TileError
from winnow.compiler.text import resolve

WORDS = {0: 1, 1: 1, 2: 4}


def written(config, operation) -> list[np.ndarray]:
    """Addresses of all words that an operation writes, by output."""
    registers = defaults(operation.unit)
    for name, values in resolve(operation).items():
        registers[name] = registers[name] | values
    match operation.unit:
        case Unit.TENSOR:
            positions, groups = registers["tensor.positions"], registers["tensor.groups"]
            counts = positions | registers["tensor.blocks"] | {
                "core": positions["cores"], "group": 1 if groups["merge"] else groups["groups"]}
            items = nest(registers, "tensor.output", counts,
                         (*BLOCKS, "group", "core", *POSITIONS))
            size = WORDS.get(registers["tensor.mode"]["output"], config.raw_words)
            return [items.address[items.inside][..., np.newaxis] + np.arange(size)]
        case Unit.VECTOR:
            return [_vector(registers, name) for name in ("o0", "o1", "o2")
                    if registers[f"vector.{name}.mode"]["enable"]]
        case Unit.MOVE:
            if registers["move.mode"]["store"]:
                return []
            counts = registers["move.counts"]
            items = nest(registers, "move.scratchpad", counts, ("n2", "n1"), window=False)
            return [items.address[..., np.newaxis] + np.arange(counts["words"])]


def _vector(registers, name) -> np.ndarray:
    counts = vector_counts(registers)
    flat = {"o.base": registers[f"vector.{name}.base"]}
    for pair in ("n01", "n23", "n45"):
        for loop, stride in registers[f"vector.{name}.{pair}"].items():
            flat[f"o.{loop}"] = {"stride": stride}
    loops = VECTOR_LOOPS[2:] if registers["vector.op"]["reduce"] == 2 else VECTOR_LOOPS
    items = nest(flat, "o", counts, loops, window=False)
    return items.address[..., np.newaxis] + np.arange(
        WORDS[registers[f"vector.{name}.mode"]["format"]])


def compiled(draw):
    """A random chip, and the operations of a random network that fits it. Small ones, so that
    gradients come in parts."""
    while True:
        config = Config(cores=int(draw.choice([1, 2, 4])),
                        scratchpad_kib=int(draw.choice([16, 32, 64])),
                        slot=int(draw.choice([1, 2, 4, 8])))
        try:
            return config, random_session(config, draw).program.training.operations
        except (PlacementError, TileError):
            continue


@pytest.mark.parametrize("case", range(20))
def test_writes_stay_inside(case):
    config, operations = compiled(seeds.generator(f"bounds {case}"))
    for operation in operations:
        for addresses in written(config, operation):
            inside = np.zeros(addresses.shape, bool)
            for buffer in operation.writes:
                inside |= (addresses >= buffer.address) & (
                    addresses < buffer.address + buffer.words)
            assert inside.all(), operation.label
