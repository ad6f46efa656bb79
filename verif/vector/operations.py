"""What the benches of the whole unit share: how they start, and operations written short."""

import numpy as np

from isa.config import Config
from isa.formats import FormatCode
from isa.registers import Operand
from verif import bench, seeds
from verif.vector.driver import Driver
from verif.vector.shapes import word

GIVEN = bench.parameters()
CONFIG = Config(**GIVEN["config"])
E4M3, E5M2, BINARY32, BFLOAT16 = (
    FormatCode.E4M3, FormatCode.E5M2, FormatCode.BINARY32, FormatCode.BFLOAT16)
ZERO, ONE, X, Y, Z, K0, K1, K2, T = Operand
STALLS = ((0, 0), (0.5, 0), (0, 0.5), (0.3, 0.3), (0.8, 0.8), (0.95, 0.1), (0.1, 0.95))


async def started(dut, name: str):
    """A driver with a random scratchpad, and the bench's random numbers."""
    driver = Driver(dut, CONFIG)
    draw = seeds.stdlib(f"vector {name}")
    await driver.start()
    await driver.load([word(draw) for _ in range(CONFIG.words)])
    return driver, draw


def bits(value: float) -> int:
    return int(np.float32(value).view(np.uint32))


def dense(groups: int, **places) -> dict:
    """Registers of `groups` groups in a row: for each stream its base and words of a group."""
    values = {"counts": {"n0": groups}}
    for name, (base, size) in places.items():
        values[f"{name}__base"] = {"address": base}
        values[f"{name}__n01"] = {"n0": size}
    return values


def output(source=1, format=BINARY32, **more) -> dict:
    return {"enable": 1, "source": source, "format": format, **more}


async def under_stalls(driver, values: dict):
    for stalls in STALLS[::3]:
        driver.stall(*stalls)
        await driver.check(values)
