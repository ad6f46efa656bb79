"""Cycles of operations that skip dead outputs, over those of the same operations without."""

import cocotb
import numpy as np

from isa.config import TREES, Config
from isa.registers import BLOCKS, POSITIONS, Skip
from sim.loops import as_bytes, nest
from verif import bench, seeds
from verif.tensor.driver import Driver, registers
from verif.tensor.operations import gemm

GIVEN = bench.parameters()
CONFIG = Config(**GIVEN["config"])
DRAW = seeds.generator("live outputs")
TEST = {"timeout_time": 200, "timeout_unit": "ms"}
BLOCK = 32
MASK, OUTPUT = CONFIG.words // 2, 3 * CONFIG.words // 4
ENDS = 40 + 40 * CONFIG.cores  # before the first pass, and behind the last at the drain
HALF = 0.65  # of the dense cycles, if half of many outputs are dead


def product():
    """A product of the same 32 rows for each block; a group has columns of its own."""
    blocks, passes = {1: (64, 6), 4: (16, 24)}[CONFIG.cores]
    rows = blocks * BLOCK
    values = gemm(BLOCK, 8, 8 * passes, block=BLOCK, stream=0, stationary=BLOCK * passes,
                  output=OUTPUT, mode={"mask": 1, "scale": -4}, mask__base={"address": MASK},
                  aux__p0={"stride": 1}, aux__b0={"stride": BLOCK}, aux__group={"stride": rows},
                  stationary__group={"stride": 8 * passes}, output__group={"stride": rows},
                  groups={"groups": CONFIG.cores})
    values["tensor.blocks"]["b0"] = blocks
    values["tensor.stream.b0"]["stride"] = 0
    return values, rows * CONFIG.cores


def gradient():
    """3x3 taps over maps of 8x8 of 8 images, these next to each other: a block is 8 images of 4
    columns that are 2 apart. A group has rows of its own."""
    images, size, channels = 8, 8, max(2, CONFIG.cores)
    row, plane = size * images, size * size * images
    rows = size // CONFIG.cores
    values = registers(
        positions={"p0": images, "p1": 4, "q0": 8, "q1": 1},
        reduction={"r0": 3, "r1": 3, "r2": channels},
        blocks={"b0": rows, "b1": 2}, groups={"groups": CONFIG.cores},
        stream__base={"address": (-row - images) % (1 << 20)},
        stream__window={"y": -1, "x": -1, "height": size, "width": size},
        stream__p0={"stride": 1}, stream__p1={"stride": 2 * images, "dx": 2},
        stream__r0={"stride": images, "dx": 1}, stream__r1={"stride": row, "dy": 1},
        stream__r2={"stride": plane}, stream__b0={"stride": row, "dy": 1},
        stream__b1={"stride": images, "dx": 1}, stream__group={"stride": rows * row, "dy": rows},
        stationary__base={"address": plane * channels + 64}, stationary__q0={"stride": 1},
        stationary__r0={"stride": -8}, stationary__r1={"stride": -24},  # the last tap first
        stationary__r2={"stride": 72}, mode={"mask": 1, "scale": -4, "transpose": 1},
        output__base={"address": OUTPUT}, mask__base={"address": MASK},
        **{f"{stream}__{loop}": {"stride": stride} for stream in ("output", "aux")
           for loop, stride in (("p0", 1), ("p1", 2 * images), ("b0", row), ("b1", images),
                                ("group", rows * row))})
    return values, plane


def least(values, words):
    """The cycles that an operation needs.

    A pass takes those of the tree that has most live outputs, and one to look at each round. The
    passes of a block take one to read each round with a live output, and each mask of the next
    block. If all outputs are dead a pass takes two, for its tile. The drain takes each position,
    and a block waits for that of the one before the last.
    """
    counts = values["tensor.positions"] | values["tensor.blocks"]
    counts |= {"group": values["tensor.groups"]["groups"]}
    axes = (*BLOCKS[::-1], "group", *POSITIONS[::-1])
    places = nest(values, "tensor.aux", counts, axes, window=False).address + MASK
    live = (as_bytes(words[places]) & 0x7F != 0).reshape(-1, counts["group"], BLOCK, TREES)
    passes = np.prod(list(values["tensor.reduction"].values()))
    rounds = BLOCK // CONFIG.slot
    most = live.sum(axis=2).max(axis=2)
    read = live.reshape(*most.shape, rounds, -1).any(axis=3).sum(axis=2)
    each = np.where(most > 0, np.maximum(most, rounds), TREES // CONFIG.slot)
    cycles = np.maximum(passes * each, passes * read + BLOCK)
    fed, drained = np.zeros(counts["group"], int), [0, 0]
    for block in cycles.astype(int):
        fed = np.maximum(fed, drained[-2]) + block
        drained.append(max(drained[-1] + places.size // len(cycles), int(fed.max())))
    return drained[-1]


async def ratio(driver, operation, masks):
    """Cycles with skipping over those without."""
    values, words = operation()
    assert len(masks) == words
    driver.words[MASK:MASK + words] = masks.view(np.uint64)[:, 0]
    dense = await driver.check(values, legal=True)
    values["tensor.mode"]["skip"] = int(Skip.OUTPUTS)
    done = await driver.check(values, legal=True)
    needed = least(values, driver.words)
    cocotb.log.info("%s: %d of %d cycles, %.3f; needs %d", operation.__name__, done.cycles,
                    dense.cycles, done.cycles / dense.cycles, needed)
    assert done.cycles <= 1.06 * needed + ENDS
    return done.cycles / dense.cycles


async def begin(dut):
    driver = Driver(dut, CONFIG)
    codes = DRAW.integers(0, 256, (CONFIG.words, 8), np.uint8) & 0xB7  # of middling size
    driver.words[:] = codes.view(np.uint64)[:, 0]
    await driver.start()
    return driver


def draw_masks(shape, density):
    return np.where(DRAW.random(shape) < density, 0x38, 0x80).astype(np.uint8)


@cocotb.test(**TEST)
async def single_outputs(dut):
    """Outputs that live or are dead one by one."""
    driver = await begin(dut)
    for operation in (product, gradient):
        _, words = operation()
        for density in (1, 0.5, 0.25, 0.1):
            cocotb.log.info("density %s", density)
            found = await ratio(driver, operation, draw_masks((words, TREES), density))
            # four groups wait for the slowest, and half of few outputs is not half
            assert found <= HALF or density > 0.5 or operation is gradient or CONFIG.cores > 1


@cocotb.test(**TEST)
async def whole_blocks(dut):
    driver = await begin(dut)
    _, words = product()
    for density in (0.5, 0.125):
        live = np.repeat(DRAW.random(words // BLOCK // CONFIG.cores) < density, BLOCK)
        live = np.tile(live, CONFIG.cores)  # groups are not far apart: the drain takes turns
        cocotb.log.info("blocks of density %s", density)
        await ratio(driver, product, live[:, np.newaxis] * np.full(TREES, 0x38, np.uint8))
