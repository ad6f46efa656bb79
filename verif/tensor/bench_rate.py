"""How much of its time the unit multiplies: matrix products, no stalls, no other units."""

import cocotb
import numpy as np

from isa.config import Config
from verif import bench, seeds
from verif.tensor.driver import Driver
from verif.tensor.operations import gemm

GIVEN = bench.parameters()
CONFIG = Config(**GIVEN["config"])

# (m, n, k): cycles that all words need, and the most that the operation may take
SHAPES = {
    (12, 16, 16): (48, 72),
    (64, 64, 8): (512, 540),  # one pass a block: drained as fast as it is summed
    (32, 32, 32): (512, 540),
    (64, 64, 64): (4096, 4124),
    (96, 96, 96): (13824, 13852),
}


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def utilisation(dut):
    driver = Driver(dut, CONFIG)
    driver.words[:] = seeds.generator("rate").integers(0, 2**63, CONFIG.words, np.uint64)
    await driver.start()
    for (m, n, k), (words, most) in SHAPES.items():
        values = gemm(m, n, k, stream=0, stationary=m * k // 8, output=(m + n) * k // 8)
        done = await driver.check(values)
        cocotb.log.info("%d x %d x %d: %d cycles for %d words, %.2f %%; waited for stream %d, "
                        "tile %d, drain %d", m, n, k, done.cycles, words,
                        100 * words / done.cycles, done.wait_stream, done.wait_stationary,
                        done.wait_drain)
        assert done.words == words
        assert done.cycles <= most
