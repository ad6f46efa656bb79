"""What leaving zero tiles out is worth: cycles over those of the dense operation, no stalls."""

import cocotb
import numpy as np

from isa.config import Config
from isa.registers import Skip
from sim import cycles
from verif import bench, seeds
from verif.tensor.driver import Driver
from verif.tensor.operations import convolution

GIVEN = bench.parameters()
CONFIG = Config(**GIVEN["config"])
GROUPS = CONFIG.cores  # of one core each, an image each
HEIGHT, WIDTH, INPUTS, OUTPUTS = 16, 16, 64, 16
TILES = 9 * INPUTS // 8 * OUTPUTS // 8
IMAGE = HEIGHT * WIDTH * INPUTS // 8  # words
WEIGHTS = GROUPS * IMAGE
OUTPUT = WEIGHTS + 8 * TILES
LEAST = GIVEN["least"]  # density from which on the bar holds
MOST = 1.05  # of density times the dense cycles


def operation(skip):
    values = convolution(HEIGHT, WIDTH, INPUTS, OUTPUTS, rows=4, columns=8, stream=0,
                         stationary=WEIGHTS, output=OUTPUT, mode={"skip": skip, "scale": -6})
    values["tensor.groups"]["groups"] = GROUPS
    values["tensor.stream.group"]["stride"] = IMAGE
    values["tensor.output.group"]["stride"] = HEIGHT * WIDTH * OUTPUTS // 8
    return values


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def densities(dut):
    draw = seeds.generator("tiles rate")
    driver = Driver(dut, CONFIG)
    codes = draw.integers(1, 0x40, (CONFIG.words, 8), np.uint8)
    driver.words[:] = codes.view(np.uint64)[:, 0]
    await driver.start()
    tiles = driver.words[WEIGHTS:OUTPUT].reshape(TILES, 8)
    full = tiles.copy()
    dense = await driver.check(operation(Skip.NONE), legal=True)
    assert dense.skipped_tiles == 0
    assert dense.cycles == cycles.tensor(CONFIG, operation(Skip.NONE)), "the dense machine's"
    for density in (1, 0.5, 0.2, 0.1):
        tiles[:] = full
        tiles[draw.permutation(TILES)[round(TILES * density):]] = 0
        done = await driver.check(operation(Skip.TILES), legal=True)
        live = done.macs / dense.macs
        ratio = done.cycles / dense.cycles
        cocotb.log.info("density %.3f: %d of %d cycles, %.3f, %.3f of it; waited for stream %d, "
                        "tile %d, drain %d", live, done.cycles, dense.cycles, ratio, ratio / live,
                        done.wait_stream, done.wait_stationary, done.wait_drain)
        assert abs(live - density) < 0.01
        assert density < LEAST or ratio <= MOST * live
