"""Networks in plain floating point: forward, gradients and training, from the textbook.

Maps are (image, channel, row, column). Nothing of the machine's layouts or formats is used.
"""

import numpy as np

from verif.reference import convolution
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

    def _linear(self, layer, x, weights):
        if isinstance(layer, Conv):
            return convolution.forward(x, weights, layer.stride, layer.padding)
        return np.einsum("ncyx,ocyx->no", x, weights)[:, :, np.newaxis, np.newaxis]

    def _linear_backward(self, layer, x, weights, error):
        """Gradients of weights and input."""
        if isinstance(layer, Conv):
            geometry = layer.stride, layer.padding
            return (convolution.weight_gradient(x, error, layer.kernel, *geometry),
                    convolution.input_gradient(error, weights, x.shape[2:], *geometry))
        error = error[:, :, 0, 0]
        return (np.einsum("no,ncyx->ocyx", error, x), np.einsum("no,ocyx->ncyx", error, weights))


def plain_weights(network: Network, machine_weights: list[np.ndarray]) -> list[np.ndarray]:
    """The machine's weights (`winnow.layout.initial_weights`) as a textbook network has them."""
    plain = []
    for layer, weights in zip(network.lowered(), machine_weights, strict=True):
        if layer.taps_as_channels:
            k, outputs = layer.taps_as_channels.kernel, len(weights)
            weights = weights.reshape(outputs, k, k, layer.source.channels).transpose(0, 3, 1, 2)
        elif layer.is_linear:
            source, outputs = layer.source, len(weights)
            weights = weights.reshape(outputs, source.blocks, source.height, source.width, 8)
            weights = weights.transpose(0, 1, 4, 2, 3).reshape(
                outputs, source.blocks * 8, source.height, source.width)[:, :source.channels]
        plain.append(weights)
    return plain
