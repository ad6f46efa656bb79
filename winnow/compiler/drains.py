"""What the drain of a tensor operation takes and gives beside the sums: elements, masks, gates,
statistics, parts of sums."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from isa.config import Config
from isa.formats import FormatCode
from isa.registers import AuxMode, StatsMode
from winnow.compiler.operations import At, Buffer
from winnow.compiler.tiles import Tile

GROUP_WORDS = 4  # words of 8 binary32 elements


@dataclass(frozen=True)
class Beside:
    """What the drain of a backward pass takes beside the sums: the same parts as its output, the
    element lies like it, mask and norm like one another."""

    element: Tile | None = None  # added before rounding
    mask: Tile | None = None
    norm: Tile | None = None  # with `stats`, second factor of the second sum
    stats: Buffer | None = None

    def lies(self, y: Tile) -> Tile:
        """What the steps of aux are those of, beside an output."""
        return self.mask or self.norm or y

    def registers(self, row: int = 0, column: int = 0, stats: int = 0) -> dict:
        """Registers, for an output that begins with a row and column of its tile, with statistics
        that begin `stats` words into theirs."""
        values = {}
        for stream, tile in (("aux", self.element), ("mask", self.mask), ("norm", self.norm)):
            if tile:
                start = tile.at(row, column)
                values[f"tensor.{stream}.base"] = {"address": At(tile.buffer, start)}
        if self.stats:
            values["tensor.stats.base"] = {"address": At(self.stats, stats)}
        return values

    @property
    def mode(self) -> dict:
        return {"aux": AuxMode.ELEMENT if self.element else AuxMode.NONE,
                "mask": int(self.mask is not None),
                "stats": StatsMode.NORM if self.stats else StatsMode.NONE}

    @property
    def reads(self) -> list[Buffer]:
        tiles = (self.element, self.mask, self.norm)
        return [t.buffer for t in tiles if t] + ([self.stats] if self.stats else [])

    @property
    def writes(self) -> list[Buffer]:
        return [self.stats] if self.stats else []


@dataclass(frozen=True)
class Gate:
    """The gate of a layer's outputs: weights are those of the bases, and so many words behind them
    all others.

    Parameters
    ----------
    half : words
    thresholds : a binary32 number for each output block, `GROUP_WORDS` apart
    gates : where the gates are written, like the output
    """

    half: int
    thresholds: Buffer
    gates: Tile

    def registers(self, y: Tile) -> dict:
        return {"tensor.gate.base": {"address": At(self.gates.buffer)},
                "tensor.threshold.base": {"address": At(self.thresholds, GROUP_WORDS * y.block)}}


@dataclass(frozen=True)
class Sums:
    """A part of a reduction: what is added to its sums, exactly, and where they go, if they are
    not rounded to the output yet. Positions of both lie like the output."""

    before: Buffer | None = None
    after: Buffer | None = None  # None: to the output
    passes: int = 0  # in `before`
    format: FormatCode = FormatCode.RAW  # of `after`: raw, or rounded once to binary32

    def registers(self, start: int = 0) -> dict:
        """Registers, for sums that begin `start` words into their buffer."""
        if not self.before:
            return {}
        return {"tensor.aux.base": {"address": At(self.before, start)},
                "tensor.depth": {"passes": self.passes}}

    @property
    def mode(self) -> dict:
        return ({"aux": AuxMode.RAW} if self.before else {}) | (
            {"output": self.format} if self.after else {})

    @property
    def reads(self) -> list[Buffer]:
        return [self.before] if self.before else []

    def sizes(self, config: Config, size: int = 1) -> tuple[int, int]:
        """Words of a position of output and aux, `size` of what is not a sum."""
        old = config.raw_words if self.before else size
        if self.after:
            size = config.raw_words if self.format == FormatCode.RAW else GROUP_WORDS
        return size, old

    def out(self, config: Config, size: int = 1) -> Callable[..., dict]:
        """A function that gives the steps of output and aux for words of `size` a position; `aux`
        where its words are not those of the output."""
        return partial(out_steps, self.sizes(config, size))


def out_steps(sizes: tuple[int, int], words: int, dy: int = 0, dx: int = 0,
              aux: int | None = None) -> dict:
    """Steps of output and aux, whose positions have so many words."""
    size, old = sizes
    return {"output": (words * size, dy, dx), "aux": (words if aux is None else aux) * old}


ALL = Sums()  # a reduction in one part


def split_sums(config: Config, name: str, words: int, passes: list[int]) -> list[Sums]:
    """The parts of a reduction with so many passes each, of an output of so many words."""
    buffer = Buffer(f"sums of {name}", words * config.raw_words)
    return [Sums(buffer if i else None, buffer if i < len(passes) - 1 else None, sum(passes[:i]))
            for i in range(len(passes))]


def stats_words(config: Config) -> int:
    """Words of the two sums of a channel block."""
    return 2 * config.raw_words
