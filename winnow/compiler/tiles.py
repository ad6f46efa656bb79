"""How work is cut: parts of maps in the scratchpad, groups of cores, blocks of positions."""

from dataclasses import dataclass

from isa.config import LANES, Config
from winnow.compiler.operations import Buffer
from winnow.network import Shape


@dataclass(frozen=True)
class Tile:
    """Whole channel blocks of some images, in the scratchpad: image, block, row, column."""

    buffer: Buffer
    images: int
    shape: Shape  # of one image

    @classmethod
    def new(cls, name: str, images: int, shape: Shape) -> "Tile":
        return cls(Buffer(name, images * shape.words), images, shape)

    @property
    def map_words(self) -> int:
        """From one channel block to the next."""
        return self.shape.pixels

    @property
    def image_words(self) -> int:
        return self.shape.words


def divisor(number: int, most: int) -> int:
    """The largest divisor of `number` that is at most `most`."""
    return next(d for d in range(min(number, max(most, 1)), 0, -1) if number % d == 0)


@dataclass(frozen=True)
class Grouping:
    """Cores a group, groups, and what a group works on: its share of images or of rows."""

    cores: int
    groups: int
    images: int
    rows: int
    by_images: bool = False

    @property
    def by_rows(self) -> bool:
        return self.groups > 1 and not self.by_images


def grouping(config: Config, blocks: int, images: int, rows: int) -> Grouping:
    """Channel blocks over the cores of a group; images, or else rows, over groups."""
    whole = Grouping(divisor(blocks, config.cores), 1, images, rows)
    cores = min(config.cores, blocks & -blocks)
    groups = config.cores // cores
    while groups > 1:
        if images % groups == 0:
            split = Grouping(cores, groups, images // groups, rows, by_images=True)
        elif rows % groups == 0:
            split = Grouping(cores, groups, images, rows // groups)
        else:
            groups //= 2
            continue
        return max(whole, split, key=lambda g: g.cores * g.groups)
    return whole


@dataclass(frozen=True)
class Cut:
    """How the positions of a map (rows, columns) of some images are cut into blocks."""

    columns: int
    rows: int
    images: int
    column_blocks: int
    row_blocks: int
    image_blocks: int

    @classmethod
    def of(cls, block: int, rows: int, columns: int, images: int, exact: bool = False) -> "Cut":
        """Blocks of up to `block` positions; with `exact` none reaches beyond the last row."""
        width = min(columns, block)
        heights = [h for h in range(1, min(rows, block // width) + 1)
                   if not exact or rows % h == 0]
        height = min(heights, key=lambda h: (-(-rows // h) * max(h * width, LANES), -h))
        whole = width == columns and height == rows
        together = divisor(images, block // (width * height)) if whole else 1
        return cls(width, height, together, -(-columns // width), -(-rows // height),
                   images // together)
