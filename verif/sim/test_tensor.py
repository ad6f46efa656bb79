"""The model's tensor operation against plain loops, and its checks."""

from functools import partial

import numpy as np
import pytest

from isa.config import Config
from isa.memmap import Trap
from isa.registers import REDUCTION, AuxMode, StatsMode, Unit
from sim import floats, raw, tensor
from verif import seeds
from verif.registers import registers as registers_of
from verif.sim import scalar

CONFIG = Config(cores=4, banks=16)
BINARY32, RAW = 2, 3
DRAINED = ("p0", "p1", "p2", "core", "b0", "b1", "b2", "b3")
registers = partial(registers_of, Unit.TENSOR)


def random_registers(generator, output):
    """Small loops, strides within the scratchpad, windows that cut some of it off."""
    turn = bool(generator.integers(2))

    def small():
        return int(generator.integers(1, 3))

    result = registers(
        positions={"p0": 8 if turn else int(generator.integers(1, 5)), "p1": small(),
                   "p2": small(), "cores": small()},
        reduction={r: small() for r in REDUCTION},
        blocks={f"b{i}": small() for i in range(4)},
        groups={"groups": small(), "merge": int(generator.integers(2))},
        mode={"stationary": 0, "stream": int(generator.integers(2)),
              "transpose": int(generator.integers(2)), "turn_stream": int(turn),
              "output": output})
    for name, fields in result.items():
        stream = name.split(".")[1]
        if stream not in ("stream", "stationary", "output") or name.endswith(("base", "window")):
            continue
        fields = {"stride": int(generator.integers(-5, 30))}
        if stream != "output":
            fields |= {"dy": int(generator.integers(-1, 2)), "dx": int(generator.integers(-1, 3))}
        result[name] = result[name] | fields
    for stream in ("stream", "stationary"):
        result[f"tensor.{stream}.window"] = {"y": int(generator.integers(-1, 2)),
                                             "x": int(generator.integers(-1, 2)),
                                             "height": 4, "width": 4}
        result[f"tensor.{stream}.base"] = {"address": 2000}
    return result


def spread_output(result, size):
    """Give each position its own words from 8192 on."""
    stride = size
    counts = {**result["tensor.positions"], **result["tensor.blocks"]}
    for loop in (*DRAINED, "group"):
        result[f"tensor.output.{loop}"] = {"stride": stride, "dy": 0, "dx": 0}
        stride *= counts["cores" if loop == "core" else loop] if loop != "group" else 1
    result["tensor.output.base"] = {"address": 8192}


def random_words(generator, specials):
    """A scratchpad of codes, many of them zero, a few NaN or infinity if asked."""
    codes = generator.integers(0, 256, CONFIG.words * 8).astype(np.uint8)
    codes[generator.random(codes.size) < 0.3] = 0x80
    if not specials:
        codes[codes & 0x7F >= 0x7C] = 0x11
    return codes.view(np.uint64)


@pytest.mark.parametrize("case", range(8))
def test_against_plain_loops(case):
    generator = seeds.generator(f"tensor model {case}")
    result = random_registers(generator, BINARY32)
    spread_output(result, 4)
    words = random_words(generator, specials=case % 2)
    before = words.copy()
    outcome = tensor.execute(CONFIG, result, words)
    assert outcome.trap is Trap.NONE
    seen_nan = False
    for block, place, position, sums in scalar.sums(result, before, CONFIG.lowest_exponent):
        address, _ = scalar.place(result, "output", {**block, **place, **position})
        ours = words[address:address + 4].view(np.float32)
        for tree, exact in enumerate(sums):
            seen_nan |= exact is None
            if exact is None:
                assert ours[tree].view(np.uint32) == 0x7FC00000
            else:
                # These sums have few enough bits for float64, whose rounding is then the only one.
                assert ours[tree] == np.float32(float(exact))
    assert outcome.nan == seen_nan


def test_raw_sums_come_back():
    generator = seeds.generator("raw")
    whole = random_registers(generator, BINARY32)
    whole["tensor.reduction"] = dict.fromkeys(REDUCTION, 1) | {"r0": 2}
    words = random_words(generator, specials=True)
    spread_output(whole, 4)
    expected = words.copy()
    assert tensor.execute(CONFIG, whole, expected).trap is Trap.NONE
    groups, merge = (whole["tensor.groups"][name] for name in ("groups", "merge"))
    size = 4 * int(np.prod([*whole["tensor.blocks"].values(), whole["tensor.positions"]["cores"],
                            1 if merge else groups,
                            *(whole["tensor.positions"][p] for p in ("p0", "p1", "p2"))]))

    first = {**whole, "tensor.reduction": dict.fromkeys(REDUCTION, 1)}
    second = dict(first)
    step = whole["tensor.stream.r0"], whole["tensor.stationary.r0"]
    spread_output(first, CONFIG.raw_words)
    first["tensor.output.base"] = {"address": 10000}
    first["tensor.mode"] = first["tensor.mode"] | {"output": RAW}
    for name, moved in zip(("stream", "stationary"), step, strict=True):
        base, window = f"tensor.{name}.base", f"tensor.{name}.window"
        second[base] = {"address": second[base]["address"] + moved["stride"]}
        second[window] = second[window] | {"y": second[window]["y"] + moved["dy"],
                                           "x": second[window]["x"] + moved["dx"]}
    for loop in ("base", *DRAINED, "group"):
        fields = first[f"tensor.output.{loop}"]
        second[f"tensor.aux.{loop}"] = {k: v for k, v in fields.items() if k not in ("dy", "dx")}
    second["tensor.mode"] = second["tensor.mode"] | {"aux": AuxMode.RAW}
    assert tensor.execute(CONFIG, first, words).trap is Trap.NONE
    assert tensor.execute(CONFIG, second, words).trap is Trap.NONE
    assert np.array_equal(words[8192:8192 + size], expected[8192:8192 + size])


def test_drain_by_hand():
    """Bias, ReLU, scale, mask, saturation and both turns on a product with the identity."""
    words = np.zeros(CONFIG.words, np.uint64)
    codes = words.view(np.uint8)
    one = 0x38  # 1.0 in E4M3
    codes[0:64].reshape(8, 8)[np.arange(8), np.arange(8)] = one
    matrix = np.arange(64, dtype=np.float32).reshape(8, 8) - 20
    codes[800:864] = floats.encode(floats.of_code(0), matrix)[0].ravel()
    stored = floats.decode(floats.of_code(0), codes[800:864].reshape(8, 8))
    bias = np.linspace(-8, 8, 8).astype(np.float32)
    words[200:204] = bias.view(np.uint64)
    codes[8 * 300:8 * 308] = 0x80
    codes[8 * 300 + 3:8 * 308:8] = one  # only element 3 of each word is live
    result = registers(
        positions={"p0": 8}, mode={"bias": 1, "relu": 1, "scale": 4},
        stationary__q0={"stride": 1}, stream__base={"address": 100}, stream__p0={"stride": 1},
        output__base={"address": 400}, output__p0={"stride": 1}, bias__base={"address": 200},
        mask__base={"address": 300}, aux__p0={"stride": 1})
    outcome = tensor.execute(CONFIG, result, words)
    expected, over = floats.encode(floats.of_code(0), np.maximum(stored * 16 + bias, 0))
    assert np.array_equal(codes[3200:3264].reshape(8, 8), expected)
    assert outcome.saturations == np.count_nonzero(over) > 0

    result["tensor.mode"] = result["tensor.mode"] | {"mask": 1}
    outcome = tensor.execute(CONFIG, result, words)
    masked = np.where(np.arange(8) == 3, expected, 0)
    assert np.array_equal(codes[3200:3264].reshape(8, 8), masked)
    assert outcome.saturations == np.count_nonzero(over[:, 3])

    turned = registers(
        positions={"p0": 8}, mode={"turn_stream": 1, "turn_output": 1},
        stationary__q0={"stride": 1}, stream__base={"address": 100}, stream__p0={"stride": 1},
        output__base={"address": 500}, output__p0={"stride": 1})
    tensor.execute(CONFIG, turned, words)
    # t[j] = bytes j of the words; output position j is row j of the turned; turned back.
    assert np.array_equal(codes[4000:4064], codes[800:864])


@pytest.mark.parametrize("mode", [StatsMode.SQUARE, StatsMode.NORM])
def test_statistics_and_elements(mode):
    """Two blocks of two cores on top of what the sums held before; fractions as reference."""
    generator = seeds.generator(f"statistics {mode}")
    words = random_words(generator, specials=False)
    output = 0 if mode == StatsMode.SQUARE else 1
    codes = words.view(np.uint8)
    codes[codes & 0x7F == 0x7F] = 0x22
    result = registers(
        positions={"p0": 5, "cores": 2}, blocks={"b0": 2}, groups={"groups": 2},
        mode={"output": output, "scale": -3, "aux": AuxMode.ELEMENT, "stats": mode, "mask": 1,
              "stream": output},
        stationary__q0={"stride": 1}, stationary__core={"stride": 8}, stream__p0={"stride": 1},
        stream__base={"address": 100}, stream__b0={"stride": 7}, stream__group={"stride": 21},
        output__base={"address": 8192}, output__p0={"stride": 1}, output__b0={"stride": 5},
        output__core={"stride": 10}, output__group={"stride": 20}, aux__p0={"stride": 1},
        aux__b0={"stride": 3}, aux__group={"stride": 9},
        aux__base={"address": 300}, mask__base={"address": 400}, norm__base={"address": 500},
        stats__base={"address": 9000}, stats__core={"stride": 18})
    before = words.copy()
    words[9000:9036] = raw.encode_raw(CONFIG, np.arange(32, dtype=object).reshape(4, 8) - 9,
                                      np.zeros((4, 8), bool)).ravel()
    plain = {**result, "tensor.mode": result["tensor.mode"] | {
        "aux": 0, "stats": 0, "mask": 0, "output": BINARY32, "scale": 0}}
    fmt = floats.of_code(output)
    unit = 2.0**-CONFIG.lowest_exponent
    expected = np.arange(32, dtype=object).reshape(4, 8) - 9
    assert tensor.execute(CONFIG, result, words).trap is Trap.NONE
    for block, place, position, sums in scalar.sums(plain, before, CONFIG.lowest_exponent):
        index = {**block, **place, **position}
        beside = [scalar.place({**result, f"tensor.{s}.base": result[f"tensor.{s}.base"],
                                **{f"tensor.{s}.{n}": result[f"tensor.{steps}.{n}"]
                                   for n in index}}, s, index)[0]
                  for s, steps in (("aux", "output"), ("mask", "aux"), ("norm", "aux"))]
        aux, mask, norm = (before[a:a + 1].view(np.uint8) for a in beside)
        total = np.array([float(s) for s in sums]) + floats.values(fmt)[aux]
        live = ~floats.element_zero(mask)
        o = np.where(live, floats.encode(fmt, (total / 8).astype(np.float32))[0], 0)
        address, _ = scalar.place(result, "output", index)
        assert np.array_equal(words[address:address + 1].view(np.uint8), o)
        o = floats.values(fmt)[o].astype(np.float64)
        factor = o if mode == StatsMode.SQUARE else floats.values(floats.of_code(0))[norm]
        for i, addend in enumerate((o, o * factor)):
            expected[2 * place["core"] + i] += np.array([int(v * unit) for v in addend], object)
    held, poison = raw.decode_raw(CONFIG, words[9000:9036].reshape(4, 9))
    assert not poison.any()
    assert np.array_equal(held, expected)


def test_statistics_are_poisoned_by_nan():
    words = np.zeros(CONFIG.words, np.uint64)
    words[:8] = 0x38
    words[100] = 0x7F  # NaN in lane 0
    result = registers(mode={"stats": StatsMode.SQUARE}, stationary__q0={"stride": 1},
                       stream__base={"address": 100}, output__base={"address": 200},
                       stats__base={"address": 300})
    assert tensor.execute(CONFIG, result, words).nan
    assert raw.decode_raw(CONFIG, words[300:318].reshape(2, 9))[1].all()


@pytest.mark.parametrize(("changes", "cause"), [
    ({"positions": {"p0": 0}}, Trap.SHAPE),
    ({"positions": {"cores": 0}}, Trap.SHAPE),
    ({"positions": {"cores": 5}}, Trap.SHAPE),
    ({"positions": {"cores": 2}, "groups": {"groups": 3}}, Trap.SHAPE),
    ({"groups": {"groups": 0}}, Trap.SHAPE),
    ({"positions": {"p0": 33}}, Trap.SHAPE),
    ({"positions": {"q0": 4}}, Trap.SHAPE),
    ({"mode": {"turn_stream": 1}}, Trap.SHAPE),
    ({"positions": {"p0": 8}, "mode": {"turn_output": 1, "output": 2}}, Trap.SHAPE),
    ({"positions": {"p0": 8}, "mode": {"turn_output": 1, "bias": 1}}, Trap.SHAPE),
    ({"mode": {"stats": 1, "output": 2}}, Trap.SHAPE),
    ({"mode": {"stats": 1, "output": 3}}, Trap.SHAPE),
    ({"mode": {"aux": AuxMode.ELEMENT, "output": 2}}, Trap.SHAPE),
    ({"mode": {"aux": AuxMode.RAW, "stats": 1}}, Trap.SHAPE),
    ({"mode": {"aux": 3}}, Trap.SHAPE),
    ({"mode": {"stats": 3}}, Trap.SHAPE),
    ({"mode": {"stats": 1, "output": 1}}, Trap.SHAPE),
    ({"positions": {"p0": 8}, "mode": {"turn_output": 1, "stats": 1}}, Trap.SHAPE),
    ({"mode": {"output": 3, "relu": 1}}, Trap.SHAPE),
    ({"mode": {"stationary": 1, "stream": 1}}, Trap.SHAPE),
    ({"depth": {"passes": 342_392}}, Trap.DEPTH),
    ({"reduction": {"r0": 4095, "r1": 84}}, Trap.DEPTH),
    ({"reduction": {"r0": 4095, "r1": 42}, "groups": {"groups": 2, "merge": 1}}, Trap.DEPTH),
    ({"stream__base": {"address": 16384}}, Trap.ADDRESS),
    ({"output__base": {"address": 16384}}, Trap.ADDRESS),
    ({"output__base": {"address": 16381}, "mode": {"output": 2}}, Trap.ADDRESS),
    ({"stationary__q0": {"stride": -1}}, Trap.ADDRESS),
])
def test_traps(changes, cause):
    words = np.zeros(CONFIG.words, np.uint64)
    assert tensor.execute(CONFIG, registers(**changes), words).trap is cause
    assert tensor.execute(CONFIG, registers(), words).trap is Trap.NONE


@pytest.mark.parametrize("turn", [0, 1])
def test_numbers_of_stochastic_rounding(turn):
    """The bits of (key, number of the element that is written), wherever its word stands."""
    generator = seeds.generator(f"numbers {turn}")
    words = random_words(generator, specials=False)
    counts = {"positions": {"p0": 8, "cores": 2}, "blocks": {"b0": 3}, "groups": {"groups": 2}}
    loops = {"p0": 8, "core": 2, "b0": 3, "group": 2}
    steps = {"p0": 5, "core": -300_000, "b0": 1, "group": 77}
    places = {f"output__{n}": {"stride": s} for n, s in zip(loops, (1, 8, 16, 48), strict=True)}
    result = registers(
        **counts, **places, stationary__q0={"stride": 1}, stationary__core={"stride": 8},
        stationary__b0={"stride": 16}, stream__p0={"stride": 1}, stream__group={"stride": 8},
        stream__base={"address": 100}, output__base={"address": 8192}, key={"key": 0x12345678},
        number__base={"word": (1 << 32) - 20}, **{
            f"number__{n}": {"stride": s} for n, s in steps.items()},
        mode={"output": 1, "scale": -3, "stochastic": 1, "turn_output": turn})
    plain = {**result, "tensor.mode": result["tensor.mode"] | {"stochastic": 0, "turn_output": 0}}
    before = words.copy()
    assert tensor.execute(CONFIG, result, words).trap is Trap.NONE
    written = words[8192:8192 + 96].view(np.uint8).reshape(2, 3, 2, 8, 8)
    for block, place, position, sums in scalar.sums(plain, before, CONFIG.lowest_exponent):
        core, group, b0, p0 = place["core"], place["group"], block["b0"], position["p0"]
        for tree, total in enumerate(sums):
            word, byte = (tree, p0) if turn else (p0, tree)
            number = (1 << 32) - 20 + 5 * word - 300_000 * core + b0 + 77 * group
            random = floats.random16(0x12345678, np.array([(8 * number + byte) % (1 << 32)]))
            value = np.array([float(total) / 8], np.float32)
            code = floats.encode(floats.of_code(1), value, 0, random)[0][0]
            assert written[group, b0, core, word, byte] == code
