"""A float unit against its vectors (`units.UNITS`), all copies busy, `en` stalling at random."""

import cocotb
from cocotb.triggers import RisingEdge

from verif import bench, seeds
from verif.arith.many import Many
from verif.arith.units import UNITS
from verif.streams import start


def _words(columns: list[int], width: int, copies: int) -> list[int]:
    """`copies` values a word, the last word filled with zeros."""
    mask = (1 << width) - 1
    return [sum((value & mask) << (width * i) for i, value in enumerate(columns[at:at + copies]))
            for at in range(0, len(columns), copies)]


@cocotb.test()
async def vectors(dut):
    given = bench.parameters()
    name, copies, stalls = given["unit"], given["copies"], given["stalls"]
    make, generate, count = UNITS[name]
    rng = seeds.generator(f"arith {name}")
    top = Many(make, copies)
    inputs, outputs = generate(rng, count)
    total = len(next(iter(inputs.values())))
    sent = {port: _words(values, top.shapes[port].width, copies)
            for port, values in inputs.items()}
    expected = {port: _words(values, top.shapes[port].width, copies)
                for port, values in outputs.items()}
    ports = [(getattr(dut, port), words) for port, words in sent.items()]
    results = [(getattr(dut, port), words) for port, words in expected.items()]
    cycles = -(-total // copies)
    enables = (rng.random(2 * cycles + 1000) >= stalls).tolist() if top.latency else None

    if top.latency:
        await start(dut)
        edge = RisingEdge(dut.clk)
    else:
        edge = cocotb.triggers.Timer(1, "ns")
    at = cycle = 0  # vectors taken, cycles
    while at < cycles + top.latency:
        enabled = enables[cycle % len(enables)] if enables else True
        cycle += 1
        if top.latency:
            dut.en.value = enabled
        for port, words in ports:
            port.value = words[min(at, cycles - 1)]
        await edge
        # Read now is what was there before this edge: the result of the vector `latency` before.
        done = at - top.latency
        if done >= 0:
            for port, words in results:
                if int(port.value) != words[done]:
                    _report(name, port, done, copies, top, inputs, words)
        at += enabled
    assert cycles > 0
    dut._log.info(f"{total} vectors of {name} in {cycle} cycles")


def _report(name, port, word, copies, top, inputs, words):
    """Fails, naming the first vector of the word that is wrong."""
    width = top.shapes[port._name].width
    mask = (1 << width) - 1
    seen, wanted = int(port.value), words[word]
    for i in range(copies):
        got, want = (seen >> (i * width)) & mask, (wanted >> (i * width)) & mask
        if got != want:
            vector = {key: hex(values[word * copies + i]) for key, values in inputs.items()}
            raise AssertionError(f"{name} {vector}: {port._name} = {got:#x}, expected {want:#x}")
