"""The live flags of a core's blocks, against the words of the mask."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge, with_timeout

from hdl.interfaces import registers_layout
from isa.config import TREES, Config
from isa.registers import BLOCKS, POSITIONS, Unit
from sim.loops import Items, Runs, as_bytes, nest
from verif import bench, seeds, streams
from verif.tensor.driver import registers
from verif.tensor.memory import Memory

GIVEN = bench.parameters()
CONFIG = Config(**GIVEN["config"])
SLOT = CONFIG.slot
DRAW = seeds.generator("live masks")
TEST = {"timeout_time": 2, "timeout_unit": "ms"}


def below(least, most):
    """An integer from `least` to `most`."""
    return int(DRAW.integers(least, most + 1))


def draw_operation():
    """Registers with masks that lie in the scratchpad."""
    p0 = SLOT * below(1, CONFIG.block // SLOT)
    p1 = below(1, CONFIG.block // p0)
    counts = {"p0": p0, "p1": p1, "p2": below(1, CONFIG.block // (p0 * p1))}
    near = DRAW.random() < 0.5
    steps = {f"output__{loop}": {"dy": below(-2, 2), "dx": below(-2, 2)}
             for loop in (*POSITIONS, *BLOCKS, "core", "group")}
    middle = CONFIG.words // 2
    strides = {f"aux__{loop}": {"stride": below(-12, 12)}
               for loop in (*POSITIONS, *BLOCKS, "core", "group")}
    values = registers(
        positions={**counts, "q0": 8, "q1": 1, "cores": 1},
        blocks={b: below(1, 3) for b in BLOCKS},
        groups={"groups": 1, "merge": below(0, 1)},
        output__window=({"y": 0, "x": 0, "height": 6, "width": 8} if near else
                        {"y": 500, "x": 600, "height": 1000, "width": 1200}),
        mask__base={"address": middle}, mode={"mask": 1}, **strides, **steps)
    return values


def expected(values, words, core, group):
    """Live flags by (block, tree, position)."""
    counts = values["tensor.positions"] | values["tensor.blocks"]
    values = {name: dict(row) for name, row in values.items()}
    values["tensor.aux.base"] = values["tensor.mask.base"]
    index = {"core": core,
             "group": 0 if values["tensor.groups"]["merge"] else group}
    for loop, i in index.items():
        step = values[f"tensor.output.{loop}"]
        window = values["tensor.output.window"]
        window["y"] += i * step["dy"]
        window["x"] += i * step["dx"]
        values["tensor.aux.base"]["address"] += i * values[f"tensor.aux.{loop}"]["stride"]
    axes = (*BLOCKS[::-1], *POSITIONS[::-1])
    items = nest(values, "tensor.aux", counts, axes, window=False)
    inside = nest(values, "tensor.output", counts, axes).inside
    masks = as_bytes(Runs(Items(items.address, inside), words.size).read(words))
    blocks = int(np.prod([counts[b] for b in BLOCKS]))
    return ((masks & 0x7F) != 0).reshape(blocks, -1, TREES).swapaxes(1, 2)


async def begin(dut):
    for name in ("start", "clear", "advance", "round", "core", "group"):
        getattr(dut, name).value = 0
    words = DRAW.integers(0, 256, (CONFIG.words, 8), np.uint8)
    words[DRAW.random(words.shape) < 0.4] &= 0x80
    words[DRAW.random(CONFIG.words) < 0.3] = 0
    words = words.view(np.uint64)[:, 0]
    await streams.start(dut)
    return Memory(dut, CONFIG, words, reads=["port"])


async def start(dut, values, core, group):
    layout = registers_layout(Unit.TENSOR)
    fields = {name.split(".", 1)[1].replace(".", "_"): row for name, row in values.items()}
    dut.registers.value = streams.pack(layout, fields)
    dut.core.value, dut.group.value = core, group
    dut.start.value = dut.clear.value = 1
    await streams.cycles(dut)
    dut.start.value = dut.clear.value = 0


def shown(dut):
    """The flags of the round that is read, [tree][position]."""
    return [[streams.read(getattr(dut, f"live__{tree}")) >> i & 1 for i in range(SLOT)]
            for tree in range(TREES)]


async def look(dut, live):
    """Reads the rounds of a block in random order, each as soon as it is known."""
    edge = RisingEdge(dut.clk)
    for number in DRAW.permutation(live.shape[1] // SLOT).tolist():
        dut.round.value = number
        await edge
        while not dut.known.value:
            await edge
        assert shown(dut) == live[:, SLOT * number:][:, :SLOT].astype(int).tolist()
    while not dut.complete.value:
        await edge
    assert streams.read(dut.dead) == (~live).sum()
    assert bool(dut.alive.value) == live.any()
    dut.advance.value = 1
    await edge
    dut.advance.value = 0


@cocotb.test(**TEST)
async def random_blocks(dut):
    memory = await begin(dut)
    for _ in range(25):
        memory.stall = float(DRAW.choice([0, 0.5]))
        values = draw_operation()
        core, group = (int(DRAW.integers(CONFIG.cores)) for _ in range(2))
        live = expected(values, memory.words, core, group)
        await start(dut, values, core, group)
        for block in live[:int(DRAW.integers(1, len(live) + 1))]:  # the others are cleared away
            await look(dut, block)
            await streams.cycles(dut, int(DRAW.choice([0, 3, 2 * CONFIG.block])))


@cocotb.test(**TEST)
async def a_block_ahead(dut):
    """While a block is the present one the next one is read, and no further one."""
    memory = await begin(dut)
    values = registers(positions={"p0": CONFIG.block}, blocks={"b0": 5}, mode={"mask": 1},
                       aux__p0={"stride": 1}, aux__b0={"stride": CONFIG.block})
    await start(dut, values, 0, 0)
    for present in range(5):
        await streams.cycles(dut, 2 * CONFIG.block + 8)
        assert dut.complete.value
        read = memory.taken
        assert CONFIG.block * min(present + 2, 5) <= read <= CONFIG.block * min(present + 2, 5) + 2
        dut.advance.value = 1
        await streams.cycles(dut)
        dut.advance.value = 0
    await streams.cycles(dut, 2)
    assert not dut.complete.value


@cocotb.test(**TEST)
async def full_rate(dut):
    await begin(dut)
    values = registers(positions={"p0": CONFIG.block}, mode={"mask": 1}, aux__p0={"stride": 1})
    await streams.cycles(dut, 2)
    await start(dut, values, 0, 0)

    async def complete():
        while not dut.complete.value:
            await RisingEdge(dut.clk)

    await with_timeout(complete(), (CONFIG.block + 4) * streams.PERIOD_NS, "ns")


@cocotb.test(**TEST)
async def traps(dut):
    memory = await begin(dut)
    for inside in (1, 0):
        values = registers(positions={"p0": SLOT}, mode={"mask": 1}, aux__p0={"stride": 1},
                           mask__base={"address": CONFIG.words - SLOT + 1},
                           output__window={"y": 0 if inside else -1})
        await start(dut, values, 0, 0)
        await streams.cycles(dut, SLOT + 6)
        assert dut.trap.value == inside
        assert memory.taken == SLOT - 1
