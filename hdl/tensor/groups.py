"""Which core works in which group."""

from contextlib import nullcontext

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from isa.config import Config

CORES_BITS = 4  # of a number of cores or groups, as the registers have it


def core_bits(config: Config) -> int:
    """Width of a core's number; at least 1."""
    return max(1, (config.cores - 1).bit_length())


def sizes(config: Config) -> list[int]:
    """Cores that a group may have where there are several groups."""
    return [1 << i for i in range((config.cores - 1).bit_length())]


def leaders(config: Config, core: int) -> list[int]:
    """The cores that `core` may be led by, core 0 first."""
    return sorted({0, *(core & -size for size in sizes(config))})


def by_leader(m: Module, config: Config, core: int, follows):
    """Runs through the cores that `core` may be led by; what is added for each holds while its bit
    of `follows` is set, for core 0 while no other is."""
    first, *others = leaders(config, core)
    for i, number in enumerate(others):
        with (m.Elif if i else m.If)(follows[number]):
            yield number
    with m.Else() if others else nullcontext():
        yield first


class Groups(wiring.Component):
    """Numbers the cores.

    Groups are consecutive cores, led by their first. Several groups have a power of two of cores;
    one group any number.

    Parameters
    ----------
    config : Config

    Members
    -------
    cores, groups : cores of a group, and groups at work
    works : bit by core: it is in a group at work
    leads : bit by core: likewise, and it is the first of its group
    core, group : by core: its number in its group, and its group's
    follows
        By core, bit by leader: it worked in a group led by that one, a cycle ago. What the cores
        tell each other goes by this: nothing moves in the cycle in which an operation starts.
    """

    def __init__(self, *, config: Config):
        self.config = config
        bits = core_bits(config)
        super().__init__({
            "cores": In(CORES_BITS),
            "groups": In(CORES_BITS),
            "works": Out(config.cores),
            "leads": Out(config.cores),
            "core": Out(bits).array(config.cores),
            "group": Out(bits).array(config.cores),
            "follows": Out(config.cores).array(config.cores),
        })

    def elaborate(self, platform):
        m = Module()
        single = Signal()
        m.d.comb += single.eq(self.groups == 1)
        for i in range(self.config.cores):
            if i == 0:  # always leads the first group
                m.d.comb += [self.works[0].eq(1), self.leads[0].eq(1),
                             self.follows[0].eq(1)]
                continue
            m.d.comb += [
                self.core[i].eq(i),
                self.works[i].eq(Mux(single, i < self.cores, self.group[i] < self.groups)),
                self.leads[i].eq(self.works[i] & (self.core[i] == 0)),
            ]
            m.d.sync += [self.follows[i][number].eq(self.works[i] & (i - self.core[i] == number))
                         for number in leaders(self.config, i)]
            with m.If(~single), m.Switch(self.cores):
                for size in sizes(self.config):
                    with m.Case(size):
                        m.d.comb += [self.core[i].eq(i % size), self.group[i].eq(i // size)]
        return m
