"""Traps and flags on the chip and on the model: named exceptions with the program counter."""

import numpy as np
import pytest

from isa.assembler import assemble, to_bytes
from isa.config import named
from isa.formats import E4M3
from isa.memmap import Trap
from verif.simulation import Simulation
from winnow.host import Driver, ModelDevice, NanInSum, TrapRaised

CONFIG = named("small")
MEMORY = 1 << 16
DATA = 0x8000

CASES = {
    "illegal opcode": ("nop\n.word 0\nhalt 0", Trap.ILLEGAL, 1),
    "reserved bits": ("nop\n.word 0x0100000000000001\nhalt 0", Trap.ILLEGAL, 1),
    "unknown register": ("nop\nnop\n.word 0x0aff000000000000\nhalt 0", Trap.ILLEGAL, 2),
    "scratchpad address": (
        "set tensor.stream.base, address=16384\nrun tensor\nhalt 0", Trap.ADDRESS, 1),
    "scratchpad address of the vector unit": (
        "set vector.op, a=2\nset vector.x.base, address=16384\nrun vector\nhalt 0",
        Trap.ADDRESS, 2),
    "external address": ("set move.external.base, address=4\nrun move\nhalt 0", Trap.ADDRESS, 1),
    "shape": ("set tensor.positions, p0=33, q0=8\nrun tensor\nhalt 0", Trap.SHAPE, 1),
    "reduction too long": (
        "set tensor.reduction, r0=4095, r1=84\nnop\nrun tensor\nhalt 0", Trap.DEPTH, 2),
    "bus error": (f"set move.external.base, address={MEMORY}\nrun move\nhalt 0", Trap.BUS, 1),
    "bus error at a store": (
        f"set move.external.base, address={MEMORY}\nset move.mode, store=1\nrun move\nhalt 0",
        Trap.BUS, 2),
    "loops too deep": ("\n".join(f"loop 2, +{9 - i}" for i in range(5)) + "\nnop" * 6 + "\nhalt 0",
                       Trap.LOOP, 4),
    "token overflow": ("loop 256, +1\nsync post=1\nhalt 0", Trap.TOKEN, 1),
    "deadlock": ("nop\nsync wait=1\nhalt 0", Trap.DEADLOCK, 1),
}


@pytest.fixture(params=["chip", "model"])
def device(request):
    if request.param == "model":
        yield ModelDevice(CONFIG, MEMORY)
    else:
        with Simulation(CONFIG, memory_bytes=MEMORY) as simulation:
            yield simulation


def load(device, text: str) -> Driver:
    program = np.frombuffer(to_bytes(assemble(text)), np.uint8)
    device.memory[:program.size] = program
    return Driver(device)


@pytest.mark.parametrize("name", CASES)
def test_trap(device, name):
    text, cause, pc = CASES[name]
    driver = load(device, text)
    with pytest.raises(TrapRaised) as trap:
        driver.execute(0, 10_000)
    assert (trap.value.cause, trap.value.pc) == (cause, pc)
    # A trap is not the end: the next program runs.
    assert load(device, "halt 7").execute(0, 10_000) == 7


def test_nan_in_a_sum(device):
    device.memory[DATA] = E4M3.nan_code
    device.memory[DATA + 64] = 0x38  # 1.0
    driver = load(device, f"""
        set move.external.base, address={DATA}
        set move.counts, words=16, n1=1, n2=1
        run move, post=1
        set tensor.stationary.q0, stride=1
        set tensor.stream.base, address=8
        set tensor.output.base, address=100
        run tensor, wait=1
        run tensor
        halt 0
    """)
    with pytest.raises(NanInSum) as flag:
        driver.execute(0, 10_000)
    assert flag.value.pc == 6
    assert load(device, "halt 0").execute(0, 10_000) == 0


def test_csr_reads_what_the_host_would(device):
    """Each register that a program can read, stored by way of the scalar registers."""
    offsets = [0x00, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x28, 0x2C, 0x7FC]
    lines = [f"csr r1, {offset}\nsetr move.external.n1, r1, 0\nhalt 0" for offset in offsets]
    expected = [0x574E5731, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]
    for text, value in zip(lines, expected, strict=True):
        # One instruction decides by the value which way the program halts.
        compare = f"li r2, {value}\nskip eq, r1, r2, +1\nhalt 9\nhalt 4"
        assert load(device, text.replace("halt 0", compare)).execute(0, 10_000) == 4, text


def test_halt_code_and_messages(device):
    assert load(device, "li r1, 1\nhalt 4321").execute(0, 10_000) == 4321
    assert str(TrapRaised(Trap.DEPTH, 5)) == "trap DEPTH at instruction 5"
    assert str(NanInSum(6)) == "NaN in a sum of the operation at instruction 6"
