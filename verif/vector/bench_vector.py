"""The vector unit on a scratchpad, every word of it against the model."""

import cocotb
import numpy as np

from isa.memmap import Trap
from isa.registers import Reduce
from sim import floats
from verif import seeds, streams
from verif.vector.driver import registers
from verif.vector.operations import (
    BFLOAT16,
    BINARY32,
    CONFIG,
    E4M3,
    E5M2,
    GIVEN,
    K0,
    K1,
    K2,
    ONE,
    STALLS,
    ZERO,
    T,
    X,
    bits,
    dense,
    output,
    started,
    under_stalls,
)
from verif.vector.shapes import SIZES, Shapes, spoiled, word


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
    bad += [{"outer": {loop: 0}} for loop in ("n4", "n5")]
    bad += [{"outer": {"split": 7}}]
    bad += [{"op": {**good["op"], "reduce": reduce}, "outer": {"split": split}}
            for reduce in (Reduce.SUM, Reduce.MAX) for split in (1, 2)]
    bad += [{"op": {**good["op"], name: code}} for name in "abc" for code in (8, 9, 15)]
    bad += [{"op": {**good["op"], name: code}} for name in "def" for code in (9, 12, 15)]
    bad += [{"op": {**good["op"], **more}} for more in (
        {"activation": 7}, {"reduce": 3}, {"reduce": 1, "quantum": -65},
        {"reduce": 1, "quantum": 64}, {"reduce": 1, "quantum": 127},
        {"reduce": 1, "quantum": -128})]
    largest = {**good["op"], "a": ONE, "reduce": Reduce.MAX, "quantum": -128}
    turned = {**dense(8, x=(0, 1), o0=(8, 1)), "o0__mode": output(0, E4M3, turn=1)}
    bad += [{**turned, **more} for more in (
        {"counts": {"n0": 9}}, {"counts": {"n0": 4, "n1": 3}}, {"outer": {"split": 1}},
        {"counts": {"n0": 4, "n1": 2}, "outer": {"split": 2}},
        {"o0__mode": output(0, BINARY32, turn=1)}, {"o0__mode": output(0, BFLOAT16, turn=1)},
        {"op": {**good["op"], "reduce": Reduce.SUM}}, {"op": {**good["op"], "reduce": Reduce.MAX}},
        {"o1__mode": output(0, E5M2, turn=1)})]
    bad += [{"op": {**good["op"], "reduce": reduce}, "tally": tally} for reduce, tally in (
        (Reduce.NONE, {"across": 1}), (Reduce.MAX, {"across": 1}),
        (Reduce.SUM, {"histogram": 1}), (Reduce.MAX, {"histogram": 1}))]
    bad += [{"tally": {"histogram": 1}, "outer": {"split": split}} for split in range(1, 7)]
    for change in bad:
        values = registers(**{**good, **change})
        await driver.begin(values)
        trap, cycles = await driver.end()
        assert trap == Trap.SHAPE, (change, trap)
        assert cycles < 8, change
    await driver.compare("after traps, none of which may write")
    good_too = [{}, turned, {**turned, "o1__mode": {"turn": 1}},
                {**turned, "outer": {"split": 2}},
                {**turned, "counts": {"n0": 2, "n1": 4}, "outer": {"split": 3}},
                {"op": {**good["op"], "quantum": -128}},
                {"op": {**good["op"], "reduce": 1, "quantum": 63}, "o2__mode": output(0, 3)},
                {"op": {**good["op"], "reduce": 1, "quantum": -64}}, {"op": largest},
                *({"outer": {"split": split}} for split in range(1, 7)),
                *({"op": {**good["op"], "reduce": Reduce.SUM}, "outer": {"split": split}}
                  for split in range(3, 7)),
                {"op": {**good["op"], "channel": 7, "gate": 31}, "k__base": {"address": 4}},
                {"op": {**good["op"], "gate": 0}, "k__base": {"address": CONFIG.words}}]
    for change in good_too:
        values = registers(**{**good, **change})
        await driver.check(values)
    channel = {**good, "op": {**good["op"], "channel": 4}}
    assert CONFIG.words >= 32
    for name, base, base_of in (
            ("x", CONFIG.words, good), ("x", CONFIG.words - 1, good),
            ("o0", CONFIG.words - 1, good), ("o0", (1 << 20) - 1, good),
            ("x", (1 << 32) - 1, good), ("k", CONFIG.words - 8, channel),
            ("k", CONFIG.words - 11, channel), ("k", (1 << 20) - 9, channel)):
        await driver.begin(registers(**{**base_of, f"{name}__base": {"address": base}}))
        trap, _ = await driver.end()
        assert trap == Trap.ADDRESS, (name, base, trap)
        await driver.load(driver.words)
        await driver.check(registers(**good))
    await driver.check(registers(**channel, k__base={"address": CONFIG.words - 12}))
    await driver.check(registers(**channel, k__base={"address": (1 << 20) - 8}))


@cocotb.test()
async def one_datapath_traps(dut):
    """A share begins, or goes, beyond the scratchpad while the others have work."""
    driver, draw = await started(dut, "trap of one")
    groups = CONFIG.words // 4
    places = {"x": 0, "o0": groups, "k": 2 * groups}
    values = {**dense(groups, x=(0, 1), o0=(groups, 1)), "op": {
        "a": X, "b": K0, "c": ZERO, "channel": 1}, "k__base": {"address": places["k"]},
        "o0__mode": output(0, E4M3)}
    for split, loop in ((3, "n2"), (6, "n5")):
        for rounds in range(2, 6):
            for name in places:
                pair = {"n2": "n23", "n5": "n45"}[loop]
                if name == "k" and loop == "n2":
                    continue
                # the last round begins there
                step = -(-(CONFIG.words - places[name]) // (rounds - 1))
                steps = {"k__n5": {"stride": step}} if name == "k" else {
                    f"{name}__{pair}": {loop: step}}
                counts = {**values["counts"], **({"n2": rounds} if loop == "n2" else {})}
                outer = {"split": split, **({"n5": rounds} if loop == "n5" else {})}
                driver.stall(*draw.choice(STALLS))
                await driver.begin(registers(**{**values, "counts": counts, "outer": outer,
                                                **steps}))
                trap, _ = await driver.end()
                assert trap == Trap.ADDRESS, (split, rounds, name, trap)
                assert not streams.read(dut.stray)
                await driver.load(driver.words)
                await driver.check(registers(**values, outer={"split": 1}))


@cocotb.test()
async def conversions_between_all_formats(dut):
    driver, _ = await started(dut, "conversions")
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
    for given, wanted in ((a, b) for a in SIZES for b in SIZES):
        driver.words[:4 * groups] = words[:4 * groups]
        if given == BINARY32:
            driver.words[:4 * groups] = values.view(np.uint64)
        await driver.load(driver.words)
        for scale in (0, 3, -5, 127, -128):
            await driver.check(registers(
                **dense(groups, x=(0, SIZES[given]), o0=(5 * groups, SIZES[wanted])),
                inputs={"x": given}, op={"a": X, "b": ONE, "c": ZERO},
                o0__mode=output(0, wanted, scale=scale)))
    fp8 = floats.decode(floats.of_code(E4M3), np.arange(8, dtype=np.uint8))
    assert fp8[1] == 2.0**-9  # the model is awake


@cocotb.test()
async def stochastic_rounding(dut):
    driver, draw = await started(dut, "stochastic")
    groups = min(64, CONFIG.words // 16)
    for key in (0, 0xFFFFFFFF, draw.getrandbits(32)):
        for number, stride in ((0, 1), (0xFFFFFFF0, 3), (1 << 29, -5), (7, 0)):
            values = dense(groups, x=(0, 4), o0=(9 * groups, -1), o1=(10 * groups, 2),
                           o2=(12 * groups, 2))
            await under_stalls(driver, registers(
                **values, inputs={"x": BINARY32}, key={"key": key},
                op={"a": X, "b": ONE, "c": ZERO, "d": T, "e": T, "f": ZERO},
                number__base={"word": number}, number__n01={"n0": stride},
                o0__mode=output(0, E4M3, stochastic=1),
                o1__mode=output(1, E5M2, stochastic=1, scale=-3),
                o2__mode=output(1, BFLOAT16, stochastic=draw.getrandbits(1))))


@cocotb.test()
async def every_half_in_bfloat16(dut):
    """The last kept bit, the half and what is below it, at the ends of the range and at NaN."""
    driver, _ = await started(dut, "bfloat16")
    tops = np.array([0, 1, 0x7F, 0x80, 0x3F80, 0x3F81, 0x7F7E, 0x7F7F, 0x7F80, 0x7F81, 0x7FFF],
                    np.uint32) << 16
    lows = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    numbers = (tops[:, np.newaxis] | lows).ravel()
    numbers = np.concatenate([numbers, numbers | 1 << 31])
    groups = -(-numbers.size // 8)
    numbers = np.resize(numbers, 8 * groups).astype(np.uint32)
    part = min(groups, CONFIG.words // 8)
    for first in range(0, groups, part):
        driver.words[:4 * part] = np.resize(numbers[8 * first:], 8 * part).view(np.uint64)
        await driver.load(driver.words)
        for stochastic in (0, 1):
            await driver.check(registers(
                **dense(part, x=(0, 4), o0=(5 * part, 2)), inputs={"x": BINARY32},
                number__n01={"n0": 1}, op={"a": X, "b": ONE, "c": ZERO},
                o0__mode=output(0, BFLOAT16, scale=5, stochastic=stochastic)))


@cocotb.test()
async def nothing_in_nothing_out(dut):
    driver, _ = await started(dut, "nothing")
    await driver.check(registers())  # one group of zeros for nobody
    await driver.check(registers(counts={"n0": 3, "n1": 2}, op={"a": K0, "b": K1, "c": K2}))
    await driver.check(registers(**dense(3, o1=(7, 4)), o1__mode=output(0),
                                 op={"a": ONE, "b": K0, "c": K0}, k0={"value": bits(1.25)}))


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
        driver.counts = None
        if draw.random() < 0.5:
            await streams.cycles(dut, 4)
            await driver.load([word(draw) for _ in range(CONFIG.words)])
            await driver.check(shapes.operation(GIVEN["groups"]))
