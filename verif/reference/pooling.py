"""Pooling and its gradients from the textbook: each gives the pooled map, and a function from its
gradient to that of the input. Maps are (image, channel, row, column)."""

import numpy as np

from winnow.network import Window


def _places(x: np.ndarray, window: Window, fill: float):
    """x within its padding, and for each place in a window what it selects of that."""
    k, p, stride = window.kernel, window.padding, window.stride or window.kernel
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), constant_values=fill)
    rows, columns = (side - k + 1 for side in padded.shape[2:])
    places = [(..., slice(i, i + rows, stride), slice(j, j + columns, stride))
              for i in range(k) for j in range(k)]
    return padded, places


def _inside(padded: np.ndarray, window: Window) -> np.ndarray:
    p = window.padding
    return padded[..., p:padded.shape[2] - p, p:padded.shape[3] - p]


def largest(x: np.ndarray, window: Window):
    """The largest of each window; its gradient goes to the first of the largest."""
    padded, places = _places(x, window, -np.inf)
    windows = np.stack([padded[place] for place in places])
    winner = windows.argmax(axis=0)

    def backward(g):
        spread = np.zeros(padded.shape, g.dtype)
        for i, place in enumerate(places):
            spread[place] += g * (winner == i)
        return _inside(spread, window)

    return windows.max(axis=0), backward


def mean(x: np.ndarray, window: Window | None):
    """The mean of each window, padding counted as zeros; without windows over all pixels."""
    if window is None:
        pixels = x.shape[2] * x.shape[3]
        return x.mean(axis=(2, 3), keepdims=True), lambda g: np.broadcast_to(g / pixels, x.shape)
    padded, places = _places(x, window, 0)

    def backward(g):
        spread = np.zeros(padded.shape, g.dtype)
        for place in places:
            spread[place] += g / len(places)
        return _inside(spread, window)

    return sum(padded[place] for place in places) / len(places), backward
