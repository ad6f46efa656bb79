"""A tree and its adder: every pair of codes alone in a lane, then full words on accumulators."""

from itertools import product

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge, Timer

from isa.config import LANES, Config
from isa.formats import FP8
from verif import bench, seeds
from verif.streams import start
from verif.tensor import exact


class Driver:
    """Gives the tree one vector a cycle and compares what comes out."""

    def __init__(self, dut, config: Config):
        self.dut = dut
        self.config = config
        self.stages = config.tree_stages
        self.under_way = []
        self.checked = 0

    async def cycle(self, s_codes: bytes, m_codes: bytes, accumulator: int, poison: int,
                    expected: tuple[int, bool]):
        """`accumulator` and `poison` are added to these products, `tree_stages` cycles later."""
        dut = self.dut
        dut.s_codes.value = int.from_bytes(s_codes, "little")
        dut.m_codes.value = int.from_bytes(m_codes, "little")
        self.under_way.append((s_codes, m_codes, accumulator, poison, expected))
        done = self.under_way.pop(0) if len(self.under_way) > self.stages else None
        if done:
            bits = self.config.accumulator_bits
            dut.accumulator.value = (done[2] & ((1 << bits) - 1)) | done[3] << bits
        await (RisingEdge(dut.clk) if self.stages else Timer(1, "ns"))
        if done:
            self._compare(*done)

    def _compare(self, s_codes, m_codes, accumulator, poison, expected):
        result = int(self.dut.result.value)
        bits = self.config.accumulator_bits
        total, poisoned = expected
        poisoned = bool(poisoned or poison)
        what = f"{s_codes.hex()} x {m_codes.hex()} + {accumulator:#x}"
        assert result >> bits == poisoned, f"{what}: poison is {result >> bits}"
        if not poisoned:
            want = exact.wrapped(accumulator + total, self.config)
            seen = exact.wrapped(result, self.config)
            assert seen == want, f"{what} = {seen:#x}, expected {want:#x}"
        self.checked += 1

    async def drain(self):
        for _ in range(self.stages):
            await self.cycle(bytes(LANES), bytes(LANES), 0, 0, (0, False))
        self.under_way.clear()


async def _begin(dut):
    config = Config(**bench.parameters()["config"])
    if config.tree_stages:
        await start(dut)
    return config, Driver(dut, config)


def _table(dut, config: Config, s_format: int, m_format: int):
    dut.s_format.value, dut.m_format.value = s_format, m_format
    return exact.products(s_format, m_format, config.lowest_exponent)


@cocotb.test(skip=not bench.parameters().get("exhaustive"))
async def every_pair(dut):
    config, driver = await _begin(dut)
    formats = exact.pairs(config.mode)
    for s_format, m_format in formats:
        table = _table(dut, config, s_format, m_format)
        for s in range(256):
            for m in range(256):
                lane = (s + m) % LANES
                term = table[s][m]
                await driver.cycle(bytes(s if i == lane else 0 for i in range(LANES)),
                                   bytes(m if i == lane else 0 for i in range(LANES)), 0, 0,
                                   (term or 0, term is None))
        await driver.drain()
    assert driver.checked >= len(formats) << 16


@cocotb.test()
async def full_words(dut):
    """Random and extreme words; accumulators anywhere, poisoned or not. Both formats of the mode
    change between words only when the tree is empty, as in an operation."""
    config, driver = await _begin(dut)
    rng = seeds.generator("tree")
    count = bench.parameters()["words"]
    for s_format, m_format in exact.pairs(config.mode):
        table = _table(dut, config, s_format, m_format)
        finite = np.array([c for c in range(256) if table[c][1] is not None], np.uint8)
        ends = [(FP8[f].max_code, 1) for f in (s_format, m_format)]
        for s, m, flip in product(*ends, (0, 0x80)):
            s_codes, m_codes = bytes([s] * LANES), bytes([m ^ flip] * LANES)
            await driver.cycle(s_codes, m_codes, 0, 0, exact.dot(table, s_codes, m_codes))
        for index in range(count):
            codes = rng.integers(0, 256, (2, LANES)).astype(np.uint8)
            if index % 8:
                codes[0] = rng.choice(finite, LANES)
                codes[1] &= 0xBF if index % 2 else 0xF7  # no NaN and no infinity
            s_codes, m_codes = (part.tobytes() for part in codes)
            bits = int(rng.integers(1, config.accumulator_bits))
            accumulator = int.from_bytes(rng.bytes(16), "little") & ((1 << bits) - 1)
            if rng.integers(2):
                accumulator = -accumulator
            await driver.cycle(s_codes, m_codes, accumulator, int(rng.integers(16) == 0),
                               exact.dot(table, s_codes, m_codes))
        await driver.drain()
    assert driver.checked >= count
