"""The functions of the vector unit against the model: every exponent, every entry of the tables."""

import cocotb
import numpy as np

from isa.registers import Activation
from sim import functions
from verif import bench, seeds, streams

GIVEN = bench.parameters()
COPIES = GIVEN["copies"]
SIGN = np.uint32(1 << 31)
NAN = np.uint32(0x7FC00000)
LOW = 23 - 7  # bits of a fraction below those that choose an entry


def numbers(rng) -> np.ndarray:
    """Every sign, exponent and entry, with few, many and random bits below; infinities, NaN."""
    tops = np.arange(1 << 32 - LOW, dtype=np.uint32) << LOW
    tops = tops[tops >> 23 & 255 != 255]
    below = [0, 1, (1 << LOW - 1) - 1, 1 << LOW - 1, (1 << LOW) - 1]
    below = [np.uint32(b) for b in below] + [rng.integers(0, 1 << LOW, tops.size, np.uint32)]
    special = np.array([0x7F800000, 0xFF800000, NAN], np.uint32)
    return np.concatenate([special, *(tops | b for b in below)])


def steps() -> np.ndarray:
    """Multiples of 1/64 to beyond both limits, and the numbers next to them."""
    near = (np.arange(-8200, 8200) / 64).astype(np.float32)
    ends = [np.nextafter(near, np.float32(end)) for end in (-np.inf, np.inf)]
    return np.concatenate([near, *ends]).view(np.uint32)


def packed(bits: np.ndarray) -> list[int]:
    """COPIES numbers a word."""
    return [int.from_bytes(row.tobytes(), "little") for row in bits.reshape(-1, COPIES)]


async def compare(dut, activation: int, given: np.ndarray, rng):
    """Sends numbers back to back, with cycles without `en`."""
    given = np.resize(given, -(-given.size // COPIES) * COPIES)
    with np.errstate(all="ignore"):
        wanted = functions.BY_ACTIVATION.get(activation, lambda u: u)(given.view(np.float32))
    wanted = np.ascontiguousarray(wanted, np.float32).view(np.uint32)
    sent, results = packed(given), packed(wanted)
    dut.activation.value = sum(activation << 3 * i for i in range(COPIES))
    stalls = rng.random(1 << 12) < 0.1
    at = cycle = 0
    while at <= len(sent):
        en = not stalls[cycle % stalls.size]
        cycle += 1
        dut.en.value = int(en)
        dut.u.value = sent[min(at, len(sent) - 1)]
        await streams.cycles(dut)
        # read is what was there before this edge: of the word before
        if at and streams.read(dut.out) != results[at - 1]:
            found = np.frombuffer(streams.read(dut.out).to_bytes(4 * COPIES, "little"), np.uint32)
            first = (at - 1) * COPIES
            raise AssertionError([
                f"{activation!r} of {given[first + i]:08x}: {found[i]:08x}, the model has "
                f"{wanted[first + i]:08x}" for i in range(COPIES) if found[i] != wanted[first + i]])
        at += en
    dut._log.info(f"{given.size} numbers of {activation!r} in {cycle} cycles")


@cocotb.test()
async def every_exponent_and_entry(dut):
    rng = seeds.generator("function")
    await streams.start(dut)
    given = numbers(rng)
    rng.shuffle(given)
    for activation in functions.BY_ACTIVATION:
        await compare(dut, activation, given, rng)


@cocotb.test()
async def every_step(dut):
    rng = seeds.generator("function steps")
    await streams.start(dut)
    for activation in functions.BY_ACTIVATION:
        await compare(dut, activation, steps(), rng)


@cocotb.test()
async def others_pass(dut):
    rng = seeds.generator("function others")
    await streams.start(dut)
    given = numbers(rng)[::101]
    for activation in set(Activation) - set(functions.BY_ACTIVATION):
        await compare(dut, activation, given, rng)
