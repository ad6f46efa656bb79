"""Weights of a gated layer twice: those of the bases alone, then all others."""

from dataclasses import dataclass

from isa.config import TREES
from winnow.compiler.gating.rule import Groups
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.vector import E4M3, ONE, ZERO, Stream, X, along, row, vector
from winnow.graph import Layer

TIMES = 3  # the weights of a gated layer in the scratchpad: as they are, and both halves


@dataclass(frozen=True)
class GatedWeights:
    """Weights between the bases and the output blocks, zero elsewhere; behind them those between
    all else, zero in the bases. Each half lies like the weights.

    Parameters
    ----------
    layer : Layer
    groups : Groups
    buffer : Buffer
    """

    layer: Layer
    groups: Groups
    buffer: Buffer

    @classmethod
    def new(cls, layer: Layer, groups: Groups) -> "GatedWeights":
        made = cls(layer, groups, Buffer(f"gated weights of {layer.name}", 0))
        made.buffer.words = 2 * made.half
        return made

    @property
    def half(self) -> int:
        """Words of all weights."""
        return self.layer.tiles * TREES

    def made(self, weights: Buffer) -> list[Operation]:
        """Both halves, of weights as `Parameters` has them."""
        half, label = self.half, self.buffer.name
        counts, steps = row(half), along(half, 1)

        def everything(t, offset: int, **streams: Stream) -> Operation:
            return vector(label, counts, t, o0=Stream(self.buffer, E4M3, steps, offset), **streams)

        operations = [everything((ZERO, ZERO, ZERO), 0),
                      everything((X, ONE, ZERO), half, x=Stream(weights, E4M3, steps))]
        for sweep in self.groups.sweeps:
            operations += [self._bases(sweep, (X, ONE, ZERO), 0, weights),
                           self._bases(sweep, (ZERO, ZERO, ZERO), half)]
        return operations

    def _bases(self, sweep: tuple[int, int, int], t, offset: int,
               weights: Buffer | None = None) -> Operation:
        """Writes the bases of some output blocks, of the half that begins with a word."""
        first, groups, times = sweep
        tile = TREES * self.layer.kernel**2
        run, whole = tile * self.groups.size, tile * self.groups.inputs
        counts = (tile, self.groups.size, groups, times)
        steps = (1, tile, whole + run, self.groups.count * whole)
        start = first * whole
        streams = {"x": Stream(weights, E4M3, steps, start)} if weights else {}
        return vector(self.buffer.name, counts, t, o0=Stream(
            self.buffer, E4M3, steps, offset + start), **streams)
