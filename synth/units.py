"""What `winnow synth` measures, by name."""

from hdl.chip import Chip
from hdl.tensor.accumulate import AccumulatingTree
from hdl.tensor.core import Core

UNITS = {
    "tree": AccumulatingTree,  # the accumulators themselves are memories, outside of it
    "core": Core,
    "chip": Chip,
}
