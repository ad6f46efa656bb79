"""How layers are gated."""

from collections.abc import Iterator
from dataclasses import dataclass

from winnow.errors import UserError
from winnow.graph import Layer


@dataclass(frozen=True)
class Gating:
    """Channel gating, after the published algorithm (docs/training.md): the channels of a layer's
    input are groups. Each block of 8 outputs is computed from one of them, its base; where the sum
    of the 8 is above a threshold, from all. Base groups rotate over the blocks.

    Parameters
    ----------
    rate : share of the gates that are to be open; thresholds of blocks follow it
    groups : of channels; layers of fewer blocks of channels have a group for each
    """

    rate: float = 0.3
    groups: int = 4

    def __post_init__(self):
        if not 0 < self.rate <= 1:
            raise UserError(f"gate = {self.rate}: must be a share above 0, at most 1")
        if self.groups < 2:
            raise UserError(f"gate_groups = {self.groups}: must be at least 2")

    def of(self, layer: Layer) -> "Groups":
        """The groups of a layer; `UserError` where they do not divide its channels."""
        blocks = layer.input.blocks
        count = min(self.groups, blocks)
        if blocks % count:
            raise UserError(f"gate_groups = {self.groups}: must divide the {blocks} blocks of 8 "
                            f"channels that layer {layer.name} takes")
        return Groups(count, layer.input.blocks, layer.output.blocks)


@dataclass(frozen=True)
class Groups:
    """Groups of a layer's input blocks: output block o has number o modulo `count` as its base."""

    count: int
    inputs: int  # blocks
    outputs: int

    @property
    def size(self) -> int:
        """Blocks of a group."""
        return self.inputs // self.count

    def bases(self, outputs: range, inputs: range) -> Iterator[tuple[range, range]]:
        """Of some output blocks and input blocks those that are base to one another, numbered from
        the first of these: evenly apart, and side by side."""
        for group in range(self.count):
            first = max(group * self.size, inputs.start)
            stop = min((group + 1) * self.size, inputs.stop)
            mine = range((group - outputs.start) % self.count, len(outputs), self.count)
            if mine and first < stop:
                yield mine, range(first - inputs.start, stop - inputs.start)

    @property
    def sweeps(self) -> list[tuple[int, int, int]]:
        """Output blocks as the first of some, how many follow it, each with the next group, and
        how often all of these come again, `count` blocks later."""
        whole, rest = divmod(self.outputs, self.count)
        return [(first, groups, times) for first, groups, times in (
            (0, self.count, whole), (whole * self.count, rest, 1)) if groups and times]
