"""The tensor unit against the model: groups of cores, and statistics of their outputs."""

import cocotb
import numpy as np

from isa.config import Config
from isa.formats import E4M3, FormatCode
from isa.registers import AuxMode, StatsMode
from sim.raw import decode_raw
from verif import bench, seeds
from verif.tensor.driver import Driver
from verif.tensor.operations import gemm

GIVEN = bench.parameters()
CONFIG = Config(**GIVEN["config"])
HALF = CONFIG.words // 2  # outputs lie from here on
TILES = 1024
STATS = HALF - 512
NORM, MASK = 256, 384
FLUSH = 2 * CONFIG.raw_words
DRAW = seeds.generator("groups")
TEST = {"timeout_time": 20, "timeout_unit": "ms"}
ROWS = CONFIG.block
GROUPED = [(cores, CONFIG.cores // cores) for cores in (1, 2, 4) if 2 * cores <= CONFIG.cores]


async def begin(dut):
    driver = Driver(dut, CONFIG)
    codes = DRAW.integers(0, 256, (CONFIG.words, 8), np.uint8)
    codes = (codes & 0x80) | (0x20 + codes % 0x20).astype(np.uint8)
    codes[DRAW.random(codes.shape) < 0.3] = 0
    driver.words[:] = codes.view(np.uint64)[:, 0]
    driver.words[STATS:HALF] = 0
    await driver.start()
    return driver


def rows_split(cores, groups, **more):
    """out[m][n] over groups of rows: 2 blocks of rows each, 2 blocks of columns."""
    m, k = 2 * ROWS * groups, 8 * min(2, CONFIG.max_passes)
    values = gemm(m, 16 * cores, k, block=ROWS, stream=0, stationary=TILES, output=HALF,
                  cores=cores, **more)
    values["tensor.blocks"]["b0"] = 2
    values["tensor.groups"]["groups"] = groups
    for stream in ("stream", "output", "aux"):
        values[f"tensor.{stream}.group"]["stride"] = 2 * ROWS
    return values


def reduction_split(cores, groups, passes, **more):
    """out[m][n] with the passes of the reduction in `groups`, merged; 2 blocks of columns."""
    k, n = 8 * passes * groups, 16 * cores
    values = gemm(2 * ROWS, n, k, block=ROWS, stream=0, stationary=TILES, output=HALF,
                  cores=cores, **more)
    values["tensor.reduction"]["r0"] = passes
    values["tensor.groups"].update(groups=groups, merge=1)
    values["tensor.stream.group"]["stride"] = 2 * ROWS * passes
    values["tensor.stationary.group"]["stride"] = n * passes
    return values


async def with_stalls(driver, values):
    """In step, with random stalls, and with groups that are kept apart."""
    for stall, stalls in ((0, {}), (0.3, {}), (0, {"stream__0": 0.9}),
                          (0, {f"stream__{i}": 0.95 for i in range(1, CONFIG.cores)})):
        driver.memory.stall, driver.memory.stalls = stall, stalls
        driver.words[HALF:] = 0
        done = await driver.check(values, legal=True)
    return done


@cocotb.test(skip=not GROUPED, **TEST)
async def own_rows(dut):
    """Groups with the same tiles and rows of their own; the first gets ahead of slower ones until
    both of its banks are full."""
    driver = await begin(dut)
    for cores, groups in GROUPED:
        for mode in ({}, {"output": FormatCode.E5M2, "stochastic": 1}):
            done = await with_stalls(driver, rows_split(cores, groups, mode={"scale": -4, **mode}))
            assert done.wait_drain >= 10 * (ROWS - 1)


@cocotb.test(skip=not GROUPED or CONFIG.max_passes < 8, **TEST)
async def merged(dut):
    """The sums of merged groups are those of one group that does all passes."""
    driver = await begin(dut)
    for output, words in ((FormatCode.RAW, CONFIG.raw_words), (FormatCode.BINARY32, 4),
                          (FormatCode.E4M3, 1)):
        for cores, groups in GROUPED:
            passes = 8 // groups
            mode = {"output": output, "scale": -5 if output == FormatCode.E4M3 else 0}
            whole = gemm(2 * ROWS, 16 * cores, 64, block=ROWS, stream=0, stationary=TILES,
                         output=HALF, cores=cores, output_words=words, mode=mode)
            driver.memory.stall, driver.memory.stalls = 0, {}
            driver.words[HALF:] = 0
            await driver.check(whole, legal=True)
            expected = driver.words[HALF:].copy()
            assert expected.any()
            await with_stalls(driver, reduction_split(cores, groups, passes, output_words=words,
                                                      mode=mode))
            assert (driver.words[HALF:] == expected).all()


@cocotb.test(**TEST)
async def elements(dut):
    """Each code of both formats, added to a sum of zero and to others."""
    driver = await begin(dut)
    aux = 512
    driver.words[aux:aux + 32] = np.arange(256, dtype=np.uint8).view(np.uint64)
    for output in (FormatCode.E4M3, FormatCode.E5M2):
        for zero in (True, False):
            for first in range(0, 32, ROWS):
                await driver.check(gemm(
                    min(ROWS, 32), 8, 8, block=ROWS, stationary=TILES, output=HALF,
                    stream=STATS if zero else 0,
                    mode={"aux": AuxMode.ELEMENT, "output": output},
                    aux__base={"address": aux + first}, aux__p0={"stride": 1}), legal=True)
                if zero and output == FormatCode.E4M3:
                    wanted = driver.words[aux + first:aux + first + min(ROWS, 32)].view(np.uint8)
                    wanted = np.where(wanted == 0x80, 0, wanted)
                    wanted = np.where(wanted & 0x7F == 0x7F, E4M3.nan_code, wanted)
                    seen = driver.words[HALF:HALF + min(ROWS, 32)].view(np.uint8)
                    assert (seen == wanted).all()


def with_stats(mode, *, block_stride, core_stride, cores=CONFIG.cores):
    """Blocks of rows within blocks of columns; a column block has statistics of its own if
    `block_stride` is not zero."""
    return gemm(4 * ROWS, 16 * cores, 8, block=ROWS, stream=0, stationary=TILES, output=HALF,
                cores=cores, mode={"scale": -3, **mode}, norm__base={"address": NORM},
                mask__base={"address": MASK}, aux__p0={"stride": 1}, aux__b0={"stride": ROWS},
                stats__base={"address": STATS}, stats__core={"stride": core_stride},
                stats__b1={"stride": block_stride})


@cocotb.test(**TEST)
async def flushes(dut):
    """Sums are flushed where the address of their core changes and at the end, never else."""
    driver = await begin(dut)
    cores = CONFIG.cores
    for block_stride, core_stride, flushed in (
            (0, FLUSH, cores), (cores * FLUSH, FLUSH, 2 * cores), (0, 0, cores),
            (FLUSH, 0, 2 * cores)):
        for mode in ({"stats": StatsMode.SQUARE}, {"stats": StatsMode.NORM},
                     {"stats": StatsMode.NORM, "mask": 1}):
            values = with_stats(mode, block_stride=block_stride, core_stride=core_stride)
            for stall in (0, 0.3):
                driver.memory.stall = stall
                driver.words[STATS:HALF] = 0
                before = driver.memory.writes
                await driver.check(values, legal=True)
                outputs = 8 * ROWS * cores
                assert driver.memory.writes - before == outputs + flushed * FLUSH
                assert driver.words[STATS:STATS + FLUSH].any()


@cocotb.test(**TEST)
async def accumulated(dut):
    """Two operations leave what one of both would: the sums go on."""
    driver = await begin(dut)
    values = with_stats({"stats": StatsMode.SQUARE}, block_stride=0, core_stride=FLUSH)
    await driver.check(values, legal=True)
    whole = driver.words[STATS:HALF].copy()
    driver.words[STATS:HALF] = 0
    values["tensor.blocks"]["b0"] = 2
    await driver.check(values, legal=True)
    assert (driver.words[STATS:HALF] != whole).any()
    for stream in ("stream", "output", "aux"):
        values[f"tensor.{stream}.base"]["address"] += 2 * ROWS
    await driver.check(values, legal=True)
    assert (driver.words[STATS:HALF] == whole).all()


@cocotb.test(**TEST)
async def poison(dut):
    """A NaN among the outputs or in norm poisons the sums of its tree, and stays; one that is
    masked, or meets a zero, does not."""
    driver = await begin(dut)
    none = [False] * 8
    ones = int.from_bytes(bytes([0x38] * 8), "little")
    norm, mask = (slice(at, at + 4 * ROWS) for at in (NORM, MASK))
    tiles = [TILES + 8 * CONFIG.cores * block for block in range(2)]
    driver.words[norm] = driver.words[mask] = driver.words[:4 * ROWS] = ones

    def only(tree):
        return [i == tree for i in range(8)]

    async def run(mode, first, second, again=False):
        """`first`, `second`: whether the sums of core 0 are poisoned, by tree."""
        if not again:
            driver.words[STATS:HALF] = 0
        await driver.check(with_stats(mode, block_stride=0, core_stride=FLUSH), legal=True)
        seen = decode_raw(CONFIG, driver.words[STATS:STATS + FLUSH].reshape(2, -1))[1]
        assert seen.tolist() == [first, second], mode

    square, by_norm = {"stats": StatsMode.SQUARE}, {"stats": StatsMode.NORM}
    await run(square, none, none)
    before = driver.words[tiles[0] + 3]
    driver.words[tiles[0] + 3] = 0x7F  # lane 0 of tree 3
    for mode in (square, by_norm):
        await run(mode, only(3), only(3))
    driver.words[norm] = 0
    await run(by_norm, only(3), none)
    driver.words[mask] = ones & ~(0xFF << 24)
    await run({**square, "mask": 1}, none, none)
    await run(square, only(3), only(3))
    driver.words[tiles[0] + 3] = before
    await run(square, only(3), only(3), again=True)
    driver.words[NORM] = 0x7F << 40  # tree 5 of the first position
    for tile in tiles:
        driver.words[tile + 5] = ones
    await run(by_norm, none, only(5))
    for tile in tiles:
        driver.words[tile + 5] = 0x80
    await run(by_norm, none, none)
