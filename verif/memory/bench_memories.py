"""Sram and RegisterFile against a list of rows."""

import cocotb

from verif import bench, seeds, streams


def _int(handle):
    return streams.read(handle)


async def _check(dut, read, cycles=2000):
    """Random reads and writes each cycle; `read` gives the expected (handle, value) pairs."""
    depth = bench.parameters()["depth"]
    draw = seeds.stdlib("memories")
    rows = [None] * depth
    await streams.start(dut)
    for _ in range(cycles):
        write = draw.random() < 0.5
        row = draw.randrange(depth)
        value = draw.getrandbits(len(dut.write_data))
        dut.write_enable.value = int(write)
        dut.write_address.value = row
        dut.write_data.value = value
        check = read(draw, rows)
        await streams.cycles(dut)
        check()
        if write:
            rows[row] = value


@cocotb.test(skip="reads" in bench.parameters())
async def sram(dut):
    depth = bench.parameters()["depth"]
    expected = [None]

    def read(draw, rows):
        enable = draw.random() < 0.6
        row = draw.randrange(depth)
        dut.read_enable.value = int(enable)
        dut.read_address.value = row
        before = rows[row]

        def check():  # at the edge that takes this read, the answer is still the one before
            if expected[0] is not None:
                assert _int(dut.read_data) == expected[0]
            if enable:
                expected[0] = before
        return check

    await _check(dut, read)


@cocotb.test(skip="reads" not in bench.parameters())
async def register_file(dut):
    depth, reads = bench.parameters()["depth"], bench.parameters()["reads"]

    def read(draw, rows):
        wanted = [draw.randrange(depth) for _ in range(reads)]
        for port, row in enumerate(wanted):
            getattr(dut, f"read_address__{port}").value = row

        def check():
            for port, row in enumerate(wanted):
                if rows[row] is not None:
                    assert _int(getattr(dut, f"read_data__{port}")) == rows[row]
        return check

    await _check(dut, read)
