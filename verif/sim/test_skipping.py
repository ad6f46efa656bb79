"""What is left out is counted as docs/architecture.md says, and changes nothing."""

from itertools import product

import numpy as np
import pytest

from isa.config import Config
from isa.memmap import Trap
from isa.registers import BLOCKS, POSITIONS, REDUCTION, Skip, Unit
from sim import tensor
from verif import seeds
from verif.registers import registers
from verif.sim.scalar import indices, place, word

CONFIG = Config(cores=4, banks=32, block=128, scratchpad_kib=1024, slot=4, reach=2)
COUNTERS = ("macs", "skipped_tiles", "skipped_outputs", "skipped_elements")
LOOPS = {**dict.fromkeys(POSITIONS, "positions"), **dict.fromkeys(REDUCTION, "reduction"),
         **dict.fromkeys(BLOCKS, "blocks")}


def drawn(generator, skip: Skip):
    """Registers of an operation with short loops; its output is in the upper half."""
    def below(most):
        return int(generator.integers(1, most + 1))

    counts = {loop: below(3 if row == "positions" else 2) for loop, row in LOOPS.items()}
    groups = {"groups": below(2), "merge": below(2) - 1}
    if skip & Skip.OUTPUTS:
        counts["p0"] *= 4
    elif skip & Skip.ELEMENTS:
        counts["r0"] = below(4)
    values = {row: {n: counts[n] for n in LOOPS if LOOPS[n] == row}
              for row in ("positions", "reduction", "blocks")}
    values["positions"]["cores"] = below(2)
    result = registers(
        Unit.TENSOR, **values, groups=groups, mode={
            "output": int(generator.choice([0, 1, 2, 3])), "stream": below(2) - 1,
            "transpose": below(2) - 1, "mask": 1, "skip": skip},
        stationary__q0={"stride": 1}, stationary__base={"address": 400},
        stream__base={"address": 3000}, output__base={"address": 8192},
        mask__base={"address": 100})
    for loop in (*LOOPS, "core", "group"):
        size = 9 * 64
        for stream, row in (("stream", {"stride": 4 * below(30), "dy": below(3) - 2}),
                            ("stationary", {"stride": 8 * below(20), "dx": below(3) - 2}),
                            ("aux", {"stride": below(9)}), ("output", {"dx": below(3) - 2})):
            if f"tensor.{stream}.{loop}" in result:
                result[f"tensor.{stream}.{loop}"] |= row
    size = 9
    for loop in (*POSITIONS, "core", *BLOCKS, "group"):
        result[f"tensor.output.{loop}"]["stride"] = size
        size *= {**counts, **values["positions"], **groups, "core": values["positions"]["cores"],
                 "group": groups["groups"]}[loop]
    for stream in ("stream", "stationary", "output"):
        result[f"tensor.{stream}.window"] = {"y": below(3) - 2, "x": below(3) - 2,
                                             "height": 3, "width": 3}
    for loop, on in (("r0", skip & Skip.ELEMENTS), ("p0", skip & Skip.OUTPUTS)):
        if on:
            result[f"tensor.stream.{loop}"] = {"stride": 1, "dy": 0, "dx": 0}
    return result


def sparse(generator):
    """A scratchpad with many zero words and elements, of either sign."""
    codes = generator.integers(1, 0x78, (CONFIG.words, 8)).astype(np.uint8)
    codes[generator.random(codes.shape) < 0.4] = 0x80
    codes[generator.random(len(codes) // 8).repeat(8) < 0.5] = 0
    return codes.view(np.uint64)[:, 0]


def counted(result, words):
    """The counters, one multiply-add after the other (whole words of them at once)."""
    skip = Skip(result["tensor.mode"]["skip"])
    counts = {n: result[f"tensor.{row}"][n] for n, row in LOOPS.items()}
    cores = result["tensor.positions"]["cores"]
    groups, merge = (result["tensor.groups"][n] for n in ("groups", "merge"))
    total = dict.fromkeys(COUNTERS, 0)
    for group, block in product(range(groups), indices(counts, BLOCKS)):
        dead = _dead(result, words, counts, cores, {**block, "group": 0 if merge else group})
        for reduction in indices(counts, REDUCTION):
            outer = {**block, **reduction, "group": group}
            tiles = [word(words, result, "stationary", {**outer, "core": core, "q0": q})
                     for core in range(cores) for q in range(8)]
            empty = not any(code & 0x7F for row in tiles for code in row)
            for p, position in enumerate(indices(counts, POSITIONS)):
                elements = word(words, result, "stream", {**outer, **position})
                zeros = sum(code & 0x7F == 0 for code in elements)
                for core in range(cores):
                    if skip & Skip.TILES and empty:
                        total["skipped_tiles"] += 64
                    elif skip & Skip.OUTPUTS:
                        total["skipped_outputs"] += 8 * dead[core, p]
                        total["macs"] += 64 - 8 * dead[core, p]
                    elif skip & Skip.ELEMENTS:
                        total["skipped_elements"] += 8 * zeros
                        total["macs"] += 64 - 8 * zeros
                    else:
                        total["macs"] += 64
    return total


def _dead(result, words, counts, cores, outer):
    """Dead outputs of each core and position."""
    steps = {**result, **{f"tensor.mask.{n.rsplit('.', 1)[1]}": v for n, v in result.items()
                          if n.startswith("tensor.aux.") and not n.endswith("base")}}
    dead = {}
    for core in range(cores):
        for p, position in enumerate(indices(counts, POSITIONS)):
            index = {**outer, "core": core, **position}
            inside = place(result, "output", index)[1]
            codes = word(words, steps, "mask", index) if inside else [0] * 8
            dead[core, p] = sum(code & 0x7F == 0 for code in codes)
    return dead


@pytest.mark.parametrize("case", range(4))
@pytest.mark.parametrize("skip", [Skip.TILES, Skip.ELEMENTS, Skip.OUTPUTS,
                                  Skip.TILES | Skip.ELEMENTS, Skip.TILES | Skip.OUTPUTS])
def test_counts_and_results(skip, case):
    generator = seeds.generator(f"skipping {skip} {case}")
    result, words = drawn(generator, skip), sparse(generator)
    expected = counted(result, words)
    dense = {**result, "tensor.mode": {**result["tensor.mode"], "skip": 0}}
    after, dense_after = words.copy(), words.copy()
    outcome, whole = tensor.execute(CONFIG, result, after), tensor.execute(CONFIG, dense,
                                                                           dense_after)
    assert outcome.trap is whole.trap is Trap.NONE
    assert np.array_equal(after, dense_after)
    assert {name: getattr(outcome, name) for name in COUNTERS} == expected
    assert sum(expected.values()) == whole.macs
    assert (outcome.nan, outcome.saturations) == (whole.nan, whole.saturations)


REFUSED = [
    ("both", {"mode": {"skip": Skip.ELEMENTS | Skip.OUTPUTS, "mask": 1}, "positions": {"p0": 8}}),
    ("turned", {"mode": {"skip": Skip.ELEMENTS, "turn_stream": 1}, "positions": {"p0": 8}}),
    ("long slot", {"mode": {"skip": Skip.ELEMENTS}, "reduction": {"r0": 5},
                   "stream__r0": {"stride": 1}}),
    ("apart", {"mode": {"skip": Skip.ELEMENTS}, "reduction": {"r0": 2},
               "stream__r0": {"stride": 2}}),
    ("no mask", {"mode": {"skip": Skip.OUTPUTS}, "positions": {"p0": 4},
                 "stream__p0": {"stride": 1}}),
    ("turned output", {"mode": {"skip": Skip.OUTPUTS, "mask": 1, "turn_output": 1},
                       "positions": {"p0": 8}, "stream__p0": {"stride": 1}}),
    ("ragged", {"mode": {"skip": Skip.OUTPUTS, "mask": 1}, "positions": {"p0": 6},
                "stream__p0": {"stride": 1}}),
    ("rows", {"mode": {"skip": Skip.OUTPUTS, "mask": 1}, "positions": {"p0": 4},
              "stream__p0": {"stride": 1, "dx": 1}}),
]


@pytest.mark.parametrize("values", [v for _, v in REFUSED], ids=[n for n, _ in REFUSED])
def test_refused_shapes(values):
    words = np.zeros(CONFIG.words, np.uint64)
    assert tensor.execute(CONFIG, registers(Unit.TENSOR, **values), words).trap is Trap.SHAPE


@pytest.mark.parametrize("skip", [Skip.ELEMENTS, Skip.OUTPUTS])
def test_dense_chip_refuses(skip):
    values = registers(Unit.TENSOR, mode={"skip": skip, "mask": 1})
    assert tensor.execute(Config(), values, np.zeros(Config().words, np.uint64)).trap is Trap.SHAPE


@pytest.mark.parametrize("skip, loop", [(Skip.ELEMENTS, "r0"), (Skip.OUTPUTS, "p0")])
def test_slots_are_aligned(skip, loop):
    values = registers(Unit.TENSOR, mode={"skip": skip, "mask": 1}, positions={"p0": 4},
                       reduction={"r0": 4 if loop == "r0" else 1}, stream__base={"address": 2},
                       output__base={"address": 64}, output__p0={"stride": 1})
    values[f"tensor.stream.{loop}"] = {"stride": 1, "dy": 0, "dx": 0}
    other = "p0" if loop == "r0" else "r1"
    values[f"tensor.stream.{other}"] = {"stride": 4, "dy": 0, "dx": 0}
    words = np.zeros(CONFIG.words, np.uint64)
    assert tensor.execute(CONFIG, values, words).trap is Trap.ADDRESS
    values["tensor.stream.base"] = {"address": 4}
    assert tensor.execute(CONFIG, values, words).trap is Trap.NONE
