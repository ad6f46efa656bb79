"""Placement: what lives at the same time lies apart, and what is read together begins apart."""

from itertools import combinations

import pytest

from isa.config import Config
from isa.registers import Unit
from verif import seeds
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.placement import PlacementError, place

CONFIG = Config(scratchpad_kib=8)


def random_operations(draw, words: int):
    """Operations on buffers of which each is named a few times, one after the other."""
    buffers = [Buffer(f"buffer {i}", int(draw.integers(1, words))) for i in range(30)]
    return [Operation(f"operation {i}", Unit.VECTOR, {}, buffers[i:i + int(draw.integers(1, 4))],
                      [buffers[int(draw.integers(i, min(i + 3, 30)))]]) for i in range(28)]


def lives(operations, resident):
    """First and last operation of each buffer."""
    spans = {b: (0, len(operations)) for b in resident}
    for i, operation in enumerate(operations):
        for buffer in operation.buffers:
            first, last = spans.get(buffer, (i, i))
            spans[buffer] = (first, max(i, last))
    return spans


@pytest.mark.parametrize("case", range(20))
def test_random_operations(case):
    operations = random_operations(seeds.generator(f"placement {case}"), 64)
    resident = operations[5].reads[:1]
    place(CONFIG, operations, resident)
    spans = lives(operations, resident)
    for a, b in combinations(spans, 2):
        if spans[a][0] <= spans[b][1] and spans[b][0] <= spans[a][1]:
            assert not a.overlaps(b)
    for buffer in spans:
        assert 0 <= buffer.address <= CONFIG.words - buffer.words
    for operation in operations:
        begins = {b: b.address % CONFIG.banks for b in operation.buffers}
        assert len(set(begins.values())) == len(begins), operation.label


def test_a_full_scratchpad_is_used_to_the_last_word():
    half = CONFIG.words // 2
    buffers = [Buffer("a", half), Buffer("b", half)]
    place(CONFIG, [Operation("copy", Unit.VECTOR, {}, buffers[:1], buffers[1:])], [])
    assert sorted(b.address for b in buffers) == [0, half]


def test_what_does_not_fit_is_named():
    buffers = [Buffer("a", 600), Buffer("b", 500)]
    with pytest.raises(PlacementError, match="copy: b needs 4000 bytes of scratchpad beside 4800 "
                                             "bytes in use; configuration small has 8192"):
        place(CONFIG, [Operation("copy", Unit.VECTOR, {}, buffers[:1], buffers[1:])], [])
