"""What skipping zero elements is worth: cycles over those of the dense operation, a 3x3 convolution
over a stream of random zeros."""

import cocotb
import numpy as np

from isa.config import Config
from isa.registers import Skip
from verif import bench, seeds
from verif.tensor.driver import Driver, registers

GIVEN = bench.parameters()
CONFIG = Config(**GIVEN["config"])
SLOT = CONFIG.slot
GROUPS = CONFIG.cores  # of one core each, an image each
SIZE, OUTPUTS = 8, 16  # of the output; the taps stay inside the image
CHANNELS = GIVEN["channels"] // 8  # words of a pixel
ROW = (SIZE + 2) * CHANNELS
IMAGE = (SIZE + 2) * ROW
WEIGHTS = GROUPS * IMAGE
TAP = 8 * CHANNELS  # words of the tiles of a tap
OUTPUT = WEIGHTS + 9 * TAP * OUTPUTS // 8
PLANE = SIZE * SIZE  # words of an output image by channel block


def operation(skip):
    return registers(
        positions={"p0": SIZE, "p1": 32 // SIZE, "q0": 8, "q1": 1},
        reduction={"r0": SLOT, "r1": 3, "r2": 3, "r3": CHANNELS // SLOT},
        blocks={"b0": SIZE * SIZE // 32, "b1": OUTPUTS // 8},
        groups={"groups": GROUPS},
        stream__p0={"stride": CHANNELS}, stream__p1={"stride": ROW},
        stream__r0={"stride": 1}, stream__r1={"stride": CHANNELS}, stream__r2={"stride": ROW},
        stream__r3={"stride": SLOT}, stream__b0={"stride": 32 // SIZE * ROW},
        stream__group={"stride": IMAGE},
        stationary__base={"address": WEIGHTS}, stationary__q0={"stride": 1},
        stationary__r0={"stride": 8}, stationary__r1={"stride": TAP},
        stationary__r2={"stride": 3 * TAP}, stationary__r3={"stride": 8 * SLOT},
        stationary__b1={"stride": 9 * TAP},
        output__base={"address": OUTPUT}, output__p0={"stride": 1},
        output__p1={"stride": SIZE}, output__b0={"stride": 32}, output__b1={"stride": PLANE},
        output__group={"stride": PLANE * OUTPUTS // 8}, mode={"skip": skip, "scale": -6})


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def densities(dut):
    draw = seeds.generator("elements rate")
    driver = Driver(dut, CONFIG)
    codes = draw.integers(1, 0x40, (CONFIG.words, 8), np.uint8)
    driver.words[:] = codes.view(np.uint64)[:, 0]
    await driver.start()
    dense = await driver.check(operation(Skip.NONE), legal=True)
    ratios = {}
    for density, most in GIVEN["most"].items():
        codes = draw.integers(1, 0x40, (WEIGHTS, 8), np.uint8)
        codes[draw.random(codes.shape) >= float(density)] = 0
        driver.words[:WEIGHTS] = codes.view(np.uint64)[:, 0]
        done = await driver.check(operation(Skip.ELEMENTS), legal=True)
        ratios[density] = done.cycles / dense.cycles, most
        cocotb.log.info("density %s: %d of %d cycles, %.3f; waited for stream %d, tile %d, "
                        "drain %d", density, done.cycles, dense.cycles, *ratios[density][:1],
                        done.wait_stream, done.wait_stationary, done.wait_drain)
    assert all(ratio <= most for ratio, most in ratios.values()), ratios
