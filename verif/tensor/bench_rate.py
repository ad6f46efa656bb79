"""How much of its time the unit multiplies: matrix products, no stalls, no other units."""

import cocotb
import numpy as np

from isa.config import Config
from isa.registers import StatsMode
from verif import bench, seeds
from verif.tensor.driver import Driver
from verif.tensor.operations import gemm

GIVEN = bench.parameters()
CONFIG = Config(**GIVEN["config"])

# By cores, (m, n, k): cycles that all words need, and the most that the operation may take
SHAPES = {
    1: {
        (12, 16, 16): (48, 72),
        (64, 64, 8): (512, 540),  # one pass a block: drained as fast as it is summed
        (32, 32, 32): (512, 540),
        (64, 64, 64): (4096, 4124),
        (96, 96, 96): (13824, 13852),
    },
    4: {
        (256, 64, 64): (4096, 4222),
        (64, 64, 256): (4096, 4222),
        (256, 64, 32): (2048, 2174),  # as many passes as cores: likewise
    },
}[CONFIG.cores]


def product(m, n, k, **more):
    return gemm(m, n, k, stream=0, stationary=m * k // 8, output=(m + n) * k // 8,
                cores=CONFIG.cores, **more)


async def begin(dut):
    driver = Driver(dut, CONFIG)
    codes = seeds.generator("rate").integers(0, 256, (CONFIG.words, 8), np.uint8)
    codes &= 0xB7  # of middling size
    driver.words[:] = codes.view(np.uint64)[:, 0]
    await driver.start()
    return driver


async def measure(driver, shape, words, values):
    done = await driver.check(values)
    cocotb.log.info("%s: %d cycles for %d words, %.2f %%; waited for stream %d, tile %d, drain %d",
                    " x ".join(map(str, shape)), done.cycles, words, 100 * words / done.cycles,
                    done.wait_stream, done.wait_stationary, done.wait_drain)
    assert done.stream_words == words
    return done


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def utilisation(dut):
    driver = await begin(dut)
    for shape, (words, most) in SHAPES.items():
        done = await measure(driver, shape, words, product(*shape))
        assert done.cycles <= most


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def statistics(dut):
    """Squares cost nothing but their flushes, where there are as many passes as cores: the
    drain writes a word a cycle, across blocks and cores."""
    driver = await begin(dut)
    m, n, k = 512, 8 * CONFIG.cores, 8 * CONFIG.cores
    flush = 2 * CONFIG.raw_words + 6
    stats = {"stats__base": {"address": CONFIG.words - 200},
             "stats__core": {"stride": 2 * CONFIG.raw_words}}
    words = m * CONFIG.cores
    plain = await measure(driver, (m, n, k), words, product(m, n, k))
    done = await measure(driver, (m, n, k), words,
                         product(m, n, k, mode={"stats": StatsMode.SQUARE}, **stats))
    assert done.wait_drain == 0
    assert done.cycles <= plain.cycles + flush * CONFIG.cores
