"""The bridge at its serial pins: control port and memory, beside bursts of the chip."""

import cocotb
from cocotb.triggers import Event
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteRam, AxiMaster

from isa.serial import DONE, MOST_UNITS, Op, request
from verif import bench, seeds, streams
from verif.board.line import Line

DIVISOR, WORDS = (bench.parameters()[name] for name in ("divisor", "words"))
SIZE = 8 * WORDS


async def _start(dut, skew=0.0):
    dut.interrupt.value = 0
    line = Line(dut, DIVISOR, skew)
    chip = AxiMaster(AxiBus.from_prefix(dut, "axi_"), dut.clk, dut.rst)
    registers = AxiLiteRam(AxiLiteBus.from_prefix(dut, "control_"), dut.clk, dut.rst, size=4096)
    await streams.start(dut)
    await streams.cycles(dut, 4)
    return line, chip, registers


async def _write(line, op, address, data, unit):
    await line.write(request(op, address, len(data) // unit) + data)
    assert await line.read(1) == bytes([DONE])


async def _read(line, op, address, count, unit):
    await line.write(request(op, address, count))
    return await line.read(count * unit)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def control(dut):
    line, _, registers = await _start(dut)
    draw = seeds.stdlib("control")
    for _ in range(12):
        offset, value = 4 * draw.randrange(1024), draw.randbytes(4)
        await _write(line, Op.WRITE_CONTROL, offset, value, 4)
        assert registers.read(offset, 4) == value
    registers.write(0, draw.randbytes(4096))
    for count in (1, 2, 7):
        offset = 4 * draw.randrange(1024 - count)
        assert await _read(line, Op.READ_CONTROL, offset, count, 4) == registers.read(
            offset, 4 * count)


@cocotb.test(timeout_time=40, timeout_unit="ms")
async def memory(dut):
    line, chip, _ = await _start(dut)
    draw = seeds.stdlib("memory")
    held = bytearray(SIZE)
    most = min(WORDS, MOST_UNITS)
    for count in (most, 1, 3):
        first = draw.randrange(WORDS - count + 1)
        data = draw.randbytes(8 * count)
        await _write(line, Op.WRITE_MEMORY, 8 * first, data, 8)
        held[8 * first:8 * (first + count)] = data
    for first, count in ((0, most), (WORDS - 1, 1), (5, 9)):
        assert await _read(line, Op.READ_MEMORY, 8 * first, count, 8) == held[
            8 * first:8 * (first + count)]
    assert (await chip.read(0, SIZE)).data == held


@cocotb.test(timeout_time=40, timeout_unit="ms")
async def beside_bursts(dut):
    """Both halves of memory are written and read at once, one by the chip and one by the host."""
    line, chip, _ = await _start(dut)
    draw = seeds.stdlib("beside")
    half = SIZE // 2
    mine, its = draw.randbytes(half), draw.randbytes(half)
    done, bursts = Event(), []

    async def bursting():
        while not done.is_set():
            first = 8 * draw.randrange(half // 8)
            count = min(half - first, 8 * draw.randint(1, 40))
            await chip.write(half + first, its[first:first + count])
            assert (await chip.read(half + first, count)).data == its[first:first + count]
            bursts.append(count)

    await chip.write(half, its)
    task = cocotb.start_soon(bursting())
    for first in range(0, half, 8 * 16):
        await _write(line, Op.WRITE_MEMORY, first, mine[first:first + 8 * 16], 8)
    back = b"".join([await _read(line, Op.READ_MEMORY, first, 16, 8)
                     for first in range(0, half, 8 * 16)])
    done.set()
    await task
    assert back == mine and len(bursts) > 20
    assert (await chip.read(0, SIZE)).data == mine + its


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def outside_is_an_error(dut):
    line, chip, _ = await _start(dut)
    await _write(line, Op.WRITE_MEMORY, 0, bytes(range(8)), 8)
    assert (await chip.write(SIZE, bytes(8))).resp.name == "SLVERR"
    assert (await chip.read(SIZE, 8)).resp.name == "SLVERR"
    assert (await chip.read(0, 8)).resp.name == "OKAY"
    assert await _read(line, Op.READ_MEMORY, 0, 1, 8) == bytes(range(8))


async def _clocks_differ(dut, skew):
    line, _, _ = await _start(dut, skew)
    for value in (0, 1, 0):
        dut.interrupt.value = value
        assert await _read(line, Op.INTERRUPT, 0, 1, 1) == bytes([value])
    data = bytes(range(40, 80))
    await _write(line, Op.WRITE_MEMORY, 16, data, 8)
    assert await _read(line, Op.READ_MEMORY, 16, 5, 8) == data


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def interrupt_and_a_slow_host(dut):
    await _clocks_differ(dut, 0.02)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def a_fast_host(dut):
    await _clocks_differ(dut, -0.02)
