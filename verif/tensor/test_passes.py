import pytest

from hdl.tensor.feed.passes import Passes
from hdl.tensor.tiles.tile_queue import TileQueue
from hdl.tensor.tiles.zero_tiles import ZeroTiles
from isa.config import Config
from verif import bench


@pytest.mark.parametrize("slot", [1, 4])
def test_passes(slot):
    bench.run(Passes(config=Config(slot=slot), outer=2), "verif.tensor.bench_passes",
              parameters={"outer": 2})


@pytest.mark.parametrize("slot", [2, 4, 8])
def test_tile_queue(slot):
    bench.run(TileQueue(config=Config(slot=slot)), "verif.tensor.bench_tile_queue",
              parameters={"slot": slot})


def test_zero_tiles():
    bench.run(ZeroTiles(), "verif.tensor.bench_zero_tiles")
