"""Predicted cycles of single operations against the chip."""

import numpy as np
import pytest

from isa.config import Config, named
from isa.formats import FormatCode
from isa.registers import VECTOR_INPUTS, VECTOR_OUTPUTS, Operand, Reduce, Unit
from sim import cycles
from sim.cycles import Memory
from verif import seeds
from verif.registers import registers
from verif.sim.single import Single

SMALL = Config()
GROUPS = named("bench")
LATENCIES = (8, 40)
E4M3, BINARY32, RAW = FormatCode.E4M3, FormatCode.BINARY32, FormatCode.RAW
FEW = 4  # cycles that a prediction may miss a short operation by
LISTED = 16  # likewise of short runs over a list, whose reading runs beside the bursts


def near(found: int, predicted: int, few: int = FEW) -> bool:
    return abs(found - predicted) <= max(few, 0.02 * found)


def product(rows: int, passes: int, blocks: int, **mode) -> dict:
    """Registers of a matrix product of one tile's width."""
    return registers(
        Unit.TENSOR, positions={"p0": rows}, reduction={"r0": passes}, blocks={"b0": blocks},
        stream__p0={"stride": 1}, stream__r0={"stride": rows}, stationary__base={"address": 1001},
        stationary__q0={"stride": 1}, stationary__r0={"stride": 8},
        output__base={"address": 4096}, output__p0={"stride": 1}, output__b0={"stride": rows},
        bias__base={"address": 2000}, mode=mode)


# What the architecture promises, to the cycle: feeding, a late tile, drains, bias, turns.
EXACT = {
    (1, 1, 1): 24, (32, 4, 1): 151, (32, 4, 4): 535, (32, 1, 1): 55,
    (1, 4, 4): 144, (8, 1, 4): 55,
}
EXACT_MODES = [
    ((32, 1, 1), {"output": BINARY32}, 149),
    ((32, 4, 4), {"output": BINARY32}, 641),
    ((32, 1, 4), {"output": BINARY32}, 533),
    ((8, 1, 4), {"output": RAW}, 303),
    ((8, 1, 4), {"bias": 1}, 67),
    ((32, 2, 4), {"turn_output": 1}, 287),
    ((32, 2, 4), {"turn_stream": 1}, 279),
]


def test_exact():
    with Single(SMALL) as chip:
        for shape, mode, expected in [*((s, {}, c) for s, c in EXACT.items()), *EXACT_MODES]:
            operation = product(*shape, **mode)
            assert cycles.tensor(SMALL, operation) == expected, (shape, mode)
            assert chip.cycles(Unit.TENSOR, operation) == expected, (shape, mode)


def random_product(config: Config, draw) -> dict:
    """Any strides, formats of output, turns, masks, statistics, bias, cores and groups."""
    def below(least, most):
        return int(draw.integers(least, most + 1))

    rows = below(1, config.block) if below(0, 2) else config.block
    inner = int(draw.choice([d for d in range(1, rows + 1) if rows % d == 0]))
    output = FormatCode(int(draw.choice([E4M3, E4M3, BINARY32, RAW])))
    mode = {"output": output}
    if rows % 8 == 0:
        mode["turn_stream"] = below(0, 1)
        mode["turn_output"] = int(output is E4M3 and below(0, 1))
    if output is not RAW and not mode.get("turn_output"):
        mode["bias"] = below(0, 1)
    if output is E4M3:
        mode["mask"] = below(0, 1)
        if not mode.get("turn_output"):
            mode["stats"] = below(0, 1)
    groups = below(1, config.cores) if below(0, 1) else 1
    cores = 1 if groups > 1 else below(1, config.cores)

    def stride():
        return {"stride": int(draw.choice([1, 1, 2, 3, 8, 16, below(0, 40)]))}

    return registers(
        Unit.TENSOR,
        positions={"p0": inner, "p1": rows // inner, "cores": cores}, groups={"groups": groups},
        reduction={"r0": below(1, 12)}, blocks={"b0": below(1, 6)},
        stream__base={"address": below(0, 500)},
        **{f"stream__{loop}": stride() for loop in ("p0", "p1", "r0", "b0")},
        stationary__base={"address": below(0, 500)},
        **{f"stationary__{loop}": stride() for loop in ("q0", "core", "r0", "b0")},
        stream__group={"stride": 100}, stationary__group={"stride": 1000},
        output__base={"address": 4096}, output__p0={"stride": 1}, output__b0={"stride": rows},
        stats__base={"address": 6000}, stats__b0={"stride": 400 * below(0, 1)},
        bias__base={"address": 2001}, bias__core={"stride": 4}, mode=mode)


@pytest.mark.parametrize("config", [SMALL, pytest.param(GROUPS, marks=pytest.mark.slow)],
                         ids=lambda config: config.name)
def test_random_products(config):
    draw = seeds.generator(f"cycles {config.name}")
    wrong = []
    with Single(config) as chip:
        for _ in range(120):
            operation = random_product(config, draw)
            found = chip.cycles(Unit.TENSOR, operation)
            predicted = cycles.tensor(config, operation)
            if not near(found, predicted):
                wrong.append((found, predicted, operation))
    # What the drain reads may lose its bank to a stream, and a stream to that of another group.
    assert len(wrong) <= 12, wrong


def random_vector(draw) -> dict:
    """Rows one after the other, each stream in banks of its own."""
    def below(least, most):
        return int(draw.integers(least, most + 1))

    counts = {f"n{i}": below(1, 5) if below(0, 1) else 1 for i in range(1, 4)}
    counts["n0"] = int(draw.choice([below(1, 40), 8 * below(1, 4)]))
    formats = {name: int(draw.choice([E4M3, BINARY32])) for name in VECTOR_INPUTS}
    op = {name: below(0, Operand.K2) for name in "abc"}
    op |= {name: below(0, Operand.T) for name in "def"}
    op |= {"reduce": int(draw.choice([Reduce.NONE, Reduce.NONE, Reduce.SUM, Reduce.MAX]))}
    values, address = {"counts": counts, "inputs": formats, "op": op,
                       "outer": {"split": below(3 if op["reduce"] else 1, 4)}}, 0
    for name in (*VECTOR_INPUTS, *VECTOR_OUTPUTS):
        wide = int(draw.choice([E4M3, BINARY32]))
        words = 4 if formats.get(name, wide) == BINARY32 else 1
        if name in VECTOR_OUTPUTS:
            values[f"{name}__mode"] = {"enable": below(0, 1), "format": wide}
        values[f"{name}__base"] = {"address": address}
        values[f"{name}__n01"] = {"n0": words, "n1": words * counts["n0"]}
        row = words * counts["n0"] * counts["n1"]
        values[f"{name}__n23"] = {"n2": row % 16, "n3": row % 16}
        address += 2049
    turned = f"{draw.choice(VECTOR_OUTPUTS)}__mode"
    if counts["n0"] % 8 == 0 and not op["reduce"] and values[turned]["format"] == E4M3:
        values[turned]["turn"] = 1
        values["outer"]["split"] = max(2, values["outer"]["split"])
    return registers(Unit.VECTOR, **values)


@pytest.mark.parametrize("datapaths", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_random_vector_operations(datapaths):
    config = SMALL.with_(vector_datapaths=datapaths)
    draw = seeds.generator(f"vector cycles {datapaths}")
    wrong = []
    with Single(config) as chip:
        for _ in range(120):
            operation = random_vector(draw)
            found, predicted = chip.cycles(Unit.VECTOR, operation), cycles.vector(config, operation)
            if not near(found, predicted):
                wrong.append((found, predicted, operation))
    # Where loops bring two streams to one bank.
    assert len(wrong) <= 15, wrong
    assert all(abs(found - predicted) <= 0.25 * found for found, predicted, _ in wrong), wrong


@pytest.mark.parametrize("latency", LATENCIES)
def test_random_moves(latency):
    draw = seeds.generator(f"move cycles {latency}")
    with Single(SMALL, latency) as chip:
        for _ in range(40):
            words, n1, n2, gap, store = (int(draw.choice(values)) for values in (
                (1, 2, 3, 8, 13, 16, 20, 100, 500), (1, 1, 2, 20), (1, 1, 3), (0, 0, 3), (0, 1)))
            stride = 8 * (words + gap)
            operation = registers(
                Unit.MOVE, counts={"words": words, "n1": n1, "n2": n2},
                external__base={"address": Single.FREE + 8 * int(draw.integers(20))},
                external__n1={"stride": stride}, external__n2={"stride": stride * n1},
                scratchpad__n1={"stride": 1}, mode={"store": store})
            found = chip.cycles(Unit.MOVE, operation)
            assert near(found, cycles.move(SMALL, operation, Memory(latency))), operation


@pytest.mark.parametrize("latency", LATENCIES)
def test_random_moves_over_live_elements(latency):
    draw = seeds.generator(f"live cycles {latency}")
    top = SMALL.words - 64
    with Single(SMALL, latency) as chip:
        memory = chip.simulation.memory
        for _ in range(60):
            count, density = int(draw.integers(1, 65)), float(draw.choice((0, 0.2, 0.6, 1)))
            elements = np.zeros(64, np.uint8)
            elements[:count] = draw.random(count) < density
            memory[Single.FREE - 64:Single.FREE] = elements
            chip.cycles(Unit.MOVE, registers(
                Unit.MOVE, external__base={"address": Single.FREE - 64}, counts={"words": 8},
                scratchpad__base={"address": top}))
            words, n1, n2, first, store = (int(draw.choice(values)) for values in (
                (1, 3, 16, 50, 200), (1, 1, 3), (1, 2, 8, 20), (0, 0, 5), (0, 1)))
            operation = registers(
                Unit.MOVE, counts={"words": words, "n1": n1, "n2": n2},
                external__base={"address": Single.FREE + 8 * int(draw.integers(20))},
                external__n1={"stride": 8 * words}, external__n2={"stride": 8 * words * n1},
                scratchpad__n1={"stride": 1}, mode={"store": store},
                live={"enable": 1, "count": count, "first": first},
                live__base={"address": top})
            found = chip.cycles(Unit.MOVE, operation)
            live = np.flatnonzero(elements).tolist()
            predicted = cycles.move(SMALL, operation, Memory(latency), live)
            assert near(found, predicted, LISTED), (found, predicted, live, operation)


def test_counted_and_summed_across():
    with Single(SMALL) as chip:
        for groups, nests, format in ((1, 1, BINARY32), (7, 1, BINARY32), (40, 3, E4M3)):
            for more in ({"tally": {"histogram": 1}},
                         {"tally": {"across": 1}, "op": {"a": Operand.X, "reduce": Reduce.SUM}}):
                operation = registers(Unit.VECTOR, **{
                    "counts": {"n0": groups, "n2": nests}, "inputs": {"x": format},
                    "x__n01": {"n0": 4 if format == BINARY32 else 1},
                    "o2__base": {"address": 4100}, "o2__n23": {"n2": 4},
                    "op": {"a": Operand.X}} | more)
                found = chip.cycles(Unit.VECTOR, operation)
                assert near(found, cycles.vector(SMALL, operation)), (found, operation)
