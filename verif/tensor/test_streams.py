import pytest

from hdl.streams.queue import Queue
from hdl.streams.reader import WordReader
from hdl.streams.skid import Skid
from hdl.streams.turn import Turn
from hdl.streams.walk import Walk
from hdl.streams.walker import Walker
from isa.config import Config
from verif import bench


@pytest.mark.parametrize("loops, bounded", [
    (["a"], False),
    (["a", "b"], True),
    (["p0", "p1", "p2", "r0", "r1", "r2", "r3", "b0", "b1", "b2", "b3"], True),
])
def test_walker(loops, bounded):
    bench.run(Walker(loops=loops, bounded=bounded), "verif.tensor.bench_walker",
              parameters={"loops": loops, "bounded": bounded})


@pytest.mark.parametrize("loops, outer", [(["a"], 1), (["p0", "p1", "p2"], 8)])
def test_walk(loops, outer):
    bench.run(Walk(loops=loops, outer=outer), "verif.tensor.bench_walk",
              parameters={"loops": loops, "outer": outer})


@pytest.mark.parametrize("changes, loops, words", [
    ({}, 3, 1),
    ({"scratchpad_kib": 1}, 1, 1),
    ({"slot": 4}, 2, 4),
])
def test_reader(changes, loops, words):
    bench.run(WordReader(config=Config(**changes), loops=loops, words=words),
              "verif.tensor.bench_reader",
              parameters={"config": changes, "loops": loops, "words": words})


@pytest.mark.parametrize("depth, bits", [(1, 3), (5, 40)])
def test_queue(depth, bits):
    bench.run(Queue(layout=bits, depth=depth), "verif.tensor.bench_queue",
              parameters={"depth": depth, "bits": bits})


def test_skid():
    bench.run(Skid(layout=40), "verif.tensor.bench_skid", parameters={"bits": 40})


@pytest.mark.parametrize("element_bits, last_bits", [(8, 2), (9, 1)])
def test_turn(element_bits, last_bits):
    bench.run(Turn(element_bits=element_bits, last_bits=last_bits), "verif.tensor.bench_turn",
              parameters={"element_bits": element_bits, "last_bits": last_bits})


def test_constructor_errors():
    with pytest.raises(ValueError, match="loops is empty"):
        Walker(loops=())
    with pytest.raises(ValueError, match="depth = 0: must be at least 1"):
        Queue(layout=1, depth=0)
    with pytest.raises(ValueError, match="element_bits = 0, last_bits = 1: must be at least 1"):
        Turn(element_bits=0, last_bits=1)
