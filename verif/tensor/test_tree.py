import pytest

from hdl.tensor.core.accumulate import AccumulatingTree, part_widths
from isa.config import Config, ConfigError
from verif import bench
from verif.tensor.exact import SMALLEST_BITS


def _run(changes, exhaustive, words):
    bench.run(AccumulatingTree(config=Config(**changes)), "verif.tensor.bench_tree", name="tree",
              parameters={"config": changes, "exhaustive": exhaustive, "words": words})


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_mixed(stages):
    _run({"mode": "mixed", "tree_stages": stages}, exhaustive=stages == 2, words=4000)


@pytest.mark.parametrize("mode, bits, stages", [
    ("e4m3", SMALLEST_BITS["e4m3"], 1),
    ("e5m2", 88, 3),
])
def test_every_pair(mode, bits, stages):
    _run({"mode": mode, "accumulator_bits": bits, "tree_stages": stages}, True, words=3000)


@pytest.mark.parametrize("mode, bits", [
    ("mixed", SMALLEST_BITS["mixed"]),
    ("e5m2", SMALLEST_BITS["e5m2"]),
    ("e4m3", 128),
])
def test_narrow_and_wide_accumulators(mode, bits):
    _run({"mode": mode, "accumulator_bits": bits, "tree_stages": 0}, False, words=2000)


def test_widest_accumulator():
    _run({"mode": "e5m2", "accumulator_bits": 128, "tree_stages": 0}, False, words=2000)


@pytest.mark.parametrize("bits, widths", [(40, [40]), (62, [62]), (72, [36, 36]),
                                          (128, [42, 43, 43])])
def test_parts(bits, widths):
    assert part_widths(bits) == widths


def test_constructor_errors():
    with pytest.raises(ConfigError, match="mode = 'fp4': must be one of e4m3, mixed, e5m2"):
        AccumulatingTree(config=Config(mode="fp4"))
    with pytest.raises(ConfigError, match="accumulator_bits = 48: mode mixed needs at least 56"):
        AccumulatingTree(config=Config(accumulator_bits=48))
    with pytest.raises(ConfigError, match="tree_stages = 4: must be 0 to 3"):
        AccumulatingTree(config=Config(tree_stages=4))
