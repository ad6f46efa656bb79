"""Cycles of a weight gradient from a turned map on the chip, dense and skipping, by density."""

from math import prod

import numpy as np
import pytest

from isa.assembler import assemble, to_bytes
from isa.config import TREES, Config
from isa.formats import E4M3, E5M2, Float
from isa.registers import Skip, Unit
from sim import cycles, floats, slots, tensor
from sim.loops import as_bytes
from sim.registers import Registers, defaults
from verif import seeds
from verif.sim.single import Single
from verif.system.test_chip import CONFIGS
from winnow.compiler import turned
from winnow.compiler.drains import GROUP_WORDS, Sums
from winnow.compiler.layouts import Layouts
from winnow.compiler.operations import Buffer
from winnow.compiler.text import resolve
from winnow.compiler.tiles import Part, Tile
from winnow.compiler.turned import LiveWeights, TurnedTile
from winnow.graph import Layer
from winnow.network import Shape

CONFIG = CONFIGS["groups"]
MOST = {1: 1.01, 0.75: 1.03, 0.5: 1.06, 0.3: 1.10}  # of what the lanes of its slots need
BOTH = Skip.TILES | Skip.ELEMENTS
# of the dense cycles, by live weights: the slowest of 32 trees decides, in blocks of 16 positions
PRUNED = {1: 0.99, 0.5: 0.78, 0.2: 0.47}


def operation(pruned: bool = False) -> tuple[Registers, dict[Buffer, Float]]:
    """8 images of 16 channels of 6 x 16 pixels, 32 outputs, 3x3 taps, on four cores; with all that
    it reads: the map, the errors, and if weights are `pruned` their mask."""
    x_shape, y_shape = Shape(16, 6, 16), Shape(32, 6, 16)
    layer, images = Layer("rate", x_shape, y_shape, 3, 1, 1), range(8)
    x = TurnedTile.new(CONFIG, "x", Part.of(x_shape, images), x_shape, 1, pruned)
    dy = Tile.new("dy", Part.of(y_shape, images), y_shape, Layouts.of(CONFIG).errors)
    gradient = Buffer("gradient", layer.tiles * TREES * GROUP_WORDS)
    mask = Buffer("mask", layer.tiles * TREES)
    address = 0
    for buffer in (x.buffer, dy.buffer, mask, gradient):
        buffer.address = address
        address += buffer.words + CONFIG.slot
    (found,) = turned.weight_gradient(CONFIG, layer, x, dy, range(6), gradient, 0, Sums(),
                                      live=LiveWeights(mask) if pruned else None)
    values = defaults(Unit.TENSOR)
    for name, fields in resolve(found).items():
        values[name] = values[name] | fields
    formats = {x.buffer: E4M3, dy.buffer: E5M2}
    return values, formats | ({mask: E4M3} if pruned else {})


def with_skip(values: Registers, skip: Skip) -> Registers:
    return values | {"tensor.mode": values["tensor.mode"] | {"skip": int(skip)}}


def run(chip: Single, values: Registers, words: np.ndarray) -> dict[str, int]:
    """Counters of one operation on these words."""
    lines = [f"set move.external.base, address={Single.FREE}",
             f"set move.counts, words={words.size}", "run move", "fence"]
    lines += [f"set {name}" + "".join(f", {f}={v}" for f, v in fields.items())
              for name, fields in values.items() if fields != defaults(Unit.TENSOR)[name]]
    lines += ["run tensor", "fence", "halt 0"]
    code = np.frombuffer(to_bytes(assemble("\n".join(lines) + "\n", "rate")), np.uint8)
    chip.simulation.memory[:code.size] = code
    chip.simulation.memory[Single.FREE:Single.FREE + words.nbytes] = words.view(np.uint8)
    chip.driver.execute(0)
    return chip.driver.counters()


def needed(config: Config, values: Registers, words: np.ndarray) -> int:
    """Cycles that the lanes need for all slots, but no fewer than their tiles take."""
    plan = tensor.Operation(config, values)
    live = ~floats.element_zero(as_bytes(plan.skipping.stream.read(words)))
    r0, tiled = plan.counts["r0"], prod(plan.counts[loop] for loop in plan.tiled)
    counts = live.reshape(-1, r0, plan.positions, 8).sum(axis=1)
    each, _ = slots.spread(counts.reshape(-1, 8), config.reach)
    each = each.reshape(-1, plan.positions).sum(axis=1)
    return int(np.maximum(each, r0 * TREES // config.slot).sum()) * tiled


def filled(formats: dict[Buffer, Float], sparse: Buffer, density: float) -> np.ndarray:
    """The scratchpad with random numbers, of which in one buffer only some are not zero."""
    generator = seeds.generator(f"turned rate {density}")
    words = np.zeros(CONFIG.words, np.uint64)
    for buffer, fmt in formats.items():
        shape = buffer.words, 8
        codes = floats.encode(fmt, generator.normal(size=shape).astype(np.float32))[0] | 1
        if buffer is sparse:
            codes[generator.random(shape) >= density] = 0
        words[buffer.address:][:buffer.words] = codes.view(np.uint64)[:, 0]
    return words


@pytest.mark.slow
def test_rate():
    values, formats = operation()
    x, *_ = formats
    with Single(CONFIG) as chip:
        for density, most in MOST.items():
            words = filled(formats, x, density)
            dense, found = (run(chip, with_skip(values, skip), words)["tensor_busy"]
                            for skip in (Skip.NONE, BOTH))
            expected = needed(CONFIG, with_skip(values, BOTH), words)
            print(f"density {density}: {dense} cycles dense, {found} skipping, "
                  f"{expected} by the lanes")
            assert dense == cycles.tensor(CONFIG, with_skip(values, Skip.NONE))
            assert found <= most * expected + 60


@pytest.mark.slow
def test_rate_of_pruned_weights():
    values, formats = operation(pruned=True)
    *_, mask = formats
    with Single(CONFIG) as chip:
        for density, most in PRUNED.items():
            words = filled(formats, mask, density)
            dense, found = (run(chip, with_skip(values, skip), words)["tensor_busy"]
                            for skip in (Skip.NONE, Skip.TILES | Skip.OUTPUTS))
            print(f"live weights {density}: {dense} cycles dense, {found} skipping")
            assert dense == cycles.tensor(CONFIG, with_skip(values, Skip.NONE))
            assert found <= most * dense
