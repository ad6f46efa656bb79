import pytest

from hdl.tensor.live.masks import LiveMasks
from hdl.tensor.live.word_window import WordWindow
from isa.config import Config
from verif import bench

CONFIGS = [
    {"slot": 4, "scratchpad_kib": 32},
    {"slot": 8, "block": 8, "cores": 4, "scratchpad_kib": 32},
    {"slot": 2, "block": 16, "cores": 2, "scratchpad_kib": 32},
]


@pytest.mark.parametrize("config", CONFIGS)
def test_live_masks(config):
    bench.run(LiveMasks(config=Config(**config)), "verif.tensor.bench_live_masks",
              parameters={"config": config})


@pytest.mark.parametrize("config", CONFIGS)
def test_word_window(config):
    bench.run(WordWindow(config=Config(**config)), "verif.tensor.bench_word_window",
              parameters={"config": config})
