"""Networks in plain floating point: forward, gradients and training, from the textbook.

Maps are (image, channel, row, column). Nothing of the machine's layouts or formats is used.
"""

import numpy as np

from winnow.network import Conv, Network


class FloatNetwork:
    """Parameters and gradients of `network` in `dtype`; weights (output, channel, row, column)."""

    def __init__(self, network: Network, weights: list[np.ndarray], dtype=np.float64):
        self.layers = network.layers
        self.weights = [w.astype(dtype) for w in weights]
        self.biases = [np.zeros(len(w), dtype) for w in weights]
        self.dtype = dtype

    def forward(self, images: np.ndarray) -> list[np.ndarray]:
        """The input and every layer's output."""
        maps = [images.astype(self.dtype)]
        for layer, weights, bias in zip(self.layers, self.weights, self.biases, strict=True):
            y = self._linear(layer, maps[-1], weights) + bias[:, np.newaxis, np.newaxis]
            maps.append(np.maximum(y, 0) if layer.relu else y)
        return maps

    def gradients(self, images: np.ndarray, targets: np.ndarray):
        """Of half the squared error, summed over classes, mean over images: weights, biases."""
        maps = self.forward(images)
        error = (maps[-1] - targets[:, :, np.newaxis, np.newaxis]) / len(images)
        of_weights, of_biases = [], []
        for i in reversed(range(len(self.layers))):
            layer = self.layers[i]
            if layer.relu:
                error = error * (maps[i + 1] > 0)
            dw, error_below = self._linear_backward(layer, maps[i], self.weights[i], error)
            of_weights.insert(0, dw)
            of_biases.insert(0, error.sum(axis=(0, 2, 3)))
            error = error_below
        return of_weights, of_biases

    def train(self, images, targets, order, rates, momentum: float) -> None:
        """Stochastic gradient descent; `order` (steps, batch) and a learning rate a step."""
        moments = [np.zeros_like(p) for p in self.weights + self.biases]
        for rows, rate in zip(order, rates, strict=True):
            of_weights, of_biases = self.gradients(images[rows], targets[rows])
            for p, m, g in zip(self.weights + self.biases, moments, of_weights + of_biases,
                               strict=True):
                m *= self.dtype(momentum)
                m += g
                p -= self.dtype(rate) * m

    @staticmethod
    def _geometry(layer):
        return (layer.kernel, layer.stride, layer.padding) if isinstance(layer, Conv) else None

    def _columns(self, layer, x, weights):
        """Windows of x, (image, row, column, channel x kernel x kernel)."""
        if not isinstance(layer, Conv):
            return x.reshape(len(x), 1, 1, -1)
        kernel, stride, pad = self._geometry(layer)
        padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
        windows = windows[:, :, ::stride, ::stride].transpose(0, 2, 3, 1, 4, 5)
        return windows.reshape(*windows.shape[:3], -1)

    def _linear(self, layer, x, weights):
        columns = self._columns(layer, x, weights)
        return (columns @ weights.reshape(len(weights), -1).T).transpose(0, 3, 1, 2)

    def _linear_backward(self, layer, x, weights, error):
        columns = self._columns(layer, x, weights)
        error = error.transpose(0, 2, 3, 1)
        dw = error.reshape(-1, error.shape[-1]).T @ columns.reshape(-1, columns.shape[-1])
        spread = error @ weights.reshape(len(weights), -1)
        if not isinstance(layer, Conv):
            return dw.reshape(weights.shape), spread.reshape(x.shape)
        kernel, stride, pad = self._geometry(layer)
        spread = spread.reshape(*spread.shape[:3], x.shape[1], kernel, kernel)
        below = np.zeros((*x.shape[:2], x.shape[2] + 2 * pad, x.shape[3] + 2 * pad), self.dtype)
        rows, columns = error.shape[1:3]
        for ky in range(kernel):
            for kx in range(kernel):
                below[:, :, ky:ky + stride * rows:stride, kx:kx + stride * columns:stride] += \
                    spread[..., ky, kx].transpose(0, 3, 1, 2)
        return dw.reshape(weights.shape), \
            below[:, :, pad:pad + x.shape[2], pad:pad + x.shape[3]]


def plain_weights(network: Network, machine_weights: list[np.ndarray]) -> list[np.ndarray]:
    """The machine's weights (`winnow.layout.initial_weights`) as a textbook network has them."""
    plain = []
    for layer, weights in zip(network.lowered(), machine_weights, strict=True):
        if layer.taps_as_channels:
            k, outputs = layer.taps_as_channels, len(weights)
            weights = weights.reshape(outputs, k, k, layer.source.channels).transpose(0, 3, 1, 2)
        elif layer.is_linear:
            source, outputs = layer.source, len(weights)
            weights = weights.reshape(outputs, source.blocks, source.height, source.width, 8)
            weights = weights.transpose(0, 1, 4, 2, 3).reshape(
                outputs, source.blocks * 8, source.height, source.width)[:, :source.channels]
        plain.append(weights)
    return plain
