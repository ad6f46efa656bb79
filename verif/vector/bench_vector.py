"""The vector unit on a scratchpad, every word of it against the model."""

import cocotb
import numpy as np

from isa.config import Config
from isa.formats import FormatCode
from isa.memmap import Trap
from isa.registers import Activation, Operand
from sim import floats
from verif import bench, seeds, streams
from verif.vector.driver import Driver, registers
from verif.vector.shapes import Shapes, spoiled, word

GIVEN = bench.parameters()
CONFIG = Config(**GIVEN["config"])
E4M3, E5M2, BINARY32 = FormatCode.E4M3, FormatCode.E5M2, FormatCode.BINARY32
ZERO, ONE, X, Y, Z, K0, K1, K2, T = Operand
STALLS = ((0, 0), (0.5, 0), (0, 0.5), (0.3, 0.3), (0.8, 0.8), (0.95, 0.1), (0.1, 0.95))


async def started(dut, name: str):
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


@cocotb.test()
async def random_operations(dut):
    driver, draw = await started(dut, "random")
    shapes = Shapes(CONFIG, draw)
    for number in range(GIVEN["operations"]):
        driver.stall(*draw.choice(STALLS))
        await driver.check(shapes.operation(GIVEN["groups"]))
        if number % 8 == 7:  # sums and NaNs take over after a while
            await driver.load([word(draw) for _ in range(CONFIG.words)])


@cocotb.test()
async def random_traps(dut):
    driver, draw = await started(dut, "traps")
    shapes = Shapes(CONFIG, draw)
    for _ in range(GIVEN["operations"] // 3):
        driver.stall(*draw.choice(STALLS))
        await driver.check(spoiled(shapes.operation(GIVEN["groups"]), CONFIG.words, draw))


@cocotb.test()
async def each_check_traps(dut):
    driver, _ = await started(dut, "checks")
    places = {"x": (0, 1), "o0": (8, 1), "o2": (16, 4)}
    good = {**dense(2, **places), "op": {"a": X, "b": ONE, "c": ZERO},
            "o0__mode": output(0, E4M3)}
    bad = [{"counts": {"n0": 2, loop: 0}} for loop in ("n0", "n1", "n2", "n3")]
    bad += [{"op": {**good["op"], name: code}} for name in "abc" for code in (8, 9, 15)]
    bad += [{"op": {**good["op"], name: code}} for name in "def" for code in (9, 12, 15)]
    bad += [{"op": {**good["op"], **more}} for more in (
        {"activation": 3}, {"reduce": 1, "quantum": -65}, {"reduce": 1, "quantum": 64},
        {"reduce": 1, "quantum": 127}, {"reduce": 1, "quantum": -128})]
    bad += [{"inputs": {"x": 3}}, {"o0__mode": output(0, 3)}, {"o2__mode": output(0, 3)}]
    for change in bad:
        values = registers(**{**good, **change})
        await driver.begin(values)
        trap, cycles = await driver.end()
        assert trap == Trap.SHAPE, (change, trap)
        assert cycles < 8, change
    await driver.compare("after traps, none of which may write")
    good_too = [{}, {"inputs": {"y": 3, "z": 3}}, {"o1__mode": {"format": 3}},
                {"op": {**good["op"], "quantum": -128}},
                {"op": {**good["op"], "reduce": 1, "quantum": 63}, "o2__mode": output(0, 3)},
                {"op": {**good["op"], "reduce": 1, "quantum": -64}}]
    for change in good_too:
        values = registers(**{**good, **change})
        await driver.check(values)
    for name, base in (("x", CONFIG.words), ("x", CONFIG.words - 1), ("o0", CONFIG.words - 1),
                       ("o0", (1 << 20) - 1), ("x", (1 << 32) - 1)):
        await driver.begin(registers(**{**good, f"{name}__base": {"address": base}}))
        trap, _ = await driver.end()
        assert trap == Trap.ADDRESS, (name, base, trap)
        await driver.load(driver.words)
        await driver.check(registers(**good))


@cocotb.test()
async def conversions_between_all_formats(dut):
    driver, _ = await started(dut, "conversions")
    sizes = {E4M3: 1, E5M2: 1, BINARY32: 4}
    # every FP8 code, and binary32 numbers that round, saturate and vanish
    words = np.zeros(CONFIG.words, np.uint64)
    groups = min(32, CONFIG.words // 10)
    words[:32] = np.arange(256, dtype=np.uint8).view(np.uint64)
    draw = seeds.generator("conversions")
    values = np.exp2(draw.uniform(-22, 20, 8 * groups)) * draw.choice((-1, 1), 8 * groups)
    values = values.astype(np.float32)
    values[:16] = (0, -0.0, np.inf, -np.inf, np.nan, 448, 464, 465, 57344, 61440, 61441,
                   2.0**-10, 2.0**-17, 1.5 * 2.0**-10, 3e38, 1e-45)
    await driver.load(words)
    for given, wanted in ((a, b) for a in sizes for b in sizes):
        driver.words[:4 * groups] = words[:4 * groups]
        if given == BINARY32:
            driver.words[:4 * groups] = values.view(np.uint64)
        await driver.load(driver.words)
        for scale in (0, 3, -5, 127, -128):
            await driver.check(registers(
                **dense(groups, x=(0, sizes[given]), o0=(5 * groups, sizes[wanted])),
                inputs={"x": given}, op={"a": X, "b": ONE, "c": ZERO},
                o0__mode=output(0, wanted, scale=scale)))
    fp8 = floats.decode(floats.of_code(E4M3), np.arange(8, dtype=np.uint8))
    assert fp8[1] == 2.0**-9  # the model is awake


@cocotb.test()
async def stochastic_rounding(dut):
    driver, draw = await started(dut, "stochastic")
    groups = min(64, CONFIG.words // 16)
    for key in (0, 0xFFFFFFFF, draw.getrandbits(32)):
        for stride, base in ((1, 8 * groups), (-1, 9 * groups)):
            values = dense(groups, x=(0, 4), o0=(base, stride), o1=(base + 2 * groups, 2))
            await under_stalls(driver, registers(
                **values, inputs={"x": BINARY32}, key={"key": key},
                op={"a": X, "b": ONE, "c": ZERO, "d": T, "e": T, "f": ZERO},
                o0__mode=output(0, E4M3, stochastic=1),
                o1__mode=output(1, E5M2, stochastic=1, scale=-3)))


@cocotb.test()
async def relu_and_mask(dut):
    driver, _ = await started(dut, "activation")
    groups = min(40, CONFIG.words // 16)
    for activation in Activation:
        for inputs in ({"x": BINARY32, "z": E5M2}, {"x": E4M3, "z": BINARY32}):
            size = {name: 4 if code == BINARY32 else 1 for name, code in inputs.items()}
            await under_stalls(driver, registers(
                **dense(groups, x=(0, size["x"]), z=(5 * groups, size["z"]),
                        o0=(10 * groups, 1), o1=(11 * groups, 4)),
                inputs=inputs, op={"a": X, "b": K0, "c": ZERO, "d": T, "e": ONE, "f": ZERO,
                                   "activation": activation},
                k0={"value": bits(-1.5)}, o0__mode=output(1, E4M3), o1__mode=output(0)))


@cocotb.test()
async def bias_gradient(dut):
    """Sums over positions and images for each channel block: loops 2 and 3."""
    driver, _ = await started(dut, "bias")
    positions, images, blocks = (9, 3, 4) if CONFIG.words >= 256 else (5, 2, 3)
    for quantum in (-16, -30, 10, 63):
        await under_stalls(driver, registers(
            counts={"n0": positions, "n1": images, "n2": blocks},
            x__base={"address": 0}, x__n01={"n0": 1, "n1": positions * blocks},
            x__n23={"n2": positions}, inputs={"x": E5M2},
            op={"a": X, "b": ONE, "c": ZERO, "reduce": 1, "quantum": quantum},
            o2__base={"address": positions * images * blocks}, o2__n23={"n2": 4}))


@cocotb.test()
async def loss_and_error(dut):
    """Mean squared error: t = y - x, o0 = t in E5M2 scaled, the sum of t * t beside it."""
    driver, _ = await started(dut, "loss")
    groups = min(50, CONFIG.words // 16)
    await under_stalls(driver, registers(
        **dense(groups, x=(0, 1), y=(groups, 4), o0=(5 * groups, 1), o2=(6 * groups, 4)),
        inputs={"x": E4M3, "y": BINARY32}, op={
            "a": Y, "b": ONE, "c": X, "negate_c": 1, "d": T, "e": T, "f": ZERO,
            "reduce": 1, "source": 1, "quantum": -24},
        o0__mode=output(0, E5M2, scale=6)))


@cocotb.test()
async def momentum_in_place(dut):
    """t = k0 * y + x is the momentum, u = k1 * t + z the weight, with a copy in E4M3."""
    driver, _ = await started(dut, "momentum")
    groups = min(60, CONFIG.words // 16)
    x, y, z = (4 * groups * i for i in range(3))
    driver.words[:12 * groups] = np.random.default_rng(1).normal(
        size=24 * groups).astype(np.float32).view(np.uint64)
    await driver.load(driver.words)
    values = registers(
        **dense(groups, x=(x, 4), y=(y, 4), z=(z, 4), o0=(y, 4), o1=(z, 4), o2=(12 * groups, 1)),
        inputs={"x": BINARY32, "y": BINARY32, "z": BINARY32},
        op={"a": K0, "b": Y, "c": X, "d": K1, "e": T, "f": Z},
        k0={"value": bits(0.9)}, k1={"value": bits(-0.05)},
        o0__mode=output(0), o1__mode=output(1), o2__mode=output(1, E4M3, scale=2))
    for stalls in STALLS:
        driver.stall(*stalls)
        await driver.check(values)


@cocotb.test()
async def nothing_in_nothing_out(dut):
    driver, _ = await started(dut, "nothing")
    await driver.check(registers())  # one group of zeros for nobody
    await driver.check(registers(counts={"n0": 3, "n1": 2}, op={"a": K0, "b": K1, "c": K2}))
    await driver.check(registers(**dense(3, o1=(7, 4)), o1__mode=output(0),
                                 op={"a": ONE, "b": K0, "c": K0}, k0={"value": bits(1.25)}))


@cocotb.test()
async def rates(dut):
    """A group a cycle for FP8, 4 cycles for binary32, and a word a cycle of sums."""
    driver, _ = await started(dut, "rates")
    groups = CONFIG.words // 32
    bank = CONFIG.bank_words
    overhead = 40
    op = {"a": X, "b": Y, "c": Z, "d": T, "e": ONE, "f": ZERO}
    fp8 = {"x": E4M3, "y": E5M2, "z": E4M3}
    for size, inputs, modes, per_group in (
            (1, fp8, {"o0__mode": output(1, E4M3)}, 1),
            (1, fp8, {"o0__mode": output(1, E4M3), "o1__mode": output(0, E5M2)}, 2),
            (1, fp8, {"o0__mode": output(1)}, 4),
            (4, dict.fromkeys(fp8, BINARY32), {"o0__mode": output(1), "o1__mode": output(0),
                                               "o2__mode": output(1, E4M3)}, 4)):
        banks = {name: (i * groups * 4 + bank - 1) // bank * bank
                 for i, name in enumerate(("x", "y", "z", "o0", "o1", "o2"))}
        if max(banks.values()) + 4 * groups > CONFIG.words:
            continue
        places = {name: (banks[name], size) for name in fp8}
        for name in ("o0", "o1", "o2"):
            wide = modes.get(f"{name}__mode", {}).get("format") == BINARY32
            places[name] = (banks[name], 4 if wide else 1)
        cycles = await driver.check(registers(
            **dense(groups, **places), inputs=inputs, op=op, **modes))
        dut._log.info(f"{groups} groups, {per_group} cycles each: {cycles} cycles")
        assert per_group * groups <= cycles <= per_group * groups + overhead
    cycles = await driver.check(registers(
        counts={"n0": 1, "n2": groups // 2}, x__n23={"n2": 1}, op={
            "a": X, "b": ONE, "c": ZERO, "reduce": 1, "quantum": -10},
        o2__base={"address": 12 * bank}, o2__n23={"n2": 4}))
    dut._log.info(f"{groups // 2} sums of one group: {cycles} cycles")
    assert cycles <= 4 * (groups // 2) + overhead


@cocotb.test()
async def stop_ends_at_any_time(dut):
    driver, draw = await started(dut, "stop")
    shapes = Shapes(CONFIG, draw)
    for _ in range(GIVEN["operations"] // 3):
        driver.stall(*draw.choice(STALLS))
        await driver.begin(shapes.operation(GIVEN["groups"]))
        await streams.cycles(dut, draw.randrange(1, 60))
        dut.command__stop.value = 1
        await streams.cycles(dut, 6)
        assert not streams.read(dut.command__busy)
        assert not streams.read(dut.busy)
        await streams.cycles(dut, 2)
        dut.command__stop.value = 0
        if draw.random() < 0.5:
            await streams.cycles(dut, 4)
            await driver.load([word(draw) for _ in range(CONFIG.words)])
            await driver.check(shapes.operation(GIVEN["groups"]))
