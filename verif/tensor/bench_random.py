"""The tensor unit against the model: random operations, random stalls, now and then a trap."""

import cocotb

from isa.config import Config
from isa.memmap import Trap
from isa.registers import Skip
from verif import bench, seeds
from verif.tensor.driver import Driver, describe
from verif.tensor.random_operations import Operations

GIVEN = bench.parameters()
CONFIG = Config(**GIVEN["config"])
SKIPS = [Skip.NONE, Skip.TILES]
if CONFIG.slot > 1:
    SKIPS += [skip | tiles for skip in (Skip.ELEMENTS, Skip.OUTPUTS)
              for tiles in (Skip.NONE, Skip.TILES)]
STALLS = (0, 0, 0, 0.1, 0.5)


@cocotb.test(timeout_time=400, timeout_unit="ms")
async def operations(dut):
    draw = seeds.generator("operations")
    driver = Driver(dut, CONFIG)
    source = Operations(CONFIG, draw)
    source.fill(driver.words)
    await driver.start()
    cases = ["nan", "saturations", "trap", "skipped_tiles"]
    if CONFIG.slot > 1:
        cases += ["skipped_outputs", "skipped_elements"]
    seen = dict.fromkeys(cases, 0)
    for number in range(GIVEN["count"]):
        if number % 4 == 0:
            source.fill(driver.words)
        broken = number % 10 == 9  # what is left out may be what would trap
        skip = Skip.NONE if broken else Skip(int(draw.choice(SKIPS)))
        gate = CONFIG.slot > 1 and not skip & Skip.OUTPUTS and not draw.integers(3)
        values = source.operation(skip, bool(gate))
        if number % 10 == 4 and CONFIG.slot > 1:  # slots that are not aligned
            broken, values = True, source.operation(Skip.ELEMENTS)
            values["tensor.stream.base"]["address"] += 1
        elif broken:
            stream = str(draw.choice(["stream", "stationary", "output"]))
            away = CONFIG.words // 2 * (1 if stream == "output" else -1)
            values[f"tensor.{stream}.base"]["address"] += int(draw.choice([away, 1 << 19]))
            values[f"tensor.{stream}.base"]["address"] %= 1 << 20
        driver.memory.stall = float(draw.choice(STALLS))
        try:
            done = await driver.check(values)
        except AssertionError as error:
            raise AssertionError(f"operation {number}, stall {driver.memory.stall}:\n"
                                 f"{describe(values)}\n{error}") from None
        assert broken or done.trap == Trap.NONE
        for name in seen:
            seen[name] += getattr(done, name) > 0
    cocotb.log.info("%d operations; of these with: %s", GIVEN["count"], seen)
    assert all(seen.values()), "some case was never met"
