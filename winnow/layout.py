"""How the host lays images and weights out for the machine; the formats are isa.formats."""

import numpy as np

from isa.config import LANES, TREES
from winnow.compiler.layouts import BLOCKED, Layout, Layouts
from winnow.graph import Layer, Taps
from winnow.network import Shape


def channel_blocks(maps: np.ndarray) -> np.ndarray:
    """Maps (image, row, column, channel) as (image, block, row, column, 8), zero filled."""
    images, rows, columns, channels = maps.shape
    blocks = -(-channels // LANES)
    padded = np.zeros((images, rows, columns, blocks * LANES), maps.dtype)
    padded[..., :channels] = maps
    return padded.reshape(images, rows, columns, blocks, LANES).transpose(0, 3, 1, 2, 4)


def unroll_taps(maps: np.ndarray, taps: Taps, output: Shape) -> np.ndarray:
    """For each pixel of `output` the kernel x kernel pixels under it, side by side as channels."""
    edge, step = (taps.padding, taps.padding), taps.stride
    padded = np.pad(maps, ((0, 0), edge, edge, (0, 0)))
    rows, columns = step * (output.height - 1) + 1, step * (output.width - 1) + 1
    shifted = [padded[:, y:y + rows:step, x:x + columns:step]
               for y in range(taps.kernel) for x in range(taps.kernel)]
    return np.concatenate(shifted, axis=-1)


def first_map(layer: Layer, images: np.ndarray, layout: Layout = BLOCKED) -> np.ndarray:
    """Images (image, row, column, channel) as the first layer takes them."""
    if layer.taps_as_channels:
        images = unroll_taps(images, layer.taps_as_channels, layer.output)
    return laid_out(channel_blocks(images), layout)


def laid_out(maps: np.ndarray, layout: Layout) -> np.ndarray:
    """Maps (image, block, row, column, 8) in the order of memory."""
    if layout.channels_last:
        return maps.transpose(0, 2, 3, 1, 4)
    groups = maps.reshape(-1, layout.together, *maps.shape[1:])
    return groups.transpose(0, 2, 3, 4, 1, 5)


def weight_tiles(weights: np.ndarray) -> np.ndarray:
    """Weights (output, channel, row, column) as (output block, channel block, row, column,
    8 outputs, 8 channels), zero filled."""
    outputs, channels, rows, columns = weights.shape
    out_blocks, in_blocks = -(-outputs // TREES), -(-channels // LANES)
    padded = np.zeros((out_blocks * TREES, in_blocks * LANES, rows, columns), weights.dtype)
    padded[:outputs, :channels] = weights
    tiles = padded.reshape(out_blocks, TREES, in_blocks, LANES, rows, columns)
    return tiles.transpose(0, 2, 4, 5, 1, 3)


def layer_tiles(layer: Layer, weights: np.ndarray, layouts: Layouts) -> np.ndarray:
    """The tiles of a layer as the machine has them: those of a fully connected layer stand in the
    order of the words of an image, those whose gradient comes from a turned map are transposed."""
    tiles = weight_tiles(weights)
    if layouts.turns(layer):
        return tiles.swapaxes(-1, -2)
    if not (layer.is_linear and layouts.maps.channels_last):
        return tiles
    source = layer.reads
    parts = tiles.reshape(len(tiles), source.blocks, source.pixels, *tiles.shape[2:])
    return parts.swapaxes(1, 2).reshape(tiles.shape)


def initial_weights(layer: Layer, generator: np.random.Generator) -> np.ndarray:
    """Binary32 weights (output, channel, row, column), zero where no input will be.

    He-normal; a tenth of that for the last layer, so that first scores are small.
    """
    source = layer.source
    live = np.ones(layer.input.channels, bool)
    if layer.is_linear:
        channel = np.arange(source.blocks * LANES) < source.channels
        live = np.repeat(channel.reshape(source.blocks, 1, LANES), source.pixels, axis=1).ravel()
    fan_in = live.sum() * layer.kernel**2
    scale = np.sqrt((0.04 if layer.is_last else 2) / fan_in)
    shape = (layer.output.channels, layer.input.channels, layer.kernel, layer.kernel)
    weights = generator.normal(0, scale, shape).astype(np.float32)
    return weights * live[:, np.newaxis, np.newaxis]
