"""Convolution and its two gradients from the textbook, in the precision of their arguments.

Maps are (image, channel, row, column), weights (output, channel, row, column). In memory channels
come last, so that windows are copied in long runs: any order gives the same values.
"""

from itertools import product

import numpy as np


def _last(x: np.ndarray) -> np.ndarray:
    """A map, or weights, with the channels last."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def columns(x: np.ndarray, kernel: int, stride: int, padding: int) -> np.ndarray:
    """Windows of x as (image, row, column, kernel x kernel x channel)."""
    images, channels, *size = x.shape
    padded = np.pad(_last(x), ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows, cols = ((n + 2 * padding - kernel) // stride + 1 for n in size)
    windows = np.empty((images, rows, cols, kernel, kernel, channels), x.dtype)
    for i, j in product(range(kernel), repeat=2):
        windows[:, :, :, i, j] = padded[:, i:i + stride * rows:stride, j:j + stride * cols:stride]
    return windows.reshape(images, rows, cols, -1)


def forward(x, weights, stride: int, padding: int) -> np.ndarray:
    rows = columns(x, weights.shape[-1], stride, padding)
    flat = rows.reshape(-1, rows.shape[-1]) @ _last(weights).reshape(len(weights), -1).T
    return flat.reshape(*rows.shape[:3], -1).transpose(0, 3, 1, 2)


def weight_gradient(x, error, kernel: int, stride: int, padding: int) -> np.ndarray:
    rows = columns(x, kernel, stride, padding)
    error = _last(error).reshape(-1, error.shape[1])
    flat = error.T @ rows.reshape(-1, rows.shape[-1])
    return flat.reshape(-1, kernel, kernel, x.shape[1]).transpose(0, 3, 1, 2)


def input_gradient(error, weights, shape: tuple[int, int], stride: int, padding: int):
    """For an input of `shape` (rows, columns)."""
    outputs, channels, kernel, _ = weights.shape
    images, _, rows, cols = error.shape
    spread = _last(error).reshape(-1, outputs) @ _last(weights).reshape(outputs, -1)
    spread = spread.reshape(images, rows, cols, kernel, kernel, channels)
    below = np.zeros((images, *(n + 2 * padding for n in shape), channels), error.dtype)
    for i, j in product(range(kernel), repeat=2):
        below[:, i:i + stride * rows:stride, j:j + stride * cols:stride] += spread[:, :, :, i, j]
    height, width = shape
    inner = below[:, padding:padding + height, padding:padding + width]
    return inner.transpose(0, 3, 1, 2)
