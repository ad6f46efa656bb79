"""What the bench of the float units tests: each unit, its vectors and their results.

Results come from numpy float32, from `sim.floats`, or from integers. A set of vectors is two dicts,
of inputs and of outputs, port name to a list of integers (the bits; negative ones as they are).
"""

import math

import numpy as np

from hdl.arith.add import FloatAdd
from hdl.arith.fixed_to_float import FixedToFloat
from hdl.arith.from_fp8 import FromFp8
from hdl.arith.multiply import FloatMultiply
from hdl.arith.random import RandomBits
from hdl.arith.to_bfloat16 import ToBfloat16
from hdl.arith.to_fp8 import ToFp8
from isa.formats import FP8
from sim import floats

SPECIAL = np.array([0, 1, 2, 0x7FFFFF, 0x800000, 0x800001, 0xFFFFFF, 0x1000000, 0x33800000,
                    0x34000000, 0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x4B000000, 0x4B800000,
                    0x7F000000, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000, 0x7FFFFFFF],
                   np.uint32)
SPECIAL = np.concatenate([SPECIAL, SPECIAL | np.uint32(1 << 31)])


def bits_of_floats(rng: np.random.Generator, count: int) -> np.ndarray:
    """Random binary32 bits, biased to subnormals, few or many ones, and special numbers."""
    bits = rng.integers(0, 1 << 32, count, np.uint32)
    exponents = rng.integers(0, 4, count).astype(np.uint32) << 23
    kinds = [
        bits,
        bits & 0x807FFFFF,
        bits & 0x807FFFFF | exponents,
        bits & 0xFFF00000,
        bits & 0x80FFFFFF | 0x3F000000,
        bits | 0x007FFF00,
        rng.choice(SPECIAL, count),
        bits & 0x807FFFFF | 0x7E800000 + exponents,
    ]
    return np.choose(rng.integers(0, len(kinds), count), kinds).astype(np.uint32)


def pairs_of_floats(rng: np.random.Generator, count: int):
    """Pairs that cancel, nearly cancel, round at ties, or have a product at the range's ends."""
    a, b = bits_of_floats(rng, count), bits_of_floats(rng, count)
    opposite = a ^ np.uint32(1 << 31)
    near = opposite + rng.integers(-4, 5, count).astype(np.uint32)
    exponent = (a >> 23 & 0xFF).astype(np.int64)
    low = 127 - exponent + rng.integers(-26, 4, count)
    high = 381 - exponent + rng.integers(-2, 3, count)
    kinds = [b, b, opposite, near, a ^ (b & 0x81FFFFFF), _with_exponent(b, low),
             _with_exponent(b, high), rng.choice(SPECIAL, count)]
    return a, np.choose(rng.integers(0, len(kinds), count), kinds).astype(np.uint32)


def _with_exponent(bits, exponent):
    return bits & np.uint32(0x807FFFFF) | (np.clip(exponent, 0, 254).astype(np.uint32) << 23)


def _binary(operation):
    def vectors(rng, count):
        a, b = pairs_of_floats(rng, count)
        every = np.array(np.meshgrid(SPECIAL, SPECIAL)).reshape(2, -1)
        a, b = np.concatenate([a, every[0]]), np.concatenate([b, every[1]])
        with np.errstate(all="ignore"):
            out = floats.canonical(operation(a.view(np.float32), b.view(np.float32)))
        return _lists(a=a, b=b), _lists(out=out.view(np.uint32))
    return vectors


def _from_fp8(rng, count):
    codes = np.arange(512)
    out = np.concatenate([floats.decode(fmt, np.arange(256)) for fmt in FP8])
    return _lists(code=codes & 0xFF, format=codes >> 8), _lists(out=out.view(np.uint32))


def _random_bits(rng, count):
    parts = []
    for key in (0, 0xFFFFFFFF, *(int(k) for k in rng.integers(0, 1 << 32, 6))):
        index = rng.integers(0, 1 << 32, count // 8)
        index[:64] = np.arange(64)
        parts.append((np.full(len(index), key), index, floats.random16(key, index)))
    key, index, bits = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _lists(key=key, index=index), _lists(bits=bits)


def _to_fp8(rng, count):
    """For each format and rounding: all high halves of binary32 at scale 0, with low halves that
    are zero or one (to nearest) or random (stochastic), and random numbers at every scale."""
    halves = np.arange(1 << 16, dtype=np.uint32) << 16
    inputs = {name: [] for name in ("value", "format", "scale", "stochastic", "random")}
    outputs = {"code": [], "saturated": []}
    for number, fmt in enumerate(FP8):
        for stochastic in (0, 1):
            lows = [rng.integers(0, 1 << 16, 1 << 16, np.uint32)] if stochastic else [0, 1]
            groups = [(halves | np.asarray(low, np.uint32), 0) for low in lows]
            for scale in range(-128, 128):
                near = rng.integers(-20, 20, count // 256) + 127 - scale
                value = _with_exponent(bits_of_floats(rng, count // 256), near)
                coarse = rng.integers(0, 2, len(value)).astype(bool)
                value = np.where(coarse, value & np.uint32(0xFFF80000), value)
                groups.append((value, scale))
                groups.append((bits_of_floats(rng, 16), scale))
            for value, scale in groups:
                random = rng.integers(0, 1 << 16, len(value))
                code, saturated = floats.encode(fmt, value.view(np.float32), scale,
                                                random if stochastic else None)
                same = np.ones(len(value), np.int64)
                for column, part in (("value", value), ("format", same * number),
                                     ("scale", same * scale), ("stochastic", same * stochastic),
                                     ("random", random)):
                    inputs[column].append(part)
                outputs["code"].append(code)
                outputs["saturated"].append(saturated)
    return (_lists(**{k: np.concatenate(v) for k, v in inputs.items()}),
            _lists(**{k: np.concatenate(v) for k, v in outputs.items()}))


def _to_bfloat16(rng, count):
    """For each rounding: all high halves of binary32 with low halves that are zero, one, about a
    half, or random, and random numbers."""
    halves = np.arange(1 << 16, dtype=np.uint32) << 16
    lows = (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF, rng.integers(0, 1 << 16, 1 << 16, np.uint32))
    value = np.concatenate([*(halves | np.asarray(low, np.uint32) for low in lows),
                            bits_of_floats(rng, count)])
    value = np.concatenate([value, value])
    stochastic = np.arange(value.size) >= value.size // 2
    random = rng.integers(0, 1 << 16, value.size)
    nearest, by_random = (floats.to_bfloat16(value.view(np.float32), r) for r in (None, random))
    return (_lists(value=value, stochastic=stochastic, random=random),
            _lists(code=np.where(stochastic, by_random, nearest)))


def _fixed(width, exponent):
    def vectors(rng, count):
        values = [-(1 << (width - 1)), (1 << (width - 1)) - 1, 0, -1, 1]
        for kind in range(count):
            bits = int(rng.integers(1, width)) if width > 1 else 1
            value = int.from_bytes(rng.bytes(16), "little") & ((1 << bits) - 1)
            if kind % 3 == 0 and bits > 25:  # ties, and one beside a tie
                value = (value >> (bits - 25) << (bits - 25)) + kind % 2
            values.append(-value if rng.integers(2) else value)
        scale = rng.integers(-64, 64, len(values))
        nan = rng.integers(0, 16, len(values)) == 0
        out = [floats.CANONICAL_NAN if is_nan else _rounded(value, int(s) + exponent)
               for value, s, is_nan in zip(values, scale, nan, strict=True)]
        return ({"value": values} | _lists(scale=scale, nan=nan),
                _lists(out=np.array(out, np.float32).view(np.uint32)))
    return vectors


def _rounded(value: int, exponent: int) -> float:
    """value * 2^exponent with 24 significant bits, by integer arithmetic."""
    extra = max(abs(value).bit_length() - 24, 0)
    kept, rest, half = abs(value) >> extra, abs(value) & ((1 << extra) - 1), (1 << extra) // 2
    kept += extra > 0 and (rest > half or (rest == half and kept & 1))
    return math.copysign(math.ldexp(kept, exponent + extra), value)


def _lists(**arrays):
    return {name: np.asarray(array).astype(object).tolist() for name, array in arrays.items()}


# Name: (how to make the unit, its vectors, roughly how many of them).
UNITS = {
    "multiply": (FloatMultiply, _binary(np.multiply), 200_000),
    "add": (FloatAdd, _binary(np.add), 200_000),
    "from_fp8": (FromFp8, _from_fp8, 512),
    "to_fp8": (ToFp8, _to_fp8, 20_000),
    "to_bfloat16": (ToBfloat16, _to_bfloat16, 20_000),
    "random": (RandomBits, _random_bits, 20_000),
    **{f"fixed_{width}": (lambda width=width, exponent=exponent:
                          FixedToFloat(width=width, exponent=exponent),
                          _fixed(width, exponent), count)
       for width, exponent, count in ((72, -25, 30_000), (64, 0, 30_000), (88, -32, 10_000),
                                      (128, -80, 5_000), (40, -18, 10_000), (2, 0, 1_000))},
}
