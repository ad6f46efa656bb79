"""What `winnow synth` measures, by name."""

from hdl.chip import Chip
from hdl.tensor.accumulate import AccumulatingTree
from hdl.tensor.core import Core
from hdl.tensor.skipping_core import SkippingCore
from isa.config import Config


def core(*, config: Config):
    """A tensor core of the kind that a chip of `config` has."""
    return (Core if config.slot == 1 else SkippingCore)(config=config)


UNITS = {
    "tree": AccumulatingTree,  # the accumulators themselves are memories, outside of it
    "core": core,
    "chip": Chip,
}
