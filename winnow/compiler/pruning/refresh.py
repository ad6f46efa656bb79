"""The choice of what stays, on the device: a program of its own after every so many steps.

Layer by layer it counts how large weights are, finds the limit, and writes masks. They hold from
the next update of the weights on.
"""

from math import log2

from isa.memmap import BINS
from winnow.compiler import moves
from winnow.compiler.choices import Choices
from winnow.compiler.drains import GROUP_WORDS
from winnow.compiler.memory import Memory, Parameters, Place
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.order import order
from winnow.compiler.pruning import threshold
from winnow.compiler.pruning.masks import Piece
from winnow.compiler.pruning.rule import Pruning
from winnow.compiler.scalars import CHOICES
from winnow.compiler.schedule import schedule
from winnow.compiler.text import ProgramText
from winnow.compiler.vector import BINARY32, K0, ONE, ZERO, Stream, vector

MOST = 0.06  # of the scratchpad that the masters of a piece fill
BINS_OF_TWO, EXPONENT_BIAS = 4, 127  # of a histogram, of binary32
ABOVE = 4  # powers of two that the bins reach above what a run begins with


def pieces(memory: Memory, parameters: Parameters, rule: Pruning) -> list[Piece]:
    """The weights of a layer in pieces of whole groups."""
    rows = rule.rows(parameters.layer)
    groups = parameters.weight_words // rows
    most = max(1, int(MOST * memory.config.words) // (GROUP_WORDS * rows))
    return [Piece.new(parameters, rule, rows * first, min(most, groups - first))
            for first in range(0, groups, most)]


class Refresh:
    """Text of the refresh of all masks.

    Parameters
    ----------
    memory : Memory
    rule : Pruning
    key : scalar register with the key of random bits
    choices : what streams, which is chosen as well
    """

    def __init__(self, memory: Memory, rule: Pruning, key: int, choices: Choices):
        self.memory, self.rule, self.key, self.choices = memory, rule, key, choices
        self._kept: dict[str, list[Operation]] = {}

    def text(self, text: ProgramText, density: float, limit: int,
             scratch: tuple[int, int, int]) -> None:
        """All layers, of which a share of `density` stays. The limit of a layer goes through
        scalar register `limit`; it and three others are lost, and so is the scratchpad."""
        if self.choices.chosen:
            text.line(f"li r{CHOICES}, 0", "what streams")
        for parameters in self.memory.pruned:
            counted = self.rule.counted(parameters.layer, parameters.weight_words)
            name = parameters.layer.name
            text.operations(self._planned(f"{name} sizes", self._sizes, parameters))
            threshold.limit(text, self._lowest(parameters), round(density * counted), limit,
                            scratch)
            text.operations(self._planned(f"{name} masks", self._masks, parameters, limit))
            self.choices.choose(text, parameters, CHOICES, scratch[:2])

    def _lowest(self, parameters: Parameters) -> int:
        """The lowest bin of a layer."""
        usual = round(log2(self.rule.usual(parameters.layer)))
        return BINS_OF_TWO * (EXPONENT_BIAS + usual + ABOVE) - BINS

    def _planned(self, label: str, emit, *given) -> list[Operation]:
        """Operations in the order in which they are given, placed; made once."""
        if label not in self._kept:
            plan = schedule(self.memory.config, emit(*given), self.memory.resident)
            order(plan.operations)
            self._kept[label] = plan.operations
        return self._kept[label]

    def _sizes(self, parameters: Parameters) -> list[Operation]:
        operations = []
        for job, piece in enumerate(pieces(self.memory, parameters, self.rule)):
            operations += _in(job, [fill(piece), *piece.score(),
                                    piece.histogram(self._lowest(parameters), more=job > 0)])
        return operations

    def _masks(self, parameters: Parameters, limit: int) -> list[Operation]:
        operations = []
        under = None if self.rule.shrink else limit  # else what shrank to nothing is pruned
        for job, piece in enumerate(pieces(self.memory, parameters, self.rule)):
            operations += _in(job, [fill(piece), *piece.score(), *piece.choose(under, self.key),
                                    moved(moves.store, piece.mask, parameters.mask, piece)])
            if self.choices.chosen:
                operations += _in(job, [piece.live(more=job > 0)])
        if self.rule.shrink:
            kept = Buffer(f"limit of {parameters.layer.name}", GROUP_WORDS)
            operations += _in(len(operations), [
                vector(kept.name, (1,), (K0, ONE, ZERO), o0=Stream(kept, BINARY32),
                       constants={"k0": 0.0}, scalars={"k0": limit}),
                moves.store(kept, parameters.limit)])
        return operations


def _in(job: int, operations: list[Operation]) -> list[Operation]:
    for operation in operations:
        operation.job = job
    return operations


def moved(move, buffer: Buffer, address: int, piece: Piece, size: int = 1) -> Operation:
    """A move of the words of a piece, `size` for each word of weights, of a region of a layer."""
    place = Place(piece.first, piece.groups * piece.rows, ()).wide(size)
    return move(buffer, address + 8 * place.first, words=place.run)


def fill(piece: Piece) -> Operation:
    """The master weights of a piece."""
    own = piece.parameters
    return moved(moves.fill, piece.master, own.master, piece, own.master_words)
