"""How a phase is cut where two whole images with all weights do not fit the scratchpad."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

from isa.config import Config
from winnow.compiler.tiles import Part, equal
from winnow.network import Shape

JOB_CYCLES = 1500  # what a job costs beside its work
SEEN = 0.3  # of moving and forming, though the next job hides it


@dataclass(frozen=True)
class Cuts:
    """Into how many parts a phase is cut."""

    chunks: int = 1  # of the channel blocks that it writes
    bands: int = 1  # of the rows
    pieces: int = 1  # of what it sums over; for a weight gradient, of the weights' inputs

    @property
    def largest_band(self) -> int:
        """A band with rows beyond it on both sides, if there is one."""
        return 1 if self.bands > 2 else 0


@dataclass(frozen=True)
class Need:
    """What a phase that is cut needs, in words of the scratchpad."""

    tile: int  # that come and go with each job
    fixed: int  # that stay from one job to the next
    moved: int = 0  # that all jobs together fill, form and store
    jobs: int = 1


def choose(config: Config, most: Cuts, need: Callable[[Cuts], Need], cycles: int,
           room: int) -> tuple[Cuts, Need]:
    """The cuts with the fewest cycles, of those that fit, and what they need; those with the least
    need if none fits.

    Parameters
    ----------
    most : Cuts
        As far as parts can be cut.
    need : function
        What the phase needs if it is cut so.
    cycles : int
        Of the tensor cores.
    room : int
        Words that two jobs may fill, so that one hides the moves of the other, or one alone.
    """
    found, least = [], []
    for pieces, chunks in product(_counts(most.pieces), _counts(most.chunks)):
        for bands in _counts(most.bands, (1, 3)):
            n = need(Cuts(chunks, bands, pieces))
            beside = n.moved * (1 + 1 / config.axi_words) + n.jobs * JOB_CYCLES
            if n.fixed + 2 * n.tile <= room:
                found.append((max(cycles, beside) + SEEN * beside, len(found),
                              Cuts(chunks, bands, pieces), n))
                break
            if n.fixed + n.tile <= room:
                found.append((cycles + beside, len(found), Cuts(chunks, bands, pieces), n))
            least.append((n.fixed + n.tile, len(least), Cuts(chunks, bands, pieces), n))
    return min(found or least)[2:]


def _counts(most: int, factors: tuple[int, ...] = (1,)) -> list[int]:
    """Into how many parts something of `most` may be cut."""
    steps = {factor << i for i in range(most.bit_length()) for factor in factors}
    return sorted(n for n in steps | {most} if n <= most)


def pieces(shape: Shape, part: Part, count: int, flat: bool) -> list[Part]:
    """A part of a map in `count` pieces: channel blocks; of a map that is read `flat`, rows of
    single blocks, where there are more pieces than blocks."""
    blocks = min(count, len(part.blocks))
    found = [replace(part, blocks=shifted(equal(len(part.blocks), blocks, i), part.blocks.start))
             for i in range(blocks)]
    if flat and count > blocks:
        bands = -(-count // blocks)
        found = [replace(p, rows=equal(shape.height, bands, i))
                 for p in found for i in range(bands)]
    return [p for p in found if p.blocks and p.rows]


def most_pieces(shape: Shape, flat: bool) -> int:
    """Pieces that there may be of a map."""
    return shape.blocks * (shape.height if flat else 1)


def shifted(part: range, by: int) -> range:
    return range(part.start + by, part.stop + by)


def hull(ranges: list[range]) -> range:
    """What holds all of them."""
    return range(min(r.start for r in ranges), max(r.stop for r in ranges))


def common(a: range, b: range) -> range:
    """What is in both."""
    return range(max(a.start, b.start), min(a.stop, b.stop))
