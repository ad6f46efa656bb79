import pytest

from hdl.memory.beats import BeatQueue
from verif import bench


@pytest.mark.parametrize("words, flags, depth", [(1, 1, 2), (4, 5, 8), (2, 3, 16)])
def test_beats(words, flags, depth):
    bench.run(BeatQueue(words=words, flags=flags, depth=depth), "verif.memory.bench_beats",
              parameters={"words": words, "flags": flags, "depth": depth})


@pytest.mark.parametrize("depth", [1, 3])
def test_constructor_errors(depth):
    with pytest.raises(ValueError, match=f"depth = {depth}: must be a power of two"):
        BeatQueue(words=1, flags=1, depth=depth)
