"""Traps one by one, with cause and program counter, and that the chip works again afterwards."""

import cocotb

from isa.instructions import BY_MNEMONIC, OPCODE, TOKEN_MOST
from isa.memmap import Control, Status, Trap
from isa.registers import REGISTERS
from verif import bench, streams
from verif.control.agents import Bench

STALL = bench.parameters().get("stall", 0.0)
GOOD = "set vector.k0, value=5\nhalt 0"


async def works(b):
    """After a trap everything starts anew."""
    b.tensor.traps.clear()
    b.vector.traps.clear()
    ending = await b.halts(GOOD, at=0x4000)
    assert ending.instructions == 2
    assert b.vector.log == [("clear",), ("set", REGISTERS["vector.k0"].index, 5)]
    assert b.tensor.log == [("clear",)]


def word(mnemonic, bits=0):
    return f".word {OPCODE.encode(BY_MNEMONIC[mnemonic].opcode) | bits}\n"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def illegal(dut):
    b = await Bench.start(dut, STALL)
    for text in (
        ".word 0\n", f".word {0xFF << 56}\n", word("nop", 1), word("halt", 1 << 16),
        word("run", 3 << 54), word("run", 3 << 52), word("clear", 3 << 54), word("set", 255 << 48),
        word("set", REGISTERS["tensor.key"].index << 48 | 1 << 32), word("csr", 2),
    ):
        await b.traps("nop\nnop\n" + text + "halt 0", Trap.ILLEGAL, 2)
        await works(b)
    # what is jumped over does not trap
    await b.halts("skip eq, r0, r0, +1\n.word 0\nloop 0, +1\n.word 0\nhalt 0")


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def loops_too_deep(dut):
    b = await Bench.start(dut, STALL)
    deep = "".join(f"loop 2, +{9 - i}\n" for i in range(4))
    await b.traps(deep + "nop\nloop 2, +1\nnop\nnop\nnop\nhalt 0", Trap.LOOP, 5)
    await works(b)
    # loops that are not entered do not count
    await b.halts(deep + "loop 0, +1\nnop\nloop 7, +0\nnop\nnop\nnop\nhalt 0")


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def fetch(dut):
    b = await Bench.start(dut, STALL)
    end = Bench.EXTERNAL
    # the last instruction of memory may halt; what was read ahead of it failed and does not matter
    faults = b.memory.faults
    await b.halts("nop\nhalt 0", at=end - 16)
    assert b.memory.faults > faults
    await b.traps("nop\nnop", Trap.BUS, 2, at=end - 16)
    await works(b)
    b.load("nop\nhalt 0", at=0x1000)
    b.memory.bad.add(0x1000)
    await b.begin(0x1000)
    ending = await b.wait()
    assert (ending.cause, ending.pc, ending.instructions) == (Trap.BUS, 0, 0)
    b.memory.bad.clear()
    await b.begin(0x1004)
    ending = await b.wait()
    assert (ending.cause, ending.pc, ending.instructions) == (Trap.ADDRESS, 0, 0)
    await works(b)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def move(dut):
    b = await Bench.start(dut, STALL)
    top = Bench.CONFIG.words
    for cause, text in (
        (Trap.ADDRESS, "set move.external.base, address=0x1004"),
        (Trap.ADDRESS, f"set move.scratchpad.base, address={top}"),
        (Trap.ADDRESS, "set move.scratchpad.base, address=0xFFFFF"),
        (Trap.SHAPE, "set move.counts, words=0"),
        (Trap.BUS, f"set move.external.base, address={Bench.EXTERNAL}"),
    ):
        for store in (0, 1):
            await b.traps(f"{text}\nset move.mode, store={store}\nnop\nrun move\n"
                          f"loop 1000, +1\nnop\nhalt 0", cause, 3)
            await works(b)
    # a move beside the program that runs on: bursts under way are finished
    long = f"""
        set move.counts, words={top}, n1=50
        run move
        loop 30, +1
        nop
    """
    await b.traps(long + ".word 0", Trap.ILLEGAL, 4)
    await works(b)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def units(dut):
    b = await Bench.start(dut, STALL)
    b.tensor.duration = lambda pc: 30
    b.tensor.traps = {1: Trap.DEPTH}
    b.vector.duration = lambda pc: 200
    program = """
        nop
        run tensor, post=1
        run vector
        run tensor
        sync wait=2
        halt 0
    """
    await b.traps(program, Trap.DEPTH, 1)
    # the second operation of tensor was dropped, that of vector was ended early
    assert [e for e in b.tensor.log if e[0] in ("start", "end")] == [("start", 1), ("end", 1)]
    assert ("end", 2) in b.vector.log
    await works(b)
    # the first one wins: vector traps later, tensor earlier, whatever the order of the program
    for first, second in ((b.tensor, b.vector), (b.vector, b.tensor)):
        program = f"run {second.name}\nrun {first.name}\nfence\nhalt 0"
        second.duration, first.duration = lambda pc: 40, lambda pc: 30
        for earlier in (Trap.SHAPE, Trap.DEPTH):
            first.traps, second.traps = {1: earlier}, {0: Trap.ADDRESS}
            await b.traps(program, earlier, 1)
            await works(b)
        second.duration, first.duration = lambda pc: 30, lambda pc: 40
        first.traps, second.traps = {1: Trap.SHAPE}, {0: Trap.ADDRESS}
        await b.traps(program, Trap.ADDRESS, 0)
        await works(b)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def token_overflow(dut):
    b = await Bench.start(dut, STALL)
    b.tensor.duration = b.vector.duration = lambda pc: 1
    fill = f"loop {TOKEN_MOST}, +1\nsync post=0x10\n"
    await b.halts(fill + "halt 0")
    await b.traps(fill + "nop\nsync post=0x10\nhalt 0", Trap.TOKEN, 3)
    await works(b)
    await b.traps(fill + "run vector, post=0x10\nfence\nhalt 0", Trap.TOKEN, 2)
    await works(b)
    # taken and given in the same cycle it is not too many; and all tokens are zero after a start
    await b.halts(fill + "sync wait=0x10, post=0x10\nhalt 0")
    await b.traps("sync wait=0x10\nhalt 0", Trap.DEADLOCK, 0)
    await works(b)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def deadlock(dut):
    b = await Bench.start(dut, STALL)
    b.tensor.duration = b.vector.duration = lambda pc: 100
    for text, pc in (
        ("sync wait=1", 0),
        ("run tensor, wait=1\nfence", 1),
        ("run tensor, wait=1\nhalt 0", 1),
        ("run tensor, wait=1\nset tensor.key, key=1", 1),
        ("run tensor, wait=1\nclear tensor", 1),
        ("run tensor, wait=1\nrun tensor", 1),
        ("run move, wait=1\nsetr move.external.base, r0, 0", 1),
        ("run tensor, post=2, wait=1\nrun vector, post=1, wait=2\nnop\nfence", 3),
        ("run vector\nsync wait=1", 1),  # only after the vector operation
    ):
        await b.traps(text + "\nhalt 0", Trap.DEADLOCK, pc)
        await works(b)
    # waiting for a long operation is none
    await b.halts("run vector, post=1\nrun tensor, wait=1, post=2\nsync wait=2\nhalt 0")


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def start_while_busy(dut):
    """A second start is not looked at; writing DONE does not touch what runs."""
    b = await Bench.start(dut, STALL)
    b.vector.duration = lambda pc: 300
    b.load("nop\nhalt 0", at=0x800)
    b.load("run vector\nhalt 7")
    await b.begin()
    await streams.cycles(dut, 60)
    await b.begin(0x800)
    await b.host.write(Control.STATUS, 1 << Status.DONE)
    ending = await b.wait()
    assert ending.code == 7 and ending.instructions == 2
    await b.halts("halt 0")
