"""How work is cut: parts of maps in the scratchpad, groups of cores, blocks of positions."""

from dataclasses import dataclass
from itertools import product
from math import prod

from isa.config import LANES, Config
from winnow.compiler.layouts import BLOCKED, Layout, Strides
from winnow.compiler.operations import Buffer
from winnow.network import Shape

NEXT = 2  # groups of images in a block, if there are: more share the dead out less well than rows


@dataclass(frozen=True)
class Part:
    """Some images of a batch, and of each some rows and channel blocks of a map."""

    images: range
    rows: range
    blocks: range

    @classmethod
    def of(cls, shape: Shape, images: range, rows: range | None = None,
           blocks: range | None = None) -> "Part":
        """All rows and blocks of a map of that shape, but for what is given."""
        return cls(images, range(shape.height) if rows is None else rows,
                   range(shape.blocks) if blocks is None else blocks)

    def shape(self, whole: Shape) -> Shape:
        """The shape of an image of this part, of a map of shape `whole`."""
        channels = min(whole.channels, LANES * self.blocks.stop) - LANES * self.blocks.start
        return Shape(channels, len(self.rows), whole.width)

    def words(self, whole: Shape) -> int:
        return len(self.images) * self.shape(whole).words


@dataclass(frozen=True)
class Tile:
    """Part of a map in the scratchpad."""

    buffer: Buffer
    images: int
    shape: Shape  # of one image of the part
    row: int = 0  # of the map, with which it begins
    block: int = 0  # likewise
    layout: Layout = BLOCKED

    @classmethod
    def new(cls, name: str, part: Part, whole: Shape, layout: Layout = BLOCKED) -> "Tile":
        """Room for `part` of a map of shape `whole`."""
        shape, images = part.shape(whole), len(part.images)
        return cls(Buffer(name, layout.images(shape, images)), images, shape,
                   part.rows.start, part.blocks.start, layout)

    @property
    def strides(self) -> Strides:
        return self.layout.strides(self.shape)

    def past(self, images: int) -> int:
        """Words from an image to the one so many later; see `Layout.images`."""
        return self.layout.images(self.shape, images)

    def at(self, row: int = 0, column: int = 0) -> int:
        """Where a pixel is in the tile; it may be outside."""
        return row * self.strides.row + column * self.strides.column

    @property
    def flat(self) -> "Tile":
        """As a fully connected layer sees it: one pixel, each word of an image a channel block, in
        the order of memory. Images do not lie side by side."""
        return Tile(self.buffer, self.images, Shape(LANES * self.shape.words))


def equal(total: int, count: int, i: int) -> range:
    """The i-th of `count` parts of a range, equal but for the last ones, which may be empty."""
    size = -(-total // count)
    return range(min(i * size, total), min((i + 1) * size, total))


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


def grouping(config: Config, blocks: int, images: int, rows: int,
             cores: int | None = None) -> Grouping:
    """Channel blocks over the cores of a group, at most `cores` if given; images, or else rows,
    over groups."""
    most = cores or config.cores
    whole = Grouping(divisor(blocks, most), 1, images, rows)
    cores = min(most, blocks & -blocks)
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
    far: bool = False  # the rows, and columns, of a block are as far apart as can be, else adjacent

    @property
    def down(self) -> tuple[int, int]:
        """Rows from one position to the next, and from one block to the next."""
        return (self.row_blocks, 1) if self.far else (1, self.rows)

    @property
    def right(self) -> tuple[int, int]:
        """Columns likewise."""
        return (self.column_blocks, 1) if self.far else (1, self.columns)

    @classmethod
    def spread(cls, block: int, rows: int, columns: int, images: int, exact: bool) -> "Cut":
        """Blocks whose positions are far apart, so that each has its share of what is dead. Only
        two of columns, rows and images are more than one."""
        def blocks(size: tuple[int, int, int]) -> tuple[int, int, int]:
            return tuple(-(-all_ // each) for all_, each in zip(
                (columns, rows, images), size, strict=True))

        def rank(size: tuple[int, int, int]):
            positions = prod(size)
            return (prod(blocks(size)) * max(positions, block // 2), -positions,
                    abs(size[2] - NEXT), abs(size[1] - size[0]))

        sizes = [size for size in product(*(range(1, min(side, block) + 1)
                                            for side in (columns, rows, images)))
                 if 1 in size and prod(size) <= block and images % size[2] == 0
                 and not (exact and rows % size[1])]
        best = min(sizes, key=rank)
        return cls(*best, *blocks(best), far=True)

    @classmethod
    def of(cls, block: int, rows: int, columns: int, images: int, exact: bool = False,
           widest: int | None = None) -> "Cut":
        """Blocks of up to `block` positions; with `exact` none reaches beyond the last row. They
        are `widest` columns wide at most, if that divides the columns."""
        width = min(columns, block)
        if widest and columns % widest == 0:
            width = min(width, widest)
        heights = [h for h in range(1, min(rows, block // width) + 1)
                   if not exact or rows % h == 0]
        height = min(heights, key=lambda h: (-(-rows // h) * max(h * width, LANES), -h))
        whole = width == columns and height == rows
        together = divisor(images, block // (width * height)) if whole else 1
        return cls(width, height, together, -(-columns // width), -(-rows // height),
                   images // together)
