"""The model's vector operation: each piece by hand, random operations against plain numpy."""

import numpy as np
import pytest

from isa.config import Config
from isa.expressions import float_bits
from isa.formats import E4M3, E5M2
from isa.memmap import Trap
from isa.registers import Activation, Operand, Unit
from sim import floats, functions, vector
from verif import seeds
from verif.registers import registers as registers_of

CONFIG = Config()
BINARY32 = 2
X, Y, Z, OUT0, OUT1, OUT2 = 0, 1000, 2000, 4000, 5000, 6000
BASES = {"x": X, "y": Y, "z": Z, "o0": OUT0, "o1": OUT1, "o2": OUT2}


def registers(**changes):
    """Registers of an operation at the bases above, with the given fields."""
    bases = {f"{stream}__base": {"address": base} for stream, base in BASES.items()}
    return registers_of(Unit.VECTOR, **(bases | changes))


def put(words, base, value):
    value = np.ascontiguousarray(value, np.float32)
    words[base:base + value.size // 2] = value.reshape(-1).view(np.uint64)


def get(words, base, groups):
    return words[base:base + 4 * groups].view(np.float32).reshape(groups, 8)


def test_momentum_step():
    generator = seeds.generator("momentum")
    words = np.zeros(CONFIG.words, np.uint64)
    g, m, w = (generator.standard_normal((6, 8)).astype(np.float32) for _ in range(3))
    for base, value in ((X, g), (Y, m), (Z, w)):
        put(words, base, value)
    quad = {"n0": 4}
    result = registers(
        counts={"n0": 6}, inputs={"x": BINARY32, "y": BINARY32, "z": BINARY32},
        k0={"value": float_bits(0.9)}, k1={"value": float_bits(-0.1)},
        op={"a": Operand.Y, "b": Operand.K0, "c": Operand.X,
            "d": Operand.T, "e": Operand.K1, "f": Operand.Z},
        x__n01=quad, y__n01=quad, z__n01=quad, o0__n01=quad, o1__n01=quad, o2__n01={"n0": 1},
        o0__base={"address": Y}, o1__base={"address": Z},
        o0__mode={"enable": 1, "format": BINARY32},
        o1__mode={"enable": 1, "format": BINARY32, "source": 1},
        o2__mode={"enable": 1, "format": 0, "source": 1, "scale": 2})
    assert vector.execute(CONFIG, result, words).trap is Trap.NONE
    m = m * np.float32(0.9) + g
    w = m * np.float32(-0.1) + w
    assert np.array_equal(get(words, Y, 6), m)
    assert np.array_equal(get(words, Z, 6), w)
    codes = words[OUT2:OUT2 + 6].view(np.uint8).reshape(6, 8)
    assert np.array_equal(codes, floats.encode(E4M3, w * 4)[0])


def test_sums_are_exact_and_need_no_order():
    generator = seeds.generator("sums")
    codes = generator.integers(0, E5M2.max_code + 1, (2, 3, 5, 8)).astype(np.uint8)
    words = np.zeros(CONFIG.words, np.uint64)
    words[:30] = codes.reshape(-1).view(np.uint64)
    result = registers(
        counts={"n0": 5, "n1": 3, "n2": 2}, inputs={"x": 1},
        x__n01={"n0": 1, "n1": 5}, x__n23={"n2": 15}, o2__n23={"n2": 4},
        op={"a": Operand.X, "b": Operand.ONE, "c": Operand.ZERO, "reduce": 1, "quantum": -16})
    assert vector.execute(CONFIG, result, words).trap is Trap.NONE
    exact = floats.values(E5M2)[codes].astype(np.float64).sum(axis=(1, 2))
    assert np.array_equal(get(words, OUT2, 2), exact.astype(np.float32))


def test_sums_are_limited_and_keep_nan():
    words = np.zeros(CONFIG.words, np.uint64)
    value = np.array([[1e30, -1e30, np.nan, 1.5, 2.5, -0.0, 1, 0]], np.float32)
    put(words, X, np.concatenate([value, np.zeros((1, 8), np.float32)]))
    result = registers(counts={"n0": 2}, inputs={"x": BINARY32}, x__n01={"n0": 4},
                       op={"a": Operand.X, "b": Operand.ONE, "c": Operand.ZERO, "reduce": 1})
    vector.execute(CONFIG, result, words)
    sums = get(words, OUT2, 1)[0]
    assert np.isnan(sums[2])
    assert np.delete(sums, 2).tolist() == [2.0**40, -(2.0**40), 2, 2, 0, 1, 0]


@pytest.mark.parametrize("activation", list(Activation)[:3])
def test_activations(activation):
    words = np.zeros(CONFIG.words, np.uint64)
    u = np.array([-1, -0.0, 0, 2, np.nan, np.inf, -np.inf, 3], np.float32)
    z = np.array([1, 1, 1, 0, 1, -0.0, 0, np.nan], np.float32)
    put(words, X, u)
    put(words, Z, z)
    result = registers(inputs={"x": BINARY32, "z": BINARY32},
                       op={"a": Operand.X, "b": Operand.ONE, "c": Operand.ZERO,
                           "d": Operand.T, "e": Operand.ONE, "f": Operand.ZERO,
                           "activation": activation},
                       o0__mode={"enable": 1, "format": BINARY32, "source": 1})
    vector.execute(CONFIG, result, words)
    nan, inf = np.nan, np.inf
    expected = {Activation.NONE: [-1, 0, 0, 2, nan, inf, -inf, 3],
                Activation.RELU: [0, 0, 0, 2, nan, inf, 0, 3],
                Activation.MASK: [-1, 0, 0, 0, nan, 0, 0, 3]}[activation]
    ours = get(words, OUT0, 1)[0]
    assert np.array_equal(ours, np.array(expected, np.float32), equal_nan=True)
    assert not np.signbit(ours[[1, 2]]).any()


@pytest.mark.parametrize("case", range(20))
def test_random_multiply_adds(case):
    """Any operands, formats and signs; plain numpy expression by expression."""
    generator = seeds.generator(f"vector {case}")
    groups = 3
    words = generator.integers(0, 1 << 63, CONFIG.words, dtype=np.uint64)
    inputs = {i: int(generator.integers(3)) for i in "xyz"}
    op = {o: int(generator.integers(8 if o in "abc" else 9)) for o in "abcdef"}
    op |= {"negate_c": int(generator.integers(2)), "negate_f": int(generator.integers(2))}
    constants = generator.standard_normal(3).astype(np.float32)
    result = registers(
        counts={"n0": groups}, op=op, inputs=inputs,
        **{f"{i}__n01": {"n0": 4 if f == BINARY32 else 1} for i, f in inputs.items()},
        **{f"k{n}": {"value": int(k.view(np.uint32))} for n, k in enumerate(constants)},
        o0__mode={"enable": 1, "format": BINARY32}, o0__n01={"n0": 4},
        o1__mode={"enable": 1, "format": BINARY32, "source": 1}, o1__n01={"n0": 4})
    values = {Operand.ZERO: np.float32(0), Operand.ONE: np.float32(1)}
    values |= dict(zip((Operand.K0, Operand.K1, Operand.K2), constants, strict=True))
    for name, code in inputs.items():
        base = BASES[name]
        values[Operand[name.upper()]] = get(words, base, groups).copy() if code == BINARY32 else \
            floats.values((E4M3, E5M2)[code])[words[base:base + groups].view(np.uint8)].reshape(
                groups, 8)
    assert vector.execute(CONFIG, result, words).trap is Trap.NONE
    with np.errstate(all="ignore"):
        t = values[op["a"]] * values[op["b"]] + (-1) ** op["negate_c"] * values[op["c"]]
        values[Operand.T] = t
        u = values[op["d"]] * values[op["e"]] + (-1) ** op["negate_f"] * values[op["f"]]
    for base, value in ((OUT0, t), (OUT1, u)):
        value = np.broadcast_to(value, (groups, 8))
        ours = get(words, base, groups)
        assert np.array_equal(ours, value.astype(np.float32), equal_nan=True)
        assert np.all(ours.view(np.uint32)[np.isnan(ours)] == 0x7FC00000)


def test_coefficients_by_channel_and_gate():
    """u = gated y * K0 + (x * K1 + K2), K0 and K2 by channel and round of n5."""
    generator = seeds.generator("channels")
    words = np.zeros(CONFIG.words, np.uint64)
    x, y = (generator.integers(0, 0x70, (2, 3, 8)).astype(np.uint8) for _ in range(2))
    z = generator.choice([0x00, 0x38, 0x40], (2, 3, 8)).astype(np.uint8)  # 0, 1, 2
    for base, codes in ((X, x), (Y, y), (Z, z)):
        words[base:base + 6] = codes.reshape(-1).view(np.uint64)
    k = generator.standard_normal((2, 3, 8)).astype(np.float32)
    put(words, 3000, k)
    result = registers(
        counts={"n0": 3}, outer={"n5": 2}, k1={"value": float_bits(3.0)},
        k__base={"address": 3000}, k__n5={"stride": 12}, o0__n01={"n0": 4}, o0__n45={"n5": 12},
        **{f"{i}__n01": {"n0": 1} for i in "xyz"}, **{f"{i}__n45": {"n5": 3} for i in "xyz"},
        op={"a": Operand.X, "b": Operand.K1, "c": Operand.K2, "d": Operand.Y, "e": Operand.K0,
            "f": Operand.T, "gate": 2, "channel": 0b101},
        o0__mode={"enable": 1, "format": BINARY32, "source": 1})
    assert vector.execute(CONFIG, result, words).trap is Trap.NONE
    x, y = floats.values(E4M3)[x], np.where(z == 0x38, floats.values(E4M3)[y], np.float32(0))
    expected = y * k[:, :1] + (x * np.float32(3) + k[:, 2:])
    assert np.array_equal(get(words, OUT0, 6), expected.reshape(6, 8))


def test_largest_with_its_x_and_number():
    """A 2x2 window of relu(-x): ties go to the first, NaN wins."""
    words = np.zeros(CONFIG.words, np.uint64)
    x = np.array([[3, 1, -2, 2, 1, np.nan, 0, 5], [-1, 1, -2, 2, np.nan, 1, 0, 5],
                  [-3, 1, -4, 1, 1, np.nan, 0, 5], [2, 1, -4, 2, -1, 1, 0, -5]], np.float32)
    put(words, X, x)
    result = registers(
        counts={"n0": 2, "n1": 2}, inputs={"x": BINARY32}, x__n01={"n0": 4, "n1": 8},
        op={"a": Operand.X, "b": Operand.K0, "c": Operand.ZERO, "d": Operand.T, "e": Operand.ONE,
            "f": Operand.ZERO, "activation": Activation.RELU, "reduce": 2, "source": 1},
        k0={"value": float_bits(-1.0)}, o0__mode={"enable": 1, "format": BINARY32},
        o1__mode={"enable": 1, "format": BINARY32}, o2__mode={"enable": 1, "format": 0})
    assert vector.execute(CONFIG, result, words).trap is Trap.NONE
    nan = np.nan
    for base, expected in ((OUT0, [3, 0, 4, 0, nan, nan, 0, 5]),
                           (OUT1, [-3, 1, -4, 2, nan, nan, 0, -5])):
        assert np.array_equal(get(words, base, 1)[0], np.array(expected, np.float32), True)
    numbers = floats.values(E4M3)[words[OUT2:OUT2 + 1].view(np.uint8)]
    assert numbers.tolist() == [2, 0, 2, 0, 1, 0, 0, 3]


@pytest.mark.parametrize(("function", "true", "error"), [
    (functions.reciprocal, lambda u: 1 / u, 2**-7),
    (functions.rsqrt, lambda u: 1 / np.sqrt(u), 2**-6.5),
    (functions.exp2, lambda u: np.exp2(np.floor(u * 64) / 64), 2**-12.9),
    (functions.floor, lambda u: np.floor(u * 64) / 64, 0),
])
def test_functions_are_near(function, true, error):
    generator = seeds.generator("functions")
    u = np.abs(generator.standard_normal(4096)).astype(np.float32) * np.float32(20)
    ours, exact = function(u).astype(np.float64), true(u.astype(np.float64))
    assert np.all(np.abs(ours - exact) <= error * np.abs(exact))


def test_functions_at_their_ends():
    u = np.array([0, -0.0, 1e-40, -1e-40, np.inf, -np.inf, -4, 4, 2.0**127, np.nan], np.float32)
    inf, nan = np.inf, np.nan
    last = 1.978515625  # 2 ** (63 / 64) to 12 bits
    for function, expected in (
            (functions.reciprocal, [inf, -inf, inf, -inf, 0, 0, -0.2490234375, 0.2490234375, 0,
                                    nan]),
            (functions.rsqrt, [inf, inf, inf, inf, 0, nan, nan, 0.498046875,
                               2.0**-64 * 1.41015625, nan]),
            (functions.exp2, [1, 1, 1, last / 2, 2.0**127 * last, 0, 2.0**-4, 16, 2.0**127 * last,
                              nan]),
            (functions.floor, [0, 0, 0, -1 / 64, 128 - 1 / 64, -128, -4, 4, 128 - 1 / 64, nan])):
        assert np.array_equal(function(u), np.array(expected, np.float32), True), function


@pytest.mark.parametrize(("changes", "cause"), [
    ({"counts": {"n3": 0}}, Trap.SHAPE),
    ({"outer": {"n5": 0}}, Trap.SHAPE),
    ({"outer": {"split": 7}}, Trap.SHAPE),
    *(({"outer": {"split": split}, "op": {"reduce": reduce}}, Trap.SHAPE)
      for split in (1, 2) for reduce in (1, 2)),
    *(({"outer": {"split": split}, "op": {"reduce": reduce}}, Trap.NONE)
      for split in range(3, 7) for reduce in (0, 1, 2)),
    ({"outer": {"split": 1}}, Trap.NONE),
    ({"op": {"a": Operand.T}}, Trap.SHAPE),
    ({"op": {"f": 9}}, Trap.SHAPE),
    ({"op": {"activation": 7}}, Trap.SHAPE),
    ({"op": {"reduce": 3}}, Trap.SHAPE),
    ({"op": {"reduce": 1, "quantum": 64}}, Trap.SHAPE),
    ({"op": {"a": Operand.X}, "x__base": {"address": 16384}}, Trap.ADDRESS),
    ({"o1__mode": {"enable": 1, "format": 2}, "o1__base": {"address": 16381}}, Trap.ADDRESS),
    *(({"counts": {"n0": 8}, "o0__mode": {"enable": 1, "turn": 1}, **more}, cause)
      for more, cause in (
          ({}, Trap.NONE), ({"o1__mode": {"turn": 1}}, Trap.NONE),
          ({"outer": {"split": 2}}, Trap.NONE), ({"outer": {"split": 1}}, Trap.SHAPE),
          ({"counts": {"n0": 12}}, Trap.SHAPE), ({"counts": {"n0": 4, "n1": 6}}, Trap.NONE),
          ({"counts": {"n0": 4, "n1": 6}, "outer": {"split": 2}}, Trap.SHAPE),
          ({"op": {"reduce": 2}}, Trap.SHAPE),
          ({"op": {"reduce": 1}}, Trap.SHAPE),
          ({"o1__mode": {"enable": 1, "turn": 1}}, Trap.SHAPE),
          *(({"o0__mode": {"enable": 1, "turn": 1, "format": code}}, Trap.SHAPE)
            for code in (2, 3)))),
])
def test_traps(changes, cause):
    words = np.zeros(CONFIG.words, np.uint64)
    assert vector.execute(CONFIG, registers(**changes), words).trap is cause
    assert vector.execute(CONFIG, registers(), words).trap is Trap.NONE


def test_unused_inputs_are_not_read():
    words = np.zeros(CONFIG.words, np.uint64)
    beyond = {"address": 99999}
    result = registers(x__base=beyond, o2__base=beyond)
    assert vector.execute(CONFIG, result, words).trap is Trap.NONE


@pytest.mark.parametrize("reduce", [0, 2])
def test_numbers_of_stochastic_rounding(reduce):
    """Every output takes the bits of (key, number), and not of where it stands; by plain loops."""
    generator = seeds.generator(f"numbers {reduce}")
    words = np.zeros(CONFIG.words, np.uint64)
    x = (generator.standard_normal((2, 3, 2, 8)) * 20).astype(np.float32)  # n3, n2, n0
    x[..., 1, :] = -1e9  # of two groups the first is the larger
    put(words, X, x)
    result = registers(
        counts={"n0": 2, "n2": 3, "n3": 2}, inputs={"x": BINARY32}, key={"key": 0xDEADBEEF},
        op={"a": Operand.X, "b": Operand.ONE, "c": Operand.ZERO, "reduce": reduce},
        x__n01={"n0": 4}, x__n23={"n2": 8, "n3": 24},
        o0__n01={"n0": 1}, o0__n23={"n2": 2, "n3": 6}, o1__n01={"n0": 2},
        o1__n23={"n2": 4, "n3": 12}, number__base={"word": (1 << 29) - 2},
        number__n01={"n0": 1000}, number__n23={"n2": 1, "n3": -7},
        o0__mode={"enable": 1, "format": 1, "stochastic": 1},
        o1__mode={"enable": 1, "format": 3, "stochastic": 1})
    assert vector.execute(CONFIG, result, words).trap is Trap.NONE
    for n3, n2, n0 in np.ndindex(2, 3, 1 if reduce else 2):
        number = (1 << 29) - 2 + (0 if reduce else 1000 * n0) + n2 - 7 * n3
        index = (8 * number + np.arange(8)) % (1 << 32)
        random = floats.random16(0xDEADBEEF, index)
        place = (0 if reduce else n0) + 2 * n2 + 6 * n3
        codes = words[OUT0 + place:][:1].view(np.uint8)
        assert np.array_equal(codes, floats.encode(E5M2, x[n3, n2, n0], 0, random)[0])
        halves = words[OUT1 + 2 * place:][:2].view(np.uint16)
        assert np.array_equal(halves, floats.to_bfloat16(x[n3, n2, n0], random))


def test_turn():
    """By plain loops; a copy that is not turned holds the same elements, rounded at random."""
    words = np.zeros(CONFIG.words, np.uint64)
    x = (seeds.generator("turn").standard_normal((3, 16, 8)) * 20).astype(np.float32)
    put(words, X, x)
    mode = {"enable": 1, "format": 1, "stochastic": 1}
    result = registers(
        counts={"n0": 16, "n1": 3}, inputs={"x": BINARY32}, key={"key": 77},
        op={"a": Operand.X, "b": Operand.ONE, "c": Operand.ZERO},
        x__n01={"n0": 4, "n1": 64}, number__n01={"n0": 5, "n1": 1},
        o0__n01={"n0": 3, "n1": 100}, o1__n01={"n0": 3, "n1": 100},
        o0__mode={**mode, "turn": 1}, o1__mode=mode)
    assert vector.execute(CONFIG, result, words).trap is Trap.NONE
    turned, plain = (words[base:base + 300].view(np.uint8).reshape(300, 8) for base in (OUT0, OUT1))
    for row in range(3):
        for first in (0, 8):
            for i, j in np.ndindex(8, 8):
                assert (turned[100 * row + 3 * (first + j), i]
                        == plain[100 * row + 3 * (first + i), j])
    assert len(set(plain.ravel())) > 30


def test_bfloat16_in_and_out():
    """Sixteen bits an element, element 0 low; what is read is exact, the scale is ignored."""
    words = np.zeros(CONFIG.words, np.uint64)
    codes = np.array([0x3F80, 0xC000, 0x0001, 0x8000, 0x7F80, 0xFF80, 0x7FC1, 0x4049], np.uint16)
    words[X:X + 2] = codes.view(np.uint64)
    value = np.array([1, -2, 2.0**-133, 0, np.inf, -np.inf, np.nan, 3.140625], np.float32)
    result = registers(op={"a": Operand.X, "b": Operand.ONE, "c": Operand.ZERO},
                       inputs={"x": 3}, o0__mode={"enable": 1, "format": 2},
                       o1__mode={"enable": 1, "format": 3, "scale": 9})
    assert vector.execute(CONFIG, result, words).trap is Trap.NONE
    assert np.array_equal(get(words, OUT0, 1)[0], value, equal_nan=True)
    codes[[3, 6]] = 0, 0x7FC0  # -0 + 0 is +0
    assert np.array_equal(words[OUT1:OUT1 + 2].view(np.uint16), codes)


def test_sums_across_the_elements():
    words = np.zeros(CONFIG.words, np.uint64)
    value = seeds.generator("across").integers(-99, 99, (2, 3, 8)).astype(np.float32)
    put(words, X, value)
    changes = {"counts": {"n0": 3, "n2": 2}, "inputs": {"x": BINARY32}, "x__n01": {"n0": 4},
               "x__n23": {"n2": 12}, "o2__n23": {"n2": 4}, "tally": {"across": 1},
               "op": {"a": Operand.X, "b": Operand.ONE, "c": Operand.ZERO, "reduce": 1}}
    assert vector.execute(CONFIG, registers(**changes), words).trap is Trap.NONE
    total = value.sum(axis=(1, 2))
    assert np.array_equal(get(words, OUT2, 2), np.repeat(total[:, np.newaxis], 8, axis=1))
    value[1, 2, 5] = np.nan
    put(words, X, value)
    assert vector.execute(CONFIG, registers(**changes), words).trap is Trap.NONE
    found = get(words, OUT2, 2)
    assert np.array_equal(found[0], np.full(8, total[0])) and np.isnan(found[1]).all()


def test_histogram_counts_quarters_of_powers_of_two():
    words = np.zeros(CONFIG.words, np.uint64)
    value = np.array([[0, 1, 1.2499, 1.25, -1.25, 1.99, 2, 3.9],
                      [4, 2.0**13, -2.0**14, np.inf, np.nan, 0.99, -1e-30, 1.75]], np.float32)
    put(words, X, value)
    outcome = vector.execute(CONFIG, registers(
        counts={"n0": 2}, inputs={"x": BINARY32}, x__n01={"n0": 4},
        tally={"histogram": 1, "first": 127 * 4},
        op={"a": Operand.X, "b": Operand.ONE, "c": Operand.ZERO}), words)
    expected = [0] * 64
    expected[0] = 5  # 0, 0.99, 1e-30, 1 and 1.2499
    expected[1], expected[3], expected[4], expected[7] = 2, 2, 1, 1
    expected[8], expected[13 * 4], expected[14 * 4], expected[63] = 1, 1, 1, 2
    assert outcome.histogram == expected
