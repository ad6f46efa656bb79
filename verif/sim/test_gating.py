"""The gate of a tensor operation in the model, against plain loops over fractions."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from isa.formats import E4M3, E5M2
from isa.memmap import Trap
from isa.registers import BLOCKS, POSITIONS, REDUCTION, Skip, Unit
from sim import floats, tensor
from verif import seeds
from verif.registers import registers
from verif.sim import scalar
from verif.sim.scalar import indices, place, word
from verif.sim.test_skipping import CONFIG, COUNTERS, LOOPS, drawn, sparse

THRESHOLDS, GATES = 40, 40000
SKIPS = [Skip.NONE, Skip.TILES, Skip.ELEMENTS, Skip.TILES | Skip.ELEMENTS]


def gated(generator, skip: Skip) -> dict:
    """Registers of an operation with a gate; its words are those of `sparse`, but thresholds."""
    result = drawn(generator, skip)
    result["tensor.mode"] |= {"gate": 1, "mask": 0, "output": int(generator.integers(2))}
    result["tensor.positions"]["cores"] = 1
    result["tensor.groups"]["merge"] = 0
    result["tensor.threshold.base"] = {"address": THRESHOLDS}
    result["tensor.gate.base"] = {"address": GATES}
    for loop in BLOCKS:
        result[f"tensor.bias.{loop}"] = {"stride": int(generator.integers(0, 4))}
    return result


def contents(generator) -> np.ndarray:
    words = sparse(generator)
    numbers = generator.choice([0, 1, -1, 40, -40, np.inf, -np.inf, np.nan, 3e-9, -3e-9], 64)
    words[THRESHOLDS:THRESHOLDS + 32] = numbers.astype(np.float32).view(np.uint64)
    return words


def parts(result: dict, words: np.ndarray):
    """By group, block and position: sums of the base and of what is behind it."""
    total = {}
    rounds = result["tensor.reduction"]["r4"]
    for r4 in range(rounds):
        one = {name: dict(fields) for name, fields in result.items()}
        one["tensor.reduction"]["r4"] = 1
        for stream in ("stream", "stationary"):
            step = result[f"tensor.{stream}.r4"]
            one[f"tensor.{stream}.base"]["address"] += r4 * step["stride"]
            one[f"tensor.{stream}.window"]["y"] += r4 * step["dy"]
            one[f"tensor.{stream}.window"]["x"] += r4 * step["dx"]
        for block, at, position, sums in scalar.sums(one, words, CONFIG.lowest_exponent):
            found = total.setdefault(tuple({**block, **at, **position}.items()), [])
            found.append(sums)
    return total


def added(a, b):
    return None if a is None or b is None else a + b


def threshold(result, words, index) -> float:
    steps = result | {f"tensor.threshold.{loop}": result[f"tensor.bias.{loop}"] for loop in BLOCKS}
    return float(words[place(steps, "threshold", index)[0]:].view(np.float32)[0])


def passed(base: list, limit: float) -> bool:
    if None in base:
        return True
    total = sum(base)
    if not np.isfinite(limit):
        return limit == -np.inf
    return total > Fraction(limit)


def counted(result, words, gates) -> dict[str, int]:
    """The counters, one multiply-add after the other (whole words of them at once)."""
    skip = Skip(result["tensor.mode"]["skip"])
    counts = {n: result[f"tensor.{row}"][n] for n, row in LOOPS.items()}
    total = dict.fromkeys(COUNTERS, 0)
    for group, block in product(range(result["tensor.groups"]["groups"]), indices(counts, BLOCKS)):
        for number, reduction in enumerate(indices(counts, REDUCTION)):
            outer = {**block, **reduction, "group": group}
            tiles = [word(words, result, "stationary", {**outer, "q0": q}) for q in range(8)]
            empty = not any(code & 0x7F for row in tiles for code in row)
            if number == 0 and not skip & Skip.ELEMENTS:
                empty = False  # the first pass is always done
            for position in indices(counts, POSITIONS):
                zeros = sum(code & 0x7F == 0 for code in word(
                    words, result, "stream", {**outer, **position}))
                key = tuple({**block, "group": group, "core": 0, **position}.items())
                if skip & Skip.TILES and empty:
                    total["skipped_tiles"] += 64
                elif reduction["r4"] and not gates[key]:
                    total["skipped_outputs"] += 64
                elif skip & Skip.ELEMENTS:
                    total["skipped_elements"] += 8 * zeros
                    total["macs"] += 64 - 8 * zeros
                else:
                    total["macs"] += 64
    return total


@pytest.mark.parametrize("case", range(6))
@pytest.mark.parametrize("skip", SKIPS)
def test_against_plain_loops(skip, case):
    generator = seeds.generator(f"gates {skip} {case}")
    result, words = gated(generator, skip), contents(generator)
    if case == 5:  # poisoned sums
        codes = words[3000:4000].view(np.uint8)
        codes[generator.random(codes.size) < 0.02] = 0x7F
    sums = parts(result, words)
    fmt = (E4M3, E5M2)[result["tensor.mode"]["output"]]
    gates, after = {}, words.copy()
    outcome = tensor.execute(CONFIG, result, after)
    assert outcome.trap is Trap.NONE
    for key, (base, *behind) in sums.items():
        gates[key] = passed(base, threshold(result, words, dict(key)))
        trees = base
        for more in behind if gates[key] else []:
            trees = [added(a, b) for a, b in zip(trees, more, strict=True)]
        values = np.array([np.nan if x is None else np.float32(float(x)) for x in trees])
        address, inside = place(result, "output", dict(key))
        if inside:
            codes = floats.encode(fmt, values.astype(np.float32))[0]
            assert (after[address:address + 1].view(np.uint8) == codes).all()
            gate = GATES + address - result["tensor.output.base"]["address"]
            assert int(after[gate]) == 0x3838383838383838 * gates[key]
    assert {name: getattr(outcome, name) for name in COUNTERS} == counted(result, words, gates)


@pytest.mark.parametrize("change", [
    {"mode": {"gate": 1, "mask": 1}}, {"mode": {"gate": 1, "aux": 1}},
    {"mode": {"gate": 1, "output": 2}}, {"mode": {"gate": 1, "output": 3}},
    {"mode": {"gate": 1, "stats": 2}}, {"mode": {"gate": 1}, "positions": {"cores": 2}},
    {"mode": {"gate": 1}, "groups": {"groups": 2, "merge": 1}},
    {"mode": {"gate": 1, "turn_output": 1}, "positions": {"p0": 8}},
    {"mode": {"gate": 1, "skip": Skip.OUTPUTS}, "positions": {"p0": 4},
     "stream__p0": {"stride": 1}}])
def test_refused_shapes(change):
    words = np.zeros(CONFIG.words, np.uint64)
    assert tensor.execute(CONFIG, registers(Unit.TENSOR, **change), words).trap is Trap.SHAPE
