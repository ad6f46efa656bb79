"""The tensor unit against the model: the operations that training runs."""

import cocotb
import numpy as np

from isa.config import Config
from isa.formats import FormatCode
from isa.memmap import Trap
from isa.registers import (
    COUNT_BITS,
    REDUCTION,
    REDUCTION_BITS,
    AuxMode,
    Skip,
    StatsMode,
    Unit,
)
from sim import cycles, tensor
from sim.outcome import Outcome
from verif import bench, seeds
from verif.tensor.driver import COUNTED, Driver, registers
from verif.tensor.operations import convolution, gemm

GIVEN = bench.parameters()
CONFIG = Config(**GIVEN["config"])
HALF = CONFIG.words // 2  # outputs lie from here on
DRAW = seeds.generator("unit")
TEST = {"timeout_time": 20, "timeout_unit": "ms"}


def moderate(count, specials=False):
    """Words of FP8 codes of middling size, some zeros; NaN among them only if asked for."""
    codes = DRAW.integers(0, 256, (count, 8), np.uint8)
    if not specials:
        codes = (codes & 0x80) | (0x20 + codes % 0x30).astype(np.uint8)
    codes[DRAW.random(codes.shape) < 0.3] = 0
    return codes.view(np.uint64)[:, 0]


async def begin(dut, specials=False):
    driver = Driver(dut, CONFIG)
    driver.words[:] = moderate(CONFIG.words, specials)
    await driver.start()
    return driver


def small_gemm(cores=1, **more):
    block = CONFIG.block
    return gemm(2 * block, 16 * cores, 8 * min(3, CONFIG.max_passes), block=block, stream=0,
                stationary=512, output=HALF, cores=cores, **more)


async def with_stalls(driver, values):
    for stall in (0, 0.3):
        driver.memory.stall = stall
        driver.words[HALF:] = moderate(HALF)
        await driver.check(values)


@cocotb.test(**TEST)
async def products(dut):
    driver = await begin(dut)
    await with_stalls(driver, small_gemm(mode={"scale": -4}))
    await with_stalls(driver, small_gemm(mode={"scale": -4, "transpose": 1}))
    for cores in range(2, CONFIG.cores + 1):
        await with_stalls(driver, small_gemm(cores=cores, mode={"scale": -4}))


@cocotb.test(**TEST)
async def outputs(dut):
    driver = await begin(dut)
    for output, words in ((FormatCode.E5M2, 1), (FormatCode.BINARY32, 4),
                          (FormatCode.RAW, CONFIG.raw_words)):
        cores = CONFIG.cores if output == FormatCode.E5M2 else 1
        await with_stalls(driver, small_gemm(output_words=words, cores=cores,
                                             mode={"output": output, "scale": 0}))


@cocotb.test(skip=CONFIG.block < 8, **TEST)
async def turns(dut):
    driver = await begin(dut)
    for mode in ({"turn_stream": 1}, {"turn_output": 1}, {"turn_stream": 1, "turn_output": 1}):
        for stochastic in (0, 1):
            await with_stalls(driver, small_gemm(
                mode={**mode, "scale": -4, "stochastic": stochastic}, key={"key": 0x12345678},
                number__base={"word": 0x1FFFFFFC}, number__p0={"stride": 1},
                number__b0={"stride": CONFIG.block}, number__b1={"stride": -4 * CONFIG.block}))


@cocotb.test(**TEST)
async def finishing(dut):
    driver = await begin(dut)
    bias = 1000
    values = (DRAW.standard_normal(64) * 30).astype(np.float32)
    driver.words[bias:bias + 32] = values.view(np.uint64)
    for mode in ({"bias": 1}, {"relu": 1}, {"bias": 1, "relu": 1, "stochastic": 1},
                 {"bias": 1, "relu": 1, "output": FormatCode.BINARY32},
                 {"mask": 1}, {"mask": 1, "bias": 1, "stochastic": 1}, {"aux": AuxMode.ELEMENT},
                 {"aux": AuxMode.ELEMENT, "mask": 1, "output": FormatCode.E5M2}):
        words = 4 if mode.get("output") == FormatCode.BINARY32 else 1
        await with_stalls(driver, small_gemm(
            output_words=words, mode={**mode, "scale": -3}, key={"key": 77},
            bias__base={"address": bias}, bias__b1={"stride": 4},
            aux__base={"address": 100}, mask__base={"address": 101}, aux__p0={"stride": 1},
            aux__b0={"stride": CONFIG.block}, aux__b1={"stride": 2 * CONFIG.block}))


@cocotb.test(skip=CONFIG.max_passes < 4, **TEST)
async def stored_sums(dut):
    """A product in two halves, the sums of the first stored raw and added in the second, is the
    whole product, poison included."""
    driver = await begin(dut)
    for specials in (False, True):
        driver.words[:] = moderate(CONFIG.words, specials)
        await store_and_add(driver)


async def store_and_add(driver):
    rows, words = CONFIG.block, CONFIG.raw_words
    places = {"stream": 0, "stationary": 512, "block": CONFIG.block}
    raw = {"output": FormatCode.RAW}
    whole = gemm(rows, 8, 32, **places, output=HALF, output_words=words, mode=raw)
    await driver.check(whole)
    expected = driver.words[HALF:HALF + rows * words].copy()

    def half(second, **more):
        values = gemm(rows, 8, 16, **places, output=HALF, **more)
        values["tensor.stream.base"]["address"] += 2 * rows * second
        values["tensor.stationary.base"]["address"] += 16 * second
        return values

    for stall in (0, 0.4):
        driver.memory.stall = stall
        driver.words[HALF:] = 0
        await driver.check(half(0, output_words=words, mode=raw))
        aux = {"aux__base": {"address": HALF}, "aux__p0": {"stride": words}, "depth": {"passes": 2}}
        await driver.check(half(1, output_words=words, **aux,
                                mode={**raw, "aux": AuxMode.RAW}))  # in place
        assert (driver.words[HALF:HALF + rows * words] == expected).all()
        final = half(1, **aux, mode={"aux": AuxMode.RAW, "scale": -5, "relu": 1})
        final["tensor.output.base"]["address"] += rows * words
        await driver.check(final)


@cocotb.test(skip=CONFIG.block < 8, **TEST)
async def convolutions(dut):
    driver = await begin(dut)
    for stride, transpose in ((1, 0), (2, 0), (1, 1)):
        columns = 4
        await with_stalls(driver, convolution(
            8, 8, 16, 16, rows=CONFIG.block // columns if CONFIG.block < 16 else 4 // stride,
            columns=columns, stride=stride, stream=64, stationary=300, output=HALF,
            mode={"scale": -6, "transpose": transpose}))


@cocotb.test(**TEST)
async def specials(dut):
    """NaN and infinity of the operands, saturation; the flags are those of live outputs."""
    driver = await begin(dut, specials=True)
    wide = int(CONFIG.mode != "e4m3")
    for stationary, stream in ((0, 0), (wide, 0), (0, wide)):
        formats = {"stationary": stationary, "stream": stream}
        await driver.check(small_gemm(mode={**formats, "scale": 10}))
        await driver.check(small_gemm(mode={**formats, "scale": -10, "output": 1}))
    driver.words[:] = moderate(CONFIG.words)
    clean = await driver.check(small_gemm(mode={"scale": -6}))
    assert not clean.nan
    loud = await driver.check(small_gemm(mode={"scale": 20}))
    assert loud.saturations


# what only FP8 outputs have
NARROW = ({"stats": StatsMode.SQUARE}, {"stats": StatsMode.NORM}, {"aux": AuxMode.ELEMENT})


def skips():
    """Rows of `small_gemm` that what is skipped does not go with."""
    elements, outputs = {"skip": Skip.ELEMENTS}, {"skip": Skip.OUTPUTS, "mask": 1}
    ones = {"reduction": {"r0": 1}}
    if CONFIG.slot == 1:
        return [ones | {"mode": elements}, {"mode": outputs}]
    apart = [{"stride": 2}, {"stride": 1, "dy": 1}, {"stride": 1, "dx": 1}]
    return [
        ones | {"mode": {"skip": Skip.ELEMENTS | Skip.OUTPUTS, "mask": 1}},
        ones | {"mode": elements | {"turn_stream": 1}},
        {"mode": outputs | {"turn_stream": 1}},
        {"mode": elements, "reduction": {"r0": CONFIG.slot + 1}, "stream__r0": {"stride": 1}},
        *({"mode": elements, "reduction": {"r0": 2}, "stream__r0": step} for step in apart),
        *({"mode": outputs, "stream__p0": step} for step in apart),
        {"mode": {"skip": Skip.OUTPUTS}},
        {"mode": outputs | {"turn_output": 1}},
        *({"mode": outputs, "positions": {"p0": p0}} for p0 in {1, CONFIG.slot - 1}),
    ]


def slots():
    """Rows of `small_gemm` with slots that may not be read."""
    if CONFIG.slot == 1:
        return []
    outputs = {"skip": Skip.OUTPUTS, "mask": 1}
    return [{"mode": outputs, "stream__base": {"address": 1}},
            {"mode": outputs, "mask__base": {"address": CONFIG.words - 1},
             "aux__p0": {"stride": 1}}]


def gates():
    """Operations with a gate that break a rule: all of them without slots."""
    if CONFIG.slot == 1:
        return [{"mode": {"gate": 1}}]
    modes = [{"mask": 1}, {"aux": AuxMode.RAW}, {"aux": AuxMode.ELEMENT}, {"output": 2},
             {"output": 3}, {"stats": StatsMode.NORM}, {"turn_output": 1}]
    rows = [{"mode": {"gate": 1, **mode}} for mode in modes]
    rows.append({"mode": {"gate": 1}, "groups": {"groups": 1, "merge": 1}})
    if CONFIG.cores > 1:
        rows.append({"mode": {"gate": 1}, "positions": {"cores": 2}})
    rows.append({"mode": {"gate": 1, "skip": Skip.OUTPUTS}})
    return rows


@cocotb.test(**TEST)
async def traps(dut):
    driver = await begin(dut)
    legal = small_gemm(mode={"scale": -4})
    await driver.check(legal)

    def changed(**fields):
        values = {name: dict(row) for name, row in legal.items()}
        for name, row in fields.items():
            values[f"tensor.{name.replace('__', '.')}"].update(row)
        return values

    for cause, values in (
        *((Trap.SHAPE, changed(positions={p: 0})) for p in ("p0", "p1", "p2", "q0", "q1", "cores")),
        *((Trap.SHAPE, changed(reduction={r: 0})) for r in ("r0", "r3", "r4")),
        *((Trap.SHAPE, changed(blocks={b: 0})) for b in ("b0", "b3")),
        (Trap.SHAPE, changed(positions={"cores": CONFIG.cores + 1})),
        (Trap.SHAPE, changed(positions={"p0": CONFIG.block + 1})),
        (Trap.SHAPE, changed(positions={"p0": 4095, "p1": 4095, "p2": 4095})),
        (Trap.SHAPE, changed(positions={"q0": 4})),
        (Trap.SHAPE, changed(positions={"p0": 1}, mode={"turn_stream": 1})),
        (Trap.SHAPE, changed(positions={"p0": 1}, mode={"turn_output": 1})),
        (Trap.SHAPE, changed(mode={"turn_output": 1, "output": 2})),
        (Trap.SHAPE, changed(mode={"turn_output": 1, "bias": 1})),
        (Trap.SHAPE, changed(mode={"turn_output": 1, "stats": 1})),
        *((Trap.SHAPE, changed(mode={**mode, "output": 2})) for mode in NARROW),
        *((Trap.SHAPE, changed(mode={**mode, "output": 3})) for mode in NARROW),
        *((Trap.SHAPE, changed(mode={**mode, "aux": AuxMode.RAW})) for mode in NARROW[:2]),
        (Trap.SHAPE, changed(mode={"aux": 3})),
        (Trap.SHAPE, changed(mode={"stats": 3})),
        (Trap.SHAPE, changed(groups={"groups": 0})),
        (Trap.SHAPE, changed(groups={"groups": CONFIG.cores + 1})),
        (Trap.SHAPE, changed(groups={"groups": 15})),
        (Trap.SHAPE, changed(groups={"groups": 2}, positions={"cores": CONFIG.cores})),
        (Trap.SHAPE, changed(groups={"groups": 2, "merge": 1}, positions={"cores": CONFIG.cores})),
        *((Trap.SHAPE, changed(**rows)) for rows in (*skips(), *gates())),
        *((Trap.ADDRESS, changed(**rows)) for rows in slots()),
        *((Trap.SHAPE, changed(mode={"output": 3, f: 1})) for f in ("bias", "relu", "stochastic")),
        (Trap.DEPTH, changed(reduction={"r0": 4095, "r2": 4095, "r3": 4095})),
        (Trap.ADDRESS, changed(stream__base={"address": CONFIG.words})),
        (Trap.ADDRESS, changed(stationary__base={"address": CONFIG.words - 1})),
        (Trap.ADDRESS, changed(output__base={"address": 2**20 - 1})),
        (Trap.ADDRESS, changed(output__base={"address": CONFIG.words - 1})),
        *((Trap.ADDRESS, changed(**{f"{name}__base": {"address": CONFIG.words}}, mode=mode))
          for name, mode in (("aux", {"aux": AuxMode.RAW}), ("aux", {"aux": AuxMode.ELEMENT}),
                             ("mask", {"mask": 1}), ("norm", {"stats": StatsMode.NORM}))),
        (Trap.ADDRESS, changed(stats__base={"address": CONFIG.words + 1 - 2 * CONFIG.raw_words},
                               mode={"stats": StatsMode.SQUARE})),
        (Trap.ADDRESS, changed(bias__base={"address": CONFIG.words - 3}, mode={"bias": 1})),
        *((Trap.ADDRESS, changed(**{f"{name}__base": {"address": CONFIG.words}}, mode={"gate": 1}))
          for name in ("gate", "threshold") if CONFIG.slot > 1),
    ):
        if cause == Trap.DEPTH and CONFIG.max_passes > 3 * 4095**3:
            continue
        done = await driver.check(values)
        assert done.trap == cause, values
        await driver.check(legal)
    if CONFIG.max_passes < 2**32:
        room = CONFIG.max_passes - legal["tensor.reduction"]["r0"]
        await driver.check(changed(depth={"passes": room}))
        done = await driver.check(changed(depth={"passes": room + 1}))
        assert done.trap == Trap.DEPTH
    wide = {"stationary": 1, "stream": int(CONFIG.mode == "mixed")}
    if CONFIG.mode != "e5m2":
        done = await driver.check(changed(mode=wide))
        assert done.trap == Trap.SHAPE


@cocotb.test(**TEST)
async def left_out(dut):
    """Nothing is checked, read or written, nothing but the multiply-adds is counted, and what
    follows is done."""
    driver = await begin(dut)
    most = {"p0": 4095, "p1": 4095, "p2": 4095}
    for values in (registers(), small_gemm(), small_gemm(cores=CONFIG.cores),
                   registers(positions=most | {"q0": 15, "cores": 15}, groups={"groups": 15}),
                   registers(blocks={"b2": 0}, reduction={"r0": 77}),
                   *(_counts() for _ in range(20))):
        for count in (0, 1):
            done = await driver.run(values, left_out={"leave": 1, "count": count})
            outcome = tensor.left_out(values) if count else Outcome()
            for name in COUNTED:
                assert getattr(done, name) == getattr(outcome, name), (name, values)
            assert done.cycles == cycles.left_out(Unit.TENSOR, values, count), values
            assert (done.wait_stream, done.wait_stationary, done.wait_drain) == (0, 0, 0)
        await driver.check(small_gemm(mode={"scale": -4}), legal=True)
    assert not dut.events__busy.value
    assert tensor.left_out(registers(positions={"p0": 3, "cores": 5}, blocks={"b3": 7})
                           ).skipped_images == 64 * 3 * 5 * 7
    await driver.run(registers(positions=most), stop_after=5, left_out={"leave": 1, "count": 1})
    await driver.check(small_gemm(mode={"scale": -4}), legal=True)


def _counts():
    """Registers of an operation with any counts."""
    def below(most):
        return int(DRAW.integers(1, 1 + (most if DRAW.random() < 0.3 else 3)))

    return registers(
        positions={p: below(4095) for p in ("p0", "p1", "p2")} | {"cores": below(15)},
        reduction={r: below((1 << REDUCTION_BITS.get(r, COUNT_BITS)) - 1) for r in REDUCTION},
        blocks={f"b{i}": below(4095) for i in range(4)}, groups={"groups": below(15)})


@cocotb.test(**TEST)
async def stops(dut):
    driver = await begin(dut)
    values = small_gemm(mode={"scale": -4, "bias": 1, "mask": 1, "aux": AuxMode.ELEMENT,
                              "stats": StatsMode.SQUARE})
    for stop_after in (*range(14), 30, 47, 60, 75):
        driver.memory.stall = 0.5
        done = await driver.run(values, stop_after=stop_after)
        assert done.cycles <= stop_after + 4
        before = driver.memory.writes
        driver.memory.stall = 0.1
        await driver.check(registers(output__base={"address": HALF}))
        assert driver.memory.writes == before + 1


@cocotb.test(skip=CONFIG.slot == 1, **TEST)
async def stops_of_walks(dut):
    """What was read of masks and words is forgotten."""
    driver = await begin(dut)
    values = small_gemm(mode={"scale": -4, "mask": 1, "skip": Skip.OUTPUTS},
                        aux__p0={"stride": 1}, aux__b0={"stride": CONFIG.block})
    for stop_after in (*range(10, 26), 40, 57):
        driver.memory.stall = 0.3
        done = await driver.run(values, stop_after=stop_after)
        assert done.cycles <= stop_after + 4
        driver.words[HALF:] = 0
        driver.words[:64] = moderate(64)  # other masks
        driver.memory.stall = 0
        await driver.check(values, legal=True)
