"""Programs with moves on the harness: beats of 1, 2 and 4 words, stalls, latency, errors."""

import numpy as np
import pytest

from isa.assembler import assemble, to_bytes
from isa.config import Config
from isa.memmap import Control, Status, Trap, counter_offset
from verif import seeds
from verif.simulation import Simulation
from verif.simulation.mover import Mover

BYTES = 1 << 16
SOURCE, TARGET = 0x4000, 0xA000
RUNS, WORDS = 20, 33


def run(simulation, program, at):
    """Executes a program; returns the trap."""
    code = np.frombuffer(to_bytes(assemble(program)), np.uint8)
    simulation.memory[at:at + code.size] = code
    simulation.write32(Control.INTERRUPT_ENABLE, 1)
    simulation.write32(Control.PROGRAM, at)
    simulation.write32(Control.COMMAND, 1)
    assert simulation.run(20_000)
    simulation.write32(Control.STATUS, 1 << Status.DONE)
    return Trap(simulation.read32(Control.TRAP_CAUSE))


def copy(source, target):
    """Runs through the scratchpad, the second move behind the first."""
    return f"""
        set move.external.base, address={source}
        set move.scratchpad.base, address=5
        set move.counts, words={WORDS}, n1={RUNS}
        set move.external.n1, stride={8 * (WORDS + 5)}
        set move.scratchpad.n1, stride={WORDS}
        run move
        set move.external.base, address={target}
        set move.mode, store=1
        run move
        fence
        halt 0
    """


@pytest.mark.parametrize("stalls, latency", [(0, 8), (0.3, 3)])
@pytest.mark.parametrize("axi_words", [1, 2, 4])
def test_copies(axi_words, stalls, latency):
    config = Config(name="mover", scratchpad_kib=8, axi_words=axi_words)
    draw = seeds.generator("mover")
    with Simulation(config, memory_bytes=BYTES, seed=seeds.seed(), stalls=stalls,
                    latency=latency, chip=Mover(config=config)) as simulation:
        for case in range(12):
            simulation.memory[:] = draw.integers(0, 256, BYTES)
            source, target = (at + 8 * int(draw.integers(0, 8)) for at in (SOURCE, TARGET))
            before = simulation.memory.copy()
            assert run(simulation, copy(source, target), 8 * case) is Trap.NONE
            expected = simulation.memory.copy()
            expected[0x1000:] = before[0x1000:]
            for i in range(RUNS):
                step, size = 8 * (WORDS + 5) * i, 8 * WORDS
                expected[target + step:target + step + size] = \
                    before[source + step:source + step + size]
            assert (simulation.memory == expected).all()
            for name in ("words_filled", "words_stored"):
                assert simulation.read32(counter_offset(name)) == RUNS * WORDS
        print(f"{axi_words} words a beat: {RUNS * WORDS} words there and back, busy for "
              f"{simulation.read32(counter_offset('move_busy'))} cycles")


@pytest.mark.parametrize("axi_words", [1, 4])
def test_errors(axi_words):
    config = Config(name="mover", scratchpad_kib=8, axi_words=axi_words)
    with Simulation(config, memory_bytes=BYTES, chip=Mover(config=config)) as simulation:
        beyond = BYTES - 8 * WORDS + 8
        assert run(simulation, copy(beyond, TARGET), 0) is Trap.BUS
        assert simulation.read32(Control.TRAP_PC) == 5
        assert run(simulation, copy(SOURCE, beyond), 8) is Trap.BUS
        assert simulation.read32(Control.TRAP_PC) == 8
        assert run(simulation, copy(SOURCE, TARGET), 16) is Trap.NONE


@pytest.mark.parametrize("axi_words", [1, 2, 4])
def test_latency_is_hidden(axi_words):
    """A beat a cycle in long runs and in rows of 32 words, but for the latency of one burst."""
    latency = 40
    config = Config(name="mover", scratchpad_kib=8, axi_words=axi_words)
    with Simulation(config, memory_bytes=BYTES, latency=latency,
                    chip=Mover(config=config)) as simulation:
        for words, runs in ((1024, 1), (32, 32)):
            for store in (0, 1):
                assert run(simulation, f"""
                    set move.external.base, address={SOURCE}
                    set move.counts, words={words}, n1={runs}
                    set move.external.n1, stride=512
                    set move.scratchpad.n1, stride=32
                    set move.mode, store={store}
                    run move
                    fence
                    halt 0
                """, 0) is Trap.NONE
                busy = simulation.read32(counter_offset("move_busy"))
                print(f"{axi_words} words a beat, {runs} runs of {words}: {busy} cycles")
                assert busy < 1024 // axi_words + latency + 12
