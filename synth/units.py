"""What can be synthesised, by name."""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.lib.wiring import Component

from hdl.chip import Chip
from hdl.control.unit import ControlUnit
from hdl.external import ExternalPort
from hdl.memory.regfile import RegisterFile
from hdl.memory.scratchpad import Scratchpad
from hdl.move.unit import MoveUnit
from hdl.tensor.core.accumulate import AccumulatingTree, accumulator_layout
from hdl.tensor.core.core import Core
from hdl.tensor.core.skipping_core import SkippingCore
from hdl.tensor.drain.drain import Drain
from hdl.tensor.feed.feed import Feed
from hdl.tensor.unit import TensorUnit
from hdl.vector.unit import VectorUnit
from isa.config import LANES, TREES, Config
from isa.registers import VECTOR_INPUTS, VECTOR_OUTPUTS
from synth.errors import SynthesisError


@dataclass(frozen=True)
class Unit:
    """Something to synthesise.

    Attributes
    ----------
    make : the component of a configuration
    macs : multiply-adds of its cycle; 0 where it has none
    flat : it is small enough to be mapped as one piece
    """

    make: Callable[[Config], Component]
    macs: Callable[[Config], int] = lambda config: 0
    flat: bool = False


def core(*, config: Config):
    """A tensor core of the kind that a chip of `config` has."""
    return (Core if config.slot == 1 else SkippingCore)(config=config)


def accumulators(*, config: Config):
    """Those of a tree."""
    return RegisterFile(width=accumulator_layout(config).size, depth=2 * config.block, reads=2)


def scratchpad(*, config: Config):
    """The scratchpad with the ports that a chip of `config` has."""
    feeders = 2 * config.cores
    others = 1 + config.axi_words
    narrow = config.slot == 1
    return Scratchpad(
        config=config,
        reads=others + len(VECTOR_INPUTS) * config.vector_datapaths + (feeders if narrow else 0),
        writes=others + len(VECTOR_OUTPUTS) * config.vector_datapaths,
        wide=0 if narrow else feeders)


def _macs(config: Config) -> int:
    return config.macs_per_cycle


UNITS = {
    "tree": Unit(lambda config: AccumulatingTree(config=config), lambda config: LANES, flat=True),
    "core": Unit(lambda config: core(config=config), lambda config: LANES * TREES),
    "accumulators": Unit(lambda config: accumulators(config=config), lambda config: LANES),
    "feed": Unit(lambda config: Feed(config=config), _macs),
    "drain": Unit(lambda config: Drain(config=config), _macs),
    "tensor": Unit(lambda config: TensorUnit(config=config), _macs),
    "vector": Unit(lambda config: VectorUnit(config=config)),
    "move": Unit(lambda config: MoveUnit(config=config)),
    "control": Unit(lambda config: ControlUnit(config=config)),
    "scratchpad": Unit(lambda config: scratchpad(config=config)),
    "external": Unit(lambda config: ExternalPort(readers=2, words=config.axi_words)),
    "chip": Unit(lambda config: Chip(config=config), _macs),
}


def unit(name: str) -> Unit:
    """The unit called `name`; `SynthesisError` lists those there are."""
    if name not in UNITS:
        raise SynthesisError(f"unit {name!r} is unknown: there are {', '.join(UNITS)}")
    return UNITS[name]
