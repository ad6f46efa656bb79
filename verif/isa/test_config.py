"""The configuration: what it derives, and what it refuses."""

import pytest

from isa import config
from isa.config import Config, ConfigError
from isa.formats import BINARY32, E4M3, E5M2


def test_derived_figures():
    small = config.named("small")
    assert (small.lowest_exponent, small.raw_words, small.words) == (-25, 9, 16384)
    assert small.max_passes * 8 == 2_739_136  # of the largest products
    assert Config(accumulator_bits=64).max_passes == 10_699 // 8
    assert Config(mode="e5m2", accumulator_bits=88).lowest_exponent == -32
    assert Config(mode="e4m3", accumulator_bits=40).lowest_exponent == -18


def test_formats():
    assert (E4M3.max_value, E5M2.max_value) == (448, 57344)
    assert (E4M3.nan_code, E5M2.nan_code, BINARY32.nan_code) == (0x7F, 0x7E, 0x7FC00000)
    assert (E4M3.lowest_exponent, E5M2.lowest_exponent) == (-9, -16)
    with pytest.raises(ValueError, match="E4M3 has no infinity"):
        print(E4M3.infinity_code)


@pytest.mark.parametrize(("changes", "message"), [
    ({"cores": 3}, "cores = 3"),
    ({"cores": True}, "cores = True: must be an integer"),
    ({"block": 0}, "block = 0"),
    ({"block": 24}, "block = 24: must be a power of two"),
    ({"mode": "fp16"}, "mode = 'fp16': must be one of e4m3, mixed, e5m2"),
    ({"accumulator_bits": 48}, "accumulator_bits = 48: mode mixed needs at least 56"),
    ({"accumulator_bits": 71}, "accumulator_bits = 71: must be a multiple of 8"),
    ({"mode": "e5m2", "accumulator_bits": 64}, "needs at least 72"),
    ({"tree_stages": 4}, "tree_stages = 4"),
    ({"banks": 8}, "banks = 8: must be a power of two and at least 2 x cores + "
                   "3 x vector_datapaths + 5 = 10"),
    ({"cores": 4, "vector_datapaths": 2}, "+ 3 x vector_datapaths + 5 = 19"),
    ({"vector_datapaths": 3}, "vector_datapaths = 3: must be 1, 2 or 4"),
    ({"vector_datapaths": 2.0}, "vector_datapaths = 2.0: must be an integer"),
    ({"scratchpad_kib": 3}, "scratchpad_kib = 3"),
])
def test_refusals_name_value_and_rule(changes, message):
    with pytest.raises(ConfigError) as error:
        Config().with_(**changes)
    assert message in str(error.value)


def test_unknown_name():
    with pytest.raises(ConfigError, match="'big' is unknown: there are small"):
        config.named("big")
