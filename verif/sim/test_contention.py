"""Rates of operations that want the same banks, where they follow from the addresses."""

import pytest

from isa.config import Config
from isa.formats import FormatCode
from isa.registers import Operand, Unit
from sim import cycles
from sim.contention import Contention, Part
from sim.tensor_traffic import TensorTraffic
from verif.registers import registers

CONFIG = Config()
BANKS = CONFIG.banks
MOVED = 512  # words


def product(stride: int = 1, passes: int = 64) -> dict:
    """A word of the stream a cycle, `stride` words apart; one tile, and hardly any output."""
    return registers(
        Unit.TENSOR, positions={"p0": 32}, reduction={"r0": passes},
        stream__p0={"stride": stride}, stream__r0={"stride": 32 * stride},
        stationary__window={"height": 0}, output__base={"address": 1 << 13})


def move(first: int, store: int) -> dict:
    return registers(Unit.MOVE, counts={"words": MOVED}, scratchpad__base={"address": first},
                     mode={"store": store})


def copy(first: int, stride: int = 1, to: int = 1 << 12) -> dict:
    """A vector operation from words of E4M3 to others."""
    return registers(
        Unit.VECTOR, counts={"n0": MOVED}, x__base={"address": first},
        x__n01={"n0": stride}, o0__base={"address": to}, o0__n01={"n0": 1},
        op={"a": Operand.X, "b": Operand.ONE, "d": Operand.T, "e": Operand.ONE},
        inputs={"x": FormatCode.E4M3}, o0__mode={"enable": 1})


def rates(**operations: dict) -> dict[Unit, float]:
    """Of operations by unit, at their beginning."""
    parts = [Part(unit, repr(values), values, cycles.of(CONFIG, unit, values), 0.0)
             for unit in Unit if (values := operations.get(unit.name.lower()))]
    return Contention(CONFIG).rates(parts)


def test_alone_nothing_waits():
    for operations in ({"tensor": product()}, {"move": move(0, 1)}, {"vector": copy(0)}):
        assert set(rates(**operations).values()) == {1.0}


def test_streams_of_a_word_a_cycle_part_once():
    found = rates(tensor=product(), move=move(0, 1), vector=copy(0))
    assert all(rate >= 0.99 for rate in found.values())


def test_a_stream_that_stays_in_a_bank_stops_a_move_and_not_the_tensor_unit():
    found = rates(tensor=product(stride=BANKS), move=move(0, 1))
    assert found == {Unit.TENSOR: 1.0, Unit.MOVE: pytest.approx(0, abs=0.01)}
    # What is written does not meet what is read.
    assert rates(tensor=product(stride=BANKS), move=move(0, 0))[Unit.MOVE] == 1


def test_streams_that_met_follow_one_another():
    """Two groups that read the same words: a cycle apart."""
    values = product() | {"tensor.groups": {"groups": 2, "merge": 0}}
    reads, writes = [0] * BANKS, [0] * BANKS
    TensorTraffic(CONFIG.with_(cores=2), values, 32 * 64).mark(0.0, reads, writes)
    assert reads[:3] == [0b1, 0b11, 0b110]
    assert not any(writes)


def test_vector_operation_stays_behind_a_slower_stream():
    """Half of the banks are a bank after bank for two cycles each: what goes their way, too."""
    ahead = registers(Unit.TENSOR, positions={"p0": 2, "p1": 16}, reduction={"r0": 64},
                      stream__p1={"stride": 1}, stationary__window={"height": 0},
                      output__base={"address": 1 << 13})
    assert rates(tensor=ahead, vector=copy(1))[Unit.VECTOR] == pytest.approx(0.5, abs=0.1)
    backwards = rates(tensor=ahead, vector=copy(MOVED, stride=-1))[Unit.VECTOR]
    assert 0.8 <= backwards < 1


def test_a_move_wins_from_the_vector_unit():
    """All inputs lie in one bank, which the move comes to once in a round of all banks."""
    found = rates(move=move(0, 1), vector=copy(0, stride=BANKS))
    assert found == {Unit.MOVE: 1, Unit.VECTOR: pytest.approx(1 - 1 / BANKS, abs=0.01)}
