"""What tests of benches that train have in common."""

from contextlib import contextmanager

import pytest

from isa.memmap import TAG_COUNTERS, counter_offset, tag_offset
from isa.registers import TAGS
from winnow import network
from winnow.bench import phases
from winnow.compiler import training
from winnow.compiler.step import PLANS
from winnow.host import ModelDevice
from winnow.network import Conv, Linear, Network, Shape

BUSY, WORDS, SPAN = TAG_COUNTERS
READ = {counter_offset("cycles"): counter_offset("macs")} | {
    tag_offset(tag, name): tag_offset(tag, WORDS) for tag in range(TAGS) for name in (BUSY, SPAN)}


class Counting(ModelDevice):
    """A chip that takes a cycle for each multiply-add that it does."""

    def read32(self, offset: int) -> int:
        low = offset & ~7
        return super().read32(READ.get(low, low) + offset - low)


@pytest.fixture
def one_plan(monkeypatch):
    """One plan of tile sizes instead of the best of all, which takes long to find."""
    monkeypatch.setattr(training, "PLANS", PLANS[:1])


@pytest.fixture
def counting(monkeypatch):
    """No Verilog: `Counting` in its place."""
    @contextmanager
    def simulated(config, memory_bytes, **options):
        yield Counting(config, memory_bytes)

    monkeypatch.setattr(phases, "simulated", simulated)


@pytest.fixture
def normal(monkeypatch):
    """A network of this name, whose convolutions are normalised."""
    monkeypatch.setitem(network.NETWORKS, "normal", Network("normal", Shape(1, 8, 8), (
        Conv("a", 16, norm=True), Conv("b", 40, norm=True), Linear("fc", 10))))
