"""The vector unit at what it is for, every word against the model, and how fast it is."""

import cocotb
import numpy as np

from isa.registers import Activation, Reduce
from verif.vector.driver import registers
from verif.vector.operations import (
    BINARY32,
    CONFIG,
    E4M3,
    E5M2,
    K0,
    K1,
    K2,
    ONE,
    STALLS,
    ZERO,
    T,
    X,
    Y,
    Z,
    bits,
    dense,
    output,
    started,
    under_stalls,
)
from verif.vector.shapes import SIZES, SMALL

SKEW = 5  # words, so that streams begin in different banks


@cocotb.test()
async def activations(dut):
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
async def normalisation(dut):
    """t = x * K0 + K1, u = t * K2 + y with the coefficients of the channel block, loop 5."""
    driver, draw = await started(dut, "normalisation")
    positions, blocks = (12, 5) if CONFIG.words >= 256 else (3, 2)
    groups = positions * blocks
    for channel in range(1, 8):
        for stride, base in ((12, 4 * groups), (0, 4 * groups), (-12, 4 * groups + 12 * blocks)):
            values = dense(positions, x=(0, 1), y=(groups, 1), o0=(2 * groups, 1))
            values |= {f"{name}__n45": {"n5": positions} for name in ("x", "y", "o0")}
            driver.stall(*draw.choice(STALLS))
            await driver.check(registers(
                **values, outer={"n5": blocks}, inputs={"y": E5M2},
                op={"a": X, "b": K0, "c": K1, "d": T, "e": K2, "f": Y, "channel": channel,
                    "activation": Activation.RELU},
                k0={"value": bits(0.5)}, k1={"value": bits(-2)}, k2={"value": bits(3)},
                k__base={"address": base}, k__n5={"stride": stride},
                o0__mode=output(1, E4M3)))


@cocotb.test()
async def turns(dut):
    """A map and its turned copy, rounds of 8 apart; in place; alone a word a cycle a datapath."""
    driver, _ = await started(dut, "turn")
    rows = 16 if CONFIG.words >= 1024 else 2
    groups = 8 * rows
    values = {
        "counts": {"n0": 8, "n1": rows}, "op": {
            "a": X, "b": ONE, "c": ZERO, "d": T, "e": ONE, "f": ZERO,
            "activation": Activation.RELU},
        "x__n01": {"n0": rows, "n1": 1}, "o0__base": {"address": 5 * groups + SKEW},
        "o0__n01": {"n0": 1, "n1": 8}, "o0__mode": output(1, E4M3, turn=1)}
    for modes in ({}, {"o1__mode": output(1, E4M3)}, {"o1__mode": output(1)},
                  {"o0__mode": output(1, E4M3), "o2__mode": output(0, E5M2, turn=1)},
                  {"o0__mode": output(1, E5M2, stochastic=1, turn=1),
                   "o1__mode": output(1, E5M2, stochastic=1)}):
        places = {"o1__base": {"address": groups}, "o1__n01": {"n0": 4, "n1": 32},
                  "o2__base": {"address": 6 * groups + 2 * SKEW}, "o2__n01": {"n0": rows, "n1": 1},
                  "number__n01": {"n0": 3, "n1": 24}}
        await under_stalls(driver, registers(**{**values, **places, **modes}))
    await under_stalls(driver, registers(**{
        **values, "o0__base": {"address": 0}, "o0__n01": values["x__n01"]}))
    driver.stall(0, 0)
    cycles = await driver.check(registers(**values, outer={"split": 2}))
    least = groups // CONFIG.vector_datapaths
    dut._log.info(f"{groups} turned groups: {cycles} cycles")
    assert cycles <= 4 / 3 * least + 50


def pooled(window: tuple[int, int], rounds: int, modes: dict, **more) -> dict:
    """Registers of the largest over windows of groups of x that lie one after the other."""
    size = window[0] * window[1]
    places = {o: rounds * (size + 4 * i) + SKEW * i for i, o in enumerate(("o0", "o1", "o2"))}
    values = {"counts": {"n0": window[0], "n1": window[1], "n2": rounds},
              "x__n01": {"n0": 1, "n1": window[0]}, "x__n23": {"n2": size}}
    for name, mode in modes.items():
        values |= {f"{name}__base": {"address": places[name]},
                   f"{name}__n23": {"n2": SIZES[mode["format"]]}, f"{name}__mode": mode}
    op = {"a": X, "b": ONE, "c": ZERO, "negate_c": 1,  # keeps -0
          "d": T, "e": K0, "f": ZERO, "negate_f": 1, "reduce": Reduce.MAX}
    return {**values, "op": {**op, **more}, "k0": {"value": bits(-1)}}


@cocotb.test()
async def pooling(dut):
    """The largest of windows with many equal numbers, and with NaN; of x, -x and what is cut."""
    driver, draw = await started(dut, "pooling")
    rounds = 12 if CONFIG.words >= 256 else 3
    for codes in (SMALL, (0, 0x80), range(256)):
        words = driver.words.copy()
        count = min(9 * rounds, CONFIG.words // 4)
        words[:count] = np.array(draw.choices(codes, k=8 * count), np.uint8).view(np.uint64)
        for window in ((2, 2), (3, 3), (1, 1), (1, 2)):
            modes = {o: output(0, draw.choice((E4M3, E5M2, BINARY32))) for o in ("o0", "o1", "o2")}
            for more in ({}, {"source": 1}, {"source": 1, "activation": Activation.RELU}):
                await driver.load(words)
                driver.stall(*draw.choice(STALLS))
                await driver.check(registers(**pooled(window, rounds, modes, **more)))


@cocotb.test()
async def winners_of_a_long_window(dut):
    """Each lane has its winner elsewhere: the first group, the last, at powers of two."""
    driver, _ = await started(dut, "long")
    n0, n1 = (45, 33) if CONFIG.words >= 2048 else (9, 7)
    words = np.zeros((n0 * n1, 8), np.uint8)
    winners = (0, 1, n0, n0 * n1 - 1, n0 * n1 // 2, 1 << (n0 * n1).bit_length() - 1,
               (1 << (n0 * n1).bit_length() - 1) - 1, 3)
    words[list(winners), range(8)] = 0x38
    driver.words[:n0 * n1] = words.view(np.uint64)[:, 0]
    await driver.load(driver.words)
    await driver.check(registers(**pooled((n0, n1), 1, {"o2": output()})))
    place = n0 * n1 + 8 + 2 * SKEW
    assert tuple(driver.words[place:place + 4].view(np.float32)) == winners


@cocotb.test()
async def gradient_of_pooling(dut):
    """y goes where z is the number of the place in the window, else +0."""
    driver, draw = await started(dut, "gate")
    groups = min(32, CONFIG.words // 16)
    for code in (E4M3, BINARY32):
        few = (0, -0.0, 1, 2, 3 + 2**-20, 3, 4.5, -8, 8, 30)
        numbers = np.array(draw.choices(few, k=8 * groups), np.float32)
        for gate in (1, 2, 3, 4, 9, 31):
            if code == BINARY32:
                driver.words[:4 * groups] = numbers.view(np.uint64)
            else:  # powers of two and their like are exact
                driver.words[:groups] = np.array(draw.choices(SMALL, k=8 * groups),
                                                 np.uint8).view(np.uint64)
            await driver.load(driver.words)
            await under_stalls(driver, registers(
                **dense(groups, z=(0, SIZES[code]), y=(4 * groups, 1), o0=(5 * groups, 2)),
                inputs={"z": code}, op={"a": Y, "b": ONE, "c": ZERO, "gate": gate},
                o0__mode=output(0, E5M2)))


@cocotb.test()
async def rates(dut):
    """A group a cycle for FP8, 4 cycles for binary32, and a word a cycle of sums; windows. So many
    times as there are datapaths. Streams meet in a bank now and then: a seventh more, at most, and
    a third where there are several datapaths."""
    driver, _ = await started(dut, "rates")
    datapaths = CONFIG.vector_datapaths
    groups = CONFIG.words // 32
    overhead, meeting = 40, 8 / 7 if datapaths == 1 else 4 / 3
    op = {"a": X, "b": Y, "c": Z, "d": T, "e": ONE, "f": ZERO}
    fp8 = {"x": E4M3, "y": E5M2, "z": E4M3}

    async def check(what: str, least: float, **values):
        cycles = await driver.check(registers(**values))
        dut._log.info(f"{what}: {cycles} cycles, at least {least / datapaths}")
        assert least / datapaths <= cycles <= meeting * -(-least // datapaths) + overhead, what

    for size, inputs, modes, per_group in (
            (1, fp8, {"o0__mode": output(1, E4M3)}, 1),
            (1, fp8, {"o0__mode": output(1, E4M3), "o1__mode": output(0, E5M2)}, 2),
            (1, fp8, {"o0__mode": output(1)}, 4),
            (4, dict.fromkeys(fp8, BINARY32), {"o0__mode": output(1), "o1__mode": output(0),
                                               "o2__mode": output(1, E4M3)}, 4)):
        first = {name: i * (groups * 4 + SKEW)
                 for i, name in enumerate(("x", "y", "z", "o0", "o1", "o2"))}
        places = {name: (first[name], size) for name in fp8}
        for name in ("o0", "o1", "o2"):
            wide = modes.get(f"{name}__mode", {}).get("format") == BINARY32
            places[name] = (first[name], 4 if wide else 1)
        await check(f"{groups} groups, {per_group} cycles each", per_group * groups,
                    **dense(groups, **places), inputs=inputs, op=op, outer={"split": 1}, **modes)
    await check(
        f"{groups // 2} sums of one group", 4 * (groups // 2),
        counts={"n0": 1, "n2": groups // 2}, outer={"split": 3}, x__n23={"n2": 1}, op={
            "a": X, "b": ONE, "c": ZERO, "reduce": 1, "quantum": -10},
        o2__base={"address": CONFIG.words * 3 // 4}, o2__n23={"n2": 4})
    for window, format in (((2, 2), E4M3), ((3, 3), E5M2), ((2, 2), BINARY32)):
        size = window[0] * window[1]
        rounds = (CONFIG.words - 2 * SKEW) // (size + 12)
        await check(f"{rounds} windows of {size}", rounds * size, **pooled(
            window, rounds, {o: output(0, format) for o in ("o0", "o1", "o2")}),
            outer={"split": 3})
    blocks = 4
    groups = CONFIG.words // 16
    await check(
        f"{blocks} rounds of {groups} groups with two coefficients", blocks * (groups + 2 * 4 + 3),
        counts={"n0": groups}, outer={"n5": blocks, "split": 6}, x__n01={"n0": 1},
        x__n45={"n5": groups}, o0__base={"address": 4 * groups}, o0__n01={"n0": 1},
        o0__n45={"n5": groups}, op={"a": X, "b": K0, "c": K1, "channel": 3},
        o0__mode=output(0, E4M3), k__base={"address": 8 * groups}, k__n5={"stride": 8})
