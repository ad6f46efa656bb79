"""Joins walkers to the registers of a tensor stream."""

from amaranth.hdl import Module, Mux

from hdl.streams.walk import Walk
from hdl.streams.walker import Walker
from isa.config import Config
from isa.registers import BLOCKS, CORES, GROUPS, POSITIONS, REDUCTION


def section_loops(config: Config) -> tuple[str, ...]:
    """The loops of the drain over blocks, groups and cores, innermost first. A chip of one core
    has no loop over cores."""
    return (*CORES, *GROUPS, *BLOCKS) if config.cores > 1 else BLOCKS


def drain_loops(config: Config) -> tuple[str, ...]:
    """The loops of the drain, innermost first."""
    return (*POSITIONS, *section_loops(config))


def tensor_walker(m: Module, name: str, registers, stream: str, loops, *, start, stop,
                  at=None, base=None, place: str | None = None, counts=None,
                  strides=None, origins: bool = False) -> Walker:
    """A walker, added to `m` as `name`, that takes its inputs from the registers of `stream`.

    Parameters
    ----------
    loops : loops of the operation, innermost first
    at : round of loops of the operation that are not among `loops`, where it begins
    base : the first address; by default that of the registers
    place : the stream that rows, columns and their window are taken from; None if unbounded
    counts, strides : by loop, values in the place of the registers'
    origins : of `Walker`
    """
    at, counts, strides = at or {}, counts or {}, strides or {}
    walker = Walker(loops=loops, bounded=place is not None, origins=origins)
    m.submodules[name] = walker
    base = registers[f"{stream}_base"].address if base is None else base
    for loop, index in at.items():
        base = base + index * registers[f"{stream}_{loop}"].stride
    m.d.comb += [walker.start.eq(start), walker.stop.eq(stop), walker.base.eq(base)]
    _join_loops(m, walker, registers, stream, place, counts, strides)
    if place:
        window = registers[f"{place}_window"]
        y, x = window.y, window.x
        for loop, index in at.items():
            y = y + index * registers[f"{place}_{loop}"].dy
            x = x + index * registers[f"{place}_{loop}"].dx
        m.d.comb += [walker.window.y.eq(y), walker.window.x.eq(x),
                     walker.window.height.eq(window.height), walker.window.width.eq(window.width)]
    return walker


def tensor_walk(m: Module, name: str, registers, stream: str, loops, *, outer: int, clear,
                counts=None, strides=None) -> Walk:
    """The inner loops of a bounded stream, from origins of a `tensor_walker` of `outer` loops;
    counts and strides as there."""
    walk = Walk(loops=loops, outer=outer)
    m.submodules[name] = walk
    window = registers[f"{stream}_window"]
    m.d.comb += [walk.clear.eq(clear), walk.window.height.eq(window.height),
                 walk.window.width.eq(window.width)]
    _join_loops(m, walk, registers, stream, stream, counts or {}, strides or {})
    return walk


def _join_loops(m, walker, registers, stream, place, counts, strides):
    for loop in walker.loops:
        m.d.comb += walker.counts[loop].eq(counts[loop] if loop in counts
                                           else loop_count(registers, loop))
        stride = strides[loop] if loop in strides else registers[f"{stream}_{loop}"].stride
        m.d.comb += walker.steps[loop].stride.eq(stride)
        if place:
            step = registers[f"{place}_{loop}"]
            m.d.comb += [walker.steps[loop].dy.eq(step.dy), walker.steps[loop].dx.eq(step.dx)]


def loop_count(registers, loop: str):
    """How often a loop runs. Groups that are merged are drained as one."""
    if loop in REDUCTION:
        return registers.reduction[loop]
    if loop in BLOCKS:
        return registers.blocks[loop]
    if loop in GROUPS:
        return Mux(registers.groups.merge, 1, registers.groups.groups)
    return registers.positions["cores" if loop in CORES else loop]
