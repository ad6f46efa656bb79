"""Control with operations that are left out, lists of live elements and the histogram."""

import cocotb

from isa.memmap import BINS, Control, Trap, counter_offset
from verif import bench, streams
from verif.control.agents import Bench
from verif.control.golden import show, shown

STALL = bench.parameters().get("stall", 0.0)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def guards(dut):
    """An operation is left out where its guard does not hold as control comes to it; its tokens
    are taken and given, in order."""
    b = await Bench.start(dut, STALL)
    b.tensor.duration = lambda pc: 20
    for value in (0, 7, 8, 9, 1023, 1024, -2**31, -1):
        unsigned = value % 2**32
        for least in (0, 8, 1023):
            for guard, holds in (("none", True), ("ge", unsigned >= least),
                                 ("lt", unsigned < least)):
                for unit in (b.tensor, b.vector):
                    count = b.draw.randrange(2)
                    await b.halts(f"""
                        li r5, {value}
                        run {unit.name}, guard={guard}, rs=r5, least={least}, count={count}, post=1
                        addi r5, r5, {b.draw.choice((-8, 8, 2000))}
                        sync wait=1
                        halt 0
                    """)
                    wanted = [("start", 1)] if holds else [("left", 1, count)]
                    assert unit.log[2:] == [*wanted, ("end", 1)], (value, least, guard, unit.log)
    # it waits for its tokens and its turn
    await b.halts("""
        run tensor, post=2
        run tensor, guard=ge, least=1, wait=2, post=1
        run vector, wait=1
        halt 0
    """)
    assert [e[0] for e in b.tensor.log if e[0] != "run"] == ["clear", "start", "end", "left", "end"]
    assert [e[0] for e in b.vector.log] == ["clear", "run", "start", "end"]
    await b.traps("run vector, guard=ge, least=1, wait=1\nhalt 0", Trap.DEADLOCK, 1)
    # move: nothing is moved or checked, nothing counted
    before = bytes(b.memory.data[0x2000:])
    await b.halts("""
        set move.external.base, address=0x2004
        set move.counts, words=0
        run move, guard=lt, post=1
        set move.external.base, address=0x2000
        run move, guard=ge, least=1, wait=1, post=2
        sync wait=2
        halt 0
    """)
    assert bytes(b.memory.data[0x2000:]) == before
    for name in ("words_filled", "words_written"):
        assert await b.host.read64(counter_offset(name)) == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def lists_and_bins(dut):
    """Control and host read how many elements of a list are live, and the histogram."""
    b = await Bench.start(dut, STALL)
    b.memory.put(0x2000, [0x0038000080010200])
    list_ = """
        set move.external.base, address=0x2000
        run move, post=1
        set move.live, enable=1, count=7
        run move, wait=1, post=2
        sync wait=2
    """
    await b.halts(list_ + f"csr r1, {Control.LIVE}\n" + show("r1") + "halt 0")
    assert shown(b.vector) == [3] and await b.host.read(Control.LIVE) == 3
    await b.halts(f"csr r1, {Control.LIVE}\n" + show("r1") + "halt 0")
    assert shown(b.vector) == [0]
    cocotb.start_soon(_answer(dut))
    for i in (0, 1, 37, BINS - 1):
        assert await b.host.read(Control.HISTOGRAM + 4 * i) == 0xABC00 + i
        await b.halts(f"csr r1, {Control.HISTOGRAM + 4 * i}\n" + show("r1") + "halt 0")
        assert shown(b.vector) == [0xABC00 + i]
    assert await b.host.read(Control.HISTOGRAM - 4) == 0


async def _answer(dut):
    """A count for each bin, in the cycle in which it is asked for."""
    while True:
        dut.bin_count.value = 0xABC00 + streams.read(dut.bin)
        await dut.bin.value_change
