"""Joins walkers to the registers of a tensor stream."""

from amaranth.hdl import Module

from hdl.streams.walker import Walker
from isa.registers import BLOCKS, REDUCTION


def tensor_walker(m: Module, name: str, registers, stream: str, loops, *, start, stop,
                  core: int = 0, base=None, place: str | None = None, counts=None,
                  strides=None) -> Walker:
    """A walker, added to `m` as `name`, that takes its inputs from the registers of `stream`.

    Parameters
    ----------
    loops : loops of the operation, innermost first
    core : begins at the item of this core (the stream then has no loop over cores)
    base : the first address; by default that of the registers
    place : the stream that rows, columns and their window are taken from; None if unbounded
    counts, strides : values for loops that the registers have not
    """
    counts, strides = counts or {}, strides or {}
    walker = Walker(loops=loops, bounded=place is not None)
    m.submodules[name] = walker
    base = registers[f"{stream}_base"].address if base is None else base
    if core:
        base = base + core * registers[f"{stream}_core"].stride
    m.d.comb += [walker.start.eq(start), walker.stop.eq(stop), walker.base.eq(base)]
    for loop in loops:
        m.d.comb += walker.counts[loop].eq(counts[loop] if loop in counts
                                           else loop_count(registers, loop))
        stride = strides[loop] if loop in strides else registers[f"{stream}_{loop}"].stride
        m.d.comb += walker.steps[loop].stride.eq(stride)
        if place and loop not in strides:
            step = registers[f"{place}_{loop}"]
            m.d.comb += [walker.steps[loop].dy.eq(step.dy), walker.steps[loop].dx.eq(step.dx)]
    if place:
        window = registers[f"{place}_window"]
        y, x = window.y, window.x
        if core:
            y = y + core * registers[f"{place}_core"].dy
            x = x + core * registers[f"{place}_core"].dx
        m.d.comb += [walker.window.y.eq(y), walker.window.x.eq(x),
                     walker.window.height.eq(window.height), walker.window.width.eq(window.width)]
    return walker


def loop_count(registers, loop: str):
    """The register field with the count of a loop."""
    if loop in REDUCTION:
        return registers.reduction[loop]
    if loop in BLOCKS:
        return registers.blocks[loop]
    return registers.positions["cores" if loop == "core" else loop]
