"""What is behind clock gates does the same as without."""

import cocotb

from verif import seeds, streams


@cocotb.test()
async def gates_change_nothing(dut):
    draw = seeds.stdlib("gates")
    await streams.start(dut)
    since, counted = 100, 0
    for _ in range(3000):
        reset = draw.random() < 0.01
        awake = draw.random() < 0.1
        since = 0 if awake else since + 1
        open_ = since <= 4  # the outer gate lingers
        en = open_ and draw.random() < 0.5
        dut.rst.value = int(reset)
        dut.awake.value = int(awake)
        dut.en.value = int(en)
        dut.step.value = draw.randrange(256)
        await streams.cycles(dut)
        assert streams.read(dut.behind) == streams.read(dut.free)
        counted += en
        if reset:
            since = 100
    assert counted > 300


@cocotb.test()
async def a_closed_gate_stops_the_clock(dut):
    dut.awake.value = 0  # whatever the test before left there
    await streams.start(dut)
    dut.en.value = 1
    dut.step.value = 1
    await streams.cycles(dut, 20)
    assert streams.read(dut.free) == 19
    assert streams.read(dut.behind) <= 4  # only while the reset's own opening lingers
