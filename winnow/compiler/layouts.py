"""How maps and errors lie in memory: the words from one pixel, channel block and image to the next.

With `Config.slot` = 1 everything lies as image, block, row, column. With larger slots maps lie with
their channels last, so that FP takes `slot` channel blocks of a pixel as one slot; errors with
`slot` images side by side, so that BP takes these as the positions of one slot.
"""

from dataclasses import dataclass

from isa.config import Config
from winnow.graph import Layer
from winnow.network import Shape


@dataclass(frozen=True)
class Strides:
    """Words from a column, a row, a channel block, an image to the next; from one image of those
    that lie side by side to that of the next `group`."""

    column: int
    row: int
    block: int
    image: int
    group: int


@dataclass(frozen=True)
class Layout:
    """Group of images, block, row, column, image of the group; or group, row, column, block.

    Parameters
    ----------
    together : images that lie side by side, word by word; 1 with the channels last
    channels_last : whether the channel blocks of a pixel lie side by side
    pitch : words from a pixel to the next with the channels last, if there are gaps
    """

    together: int = 1
    channels_last: bool = False
    pitch: int = 0

    def strides(self, shape: Shape) -> Strides:
        """Of maps of a shape, image after image without gaps."""
        words = shape.words * self.together
        if self.channels_last:
            column = self.pitch or shape.blocks
            words = column * shape.pixels
            return Strides(column, column * shape.width, 1, words, words)
        column = self.together
        return Strides(column, column * shape.width, column * shape.pixels,
                       1 if self.together > 1 else words, words)

    def images(self, shape: Shape, count: int) -> int:
        """Words from an image, the first of a group if there are more than the group's, to the
        one that is `count` later."""
        strides = self.strides(shape)
        groups, rest = divmod(count, self.together)
        return groups * strides.group + rest * strides.image


BLOCKED = Layout()


@dataclass(frozen=True)
class Layouts:
    """Of everything that a step stores."""

    maps: Layout  # and stored outputs
    errors: Layout  # and gradients of maps

    @classmethod
    def of(cls, config: Config) -> "Layouts":
        if config.slot == 1:
            return cls(BLOCKED, BLOCKED)
        return cls(Layout(channels_last=True), Layout(config.slot))

    def turns(self, layer: Layer) -> bool:
        """Whether the gradient of a layer's weights is summed over its map turned (turned.py).
        A word of its weights, masters and moments is then 8 outputs of a channel."""
        return (self.maps.channels_last and layer.learns and not layer.is_linear
                and not layer.taps_as_channels)
