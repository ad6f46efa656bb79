import pytest

from verif import bench, seeds, streams
from verif.infrastructure.fixtures import PAYLOAD, Gates, Queue

MODULE = "verif.infrastructure.bench_streams"


def test_streams():
    bench.run(Queue(), MODULE)


def test_a_failure_is_reported_with_its_seed():
    with pytest.raises(bench.BenchError, match=rf"{seeds.VARIABLE}={seeds.seed()}.*fails_on"):
        bench.run(Queue(), MODULE, parameters={"fail": True})


@pytest.mark.parametrize("module", ["verif.infrastructure.bench_nothing", "verif.no_such_module"])
def test_a_bench_that_runs_nothing_fails(module):
    with pytest.raises(bench.BenchError):
        bench.run(Queue(), module)


def test_clock_gates():
    bench.run(Gates(), "verif.infrastructure.bench_clock")


def test_pack_and_unpack():
    item = {"tag": 5, "pair": {"a": -3, "b": [1, 2, 31]}}
    bits = streams.pack(PAYLOAD, item)
    assert bits == 5 | 13 << 3 | 1 << 7 | 2 << 12 | 31 << 17
    assert streams.unpack(PAYLOAD, bits) == item
    assert streams.pack(8, 255) == streams.pack(8, -1) == 255
    for value in (256, -129):
        with pytest.raises(ValueError, match=f"{value} does not fit 8 bits"):
            streams.pack(8, value)
    with pytest.raises(KeyError, match="no field"):
        streams.pack(PAYLOAD, {"tga": 1})


def test_seed_must_be_a_number(monkeypatch):
    monkeypatch.setenv(seeds.VARIABLE, "x1")
    with pytest.raises(ValueError, match="WINNOW_SEED = 'x1'"):
        seeds.seed()
