import numpy as np
import pytest

from isa.config import Config
from verif import seeds
from verif.simulation import BusError, Simulation, SimulationError
from verif.simulation.copier import BAD, BEATS, ERRORS, GO, SOURCE, TARGET, Copier

CONFIG = Config(name="copier")
BYTES = 1 << 16
BURST = 8 * BEATS


def open_copier(chip=None, **options):
    return Simulation(CONFIG, memory_bytes=BYTES, chip=chip or Copier(), **options)


def copy(simulation, source, target, bursts, cycles=100_000):
    simulation.write32(SOURCE, source)
    simulation.write32(TARGET, target)
    simulation.write32(GO, bursts)
    return simulation.run(cycles)


@pytest.mark.parametrize("stalls, latency", [(0, 0), (0, 20), (0.5, 3), (0.95, 0)])
def test_memory_and_host_port(stalls, latency):
    draw = seeds.generator("simulation")
    with open_copier(seed=seeds.seed(), stalls=stalls, latency=latency) as simulation:
        simulation.memory[:] = draw.integers(0, 256, BYTES)
        expected = simulation.memory.copy()
        expected[0x4000:0x4000 + 20 * BURST] = expected[:20 * BURST]
        assert copy(simulation, 0, 0x4000, 20)
        assert (simulation.memory == expected).all()
        assert simulation.read32(ERRORS) == 0
        assert not simulation.run(100)


@pytest.mark.parametrize("words", [2, 4])
def test_beats_of_several_words(words):
    """Bytes that are not enabled keep their value, in every beat."""
    draw = seeds.generator("beats")
    strobe = int(draw.integers(1, (1 << 8 * words) - 1))
    enabled = np.array([strobe >> i & 1 for i in range(8 * words)], bool)
    size = words * BURST
    with open_copier(Copier(words=words, strobe=strobe), seed=seeds.seed(),
                     stalls=0.4) as simulation:
        simulation.memory[:] = draw.integers(0, 256, BYTES)
        expected = simulation.memory.copy()
        source = expected[size:3 * size].reshape(-1, 8 * words)
        target = expected[0x8000:0x8000 + 2 * size].reshape(-1, 8 * words)
        target[:, enabled] = source[:, enabled]
        assert copy(simulation, size, 0x8000, 2)
        assert (simulation.memory == expected).all()
        assert simulation.read32(ERRORS) == 0
        simulation.fail_range(0x8000, 0x8001)
        assert copy(simulation, BYTES - size, 0x8000, 2)  # the second is beyond memory
        assert simulation.read32(ERRORS) == 1 + BEATS
    with Simulation(CONFIG, memory_bytes=BYTES - 8, chip=Copier(words=words)) as simulation:
        assert copy(simulation, BYTES - size, 0, 1)  # the last beat is whole
        assert simulation.read32(ERRORS) == 0


def test_stalls_and_latency_cost_cycles():
    spent = []
    for options in ({"latency": 0}, {"latency": 30}, {"latency": 0, "stalls": 0.7}):
        with open_copier(**options) as simulation:
            assert copy(simulation, 0, 0x4000, 4)
            spent.append(simulation.cycles)
    assert spent[1] - spent[0] == 4 * 2 * 30
    assert spent[2] > 2 * spent[0]


def test_same_seed_same_cycles():
    spent = set()
    for _ in range(2):
        with open_copier(seed=7, stalls=0.5) as simulation:
            assert copy(simulation, 0, 0x4000, 4)
            spent.add(simulation.cycles)
    assert len(spent) == 1


def test_error_responses():
    with open_copier() as simulation:
        simulation.memory[:] = 1
        simulation.fail_range(BURST, BURST + 1)
        simulation.fail_range(0x2000 + 2 * BURST - 1, 0x2000 + 2 * BURST)
        simulation.memory[:4 * BURST] = 2
        assert copy(simulation, 0, 0x2000, 4)
        assert simulation.read32(ERRORS) == 1  # the response of the second burst's write
        assert (simulation.memory[0x2000:0x2000 + BURST] == 2).all()
        assert (simulation.memory[0x2000 + BURST:0x2000 + 2 * BURST] == 1).all()
        assert copy(simulation, BYTES, 0, 1)  # beyond memory: each beat has an error
        assert simulation.read32(ERRORS) == 1 + BEATS
        with pytest.raises(BusError, match="read of control register 0x10: response 2"):
            simulation.read32(BAD)
        with pytest.raises(BusError, match="write of control register 0x10: response 2"):
            simulation.write32(BAD, 0)


def test_a_broken_rule_of_the_bus_is_found():
    with Simulation(CONFIG, memory_bytes=BYTES, chip=Copier(unaligned=True)) as simulation, \
            pytest.raises(SimulationError, match=r"not aligned \(0x11\)"):
        copy(simulation, 0x10, 0, 1)


def test_waves(tmp_path):
    path = tmp_path / "new" / "chip.vcd"
    with open_copier(waves=path) as simulation:
        assert copy(simulation, 0, 0x4000, 1)
    assert "araddr" in path.read_text()


def test_close_twice_and_bad_values():
    simulation = open_copier()
    simulation.close()
    simulation.close()
    for options, what in (({"stalls": 1}, "stalls = 1"), ({"latency": -1}, "latency = -1"),
                          ({"memory_bytes": 12}, "memory_bytes = 12")):
        with pytest.raises(ValueError, match=what):
            Simulation(CONFIG, **options)
