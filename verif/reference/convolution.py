"""Convolution and its two gradients from the textbook, in the precision of their arguments.

Maps are (image, channel, row, column), weights (output, channel, row, column).
"""

import numpy as np


def columns(x: np.ndarray, kernel: int, stride: int, padding: int) -> np.ndarray:
    """Windows of x as (image, row, column, channel x kernel x kernel)."""
    edge = (padding, padding)
    padded = np.pad(x, ((0, 0), (0, 0), edge, edge))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride].transpose(0, 2, 3, 1, 4, 5)
    return windows.reshape(*windows.shape[:3], -1)


def forward(x, weights, stride: int, padding: int) -> np.ndarray:
    rows = columns(x, weights.shape[-1], stride, padding)
    return (rows @ weights.reshape(len(weights), -1).T).transpose(0, 3, 1, 2)


def weight_gradient(x, error, kernel: int, stride: int, padding: int) -> np.ndarray:
    rows = columns(x, kernel, stride, padding)
    error = error.transpose(0, 2, 3, 1)
    flat = error.reshape(-1, error.shape[-1]).T @ rows.reshape(-1, rows.shape[-1])
    return flat.reshape(error.shape[-1], x.shape[1], kernel, kernel)


def input_gradient(error, weights, shape: tuple[int, int], stride: int, padding: int):
    """For an input of `shape` (rows, columns)."""
    outputs, channels, kernel, _ = weights.shape
    height, width = shape
    spread = error.transpose(0, 2, 3, 1) @ weights.reshape(outputs, -1)
    spread = spread.reshape(*spread.shape[:3], channels, kernel, kernel)
    rows, cols = error.shape[2:]
    below = np.zeros((len(error), channels, height + 2 * padding, width + 2 * padding),
                     error.dtype)
    for y in range(kernel):
        for x in range(kernel):
            below[:, :, y:y + stride * rows:stride, x:x + stride * cols:stride] += \
                spread[..., y, x].transpose(0, 3, 1, 2)
    return below[:, :, padding:padding + height, padding:padding + width]
