"""Networks in plain floating point: forward, gradients and training, from the textbook.

Maps are (image, channel, row, column). Nothing of the machine's layouts or formats is used.
"""

from collections.abc import Callable

import numpy as np

from verif.reference import convolution, pooling
from winnow.network import AveragePool, Conv, Linear, MaxPool, Network, Residual, Window

EPSILON = 2.0**-10
RUNNING = 0.1

# A piece of a network: the map that it gives, and from that map's gradient that of its input.
Piece = tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]


class FloatNetwork:
    """Parameters and gradients of `network` in `dtype`.

    Parameters
    ----------
    weights : by layer name, (output, channel, row, column)
    loss : ``softmax`` (cross-entropy) or ``mse`` (half the squared error, summed over classes)

    Members
    -------
    last : scores that the last gradients began from
    live : for each image whether it takes part in the backward pass; the errors of the others are
        zero everywhere, and means stay those over all. None: all do.
    """

    def __init__(self, network: Network, weights: dict[str, np.ndarray], dtype=np.float64,
                 loss: str = "softmax"):
        self.network, self.dtype, self.loss = network, dtype, loss
        self.parameters: dict[tuple[str, str], np.ndarray] = {}
        for name, w in weights.items():
            self.parameters[name, "weights"] = w.astype(dtype)
            self.parameters[name, "bias"] = np.zeros(len(w), dtype)
            self.parameters[name, "gamma"] = np.ones(len(w), dtype)
            self.parameters[name, "beta"] = np.zeros(len(w), dtype)
        self.running = {name: (np.zeros(len(w)), np.ones(len(w))) for name, w in weights.items()}
        self.gradient: dict[tuple[str, str], np.ndarray] = {}
        self.training = True
        self.live: np.ndarray | None = None

    def scores(self, images: np.ndarray, training: bool = False) -> np.ndarray:
        """(image, class)."""
        self.training = training
        return self._chain(self.network.layers, images.astype(self.dtype))[0]

    def gradients(self, images: np.ndarray, labels: np.ndarray):
        """Of the loss, mean over images, by (layer, kind of parameter)."""
        self.training, self.gradient = True, {}
        scores, backward = self._chain(self.network.layers, images.astype(self.dtype))
        self.last = scores
        target = np.eye(self.network.classes, dtype=self.dtype)[labels]
        if self.loss == "softmax":
            power = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores = power / power.sum(axis=1, keepdims=True)
        backward(self._of_live((scores - target) / self.dtype(len(images))))
        return self.gradient

    def _of_live(self, error):
        """An error by image without those that take no part."""
        if self.live is None:
            return error
        return error * self.live.reshape(-1, *(1,) * (error.ndim - 1))

    def train(self, images, labels, order, rates, momentum: float, decay: float = 0.0) -> None:
        """Stochastic gradient descent; `order` (steps, batch) and a learning rate a step."""
        moments = {}
        for rows, rate in zip(order, rates, strict=True):
            for key, g in self.gradients(images[rows], labels[rows]).items():
                if decay and key[1] == "weights":
                    g = g + self.dtype(decay) * self.parameters[key]
                moments[key] = self.dtype(momentum) * moments.get(key, 0) + g
                self.parameters[key] -= self.dtype(rate) * moments[key]

    # Pieces.

    def _chain(self, layers, x) -> Piece:
        pieces = []
        for layer in layers:
            x, backward = self._layer(layer, x)
            pieces.append(backward)

        def back(g):
            for backward in reversed(pieces):
                g = backward(g)
            return g

        return x, back

    def _layer(self, layer, x) -> Piece:
        match layer:
            case Conv():
                return self._conv(layer, x)
            case Linear():
                return self._linear(layer, x, layer is self.network.layers[-1])
            case Residual():
                return self._residual(layer, x)
            case MaxPool():
                return pooling.largest(x, layer.window)
            case AveragePool():
                return pooling.mean(x, layer.window)

    def _conv(self, layer: Conv, x) -> Piece:
        weights, geometry = self.parameters[layer.name, "weights"], (layer.stride, layer.padding)
        y = convolution.forward(x, weights, *geometry)
        y, after = self._norm(layer.name, y) if layer.norm else self._bias(layer.name, y)
        y, relu = _relu(y) if layer.relu else (y, lambda g: g)
        window = Window(layer.pool) if isinstance(layer.pool, int) else layer.pool
        y, pool = pooling.largest(y, window)

        def backward(g):
            g = after(relu(pool(g)))
            self.gradient[layer.name, "weights"] = convolution.weight_gradient(
                x, g, layer.kernel, *geometry)
            return convolution.input_gradient(g, weights, x.shape[2:], *geometry)

        return y, backward

    def _linear(self, layer: Linear, x, last: bool) -> Piece:
        weights = self.parameters[layer.name, "weights"]
        y = np.einsum("ncyx,ocyx->no", x, weights)[:, :, np.newaxis, np.newaxis]
        after, relu = (lambda g: g,) * 2
        if not last:
            y, after = self._bias(layer.name, y)
        if layer.relu:
            y, relu = _relu(y)

        def backward(g):
            g = after(relu(g.reshape(y.shape)))[:, :, 0, 0]
            self.gradient[layer.name, "weights"] = np.einsum("no,ncyx->ocyx", g, x)
            return np.einsum("no,ocyx->ncyx", g, weights)

        return (y[:, :, 0, 0] if last else y), backward

    def _residual(self, block: Residual, x) -> Piece:
        body, back_body = self._chain(block.body, x)
        other, back_other = self._layer(block.shortcut, x) if block.shortcut else (x, lambda g: g)
        y, relu = _relu(body + other)

        def backward(g):
            g = relu(g)
            return back_body(g) + back_other(g)

        return y, backward

    def _bias(self, name: str, y) -> Piece:
        def backward(g):
            self.gradient[name, "bias"] = g.sum(axis=(0, 2, 3))
            return g

        return y + self.parameters[name, "bias"][:, np.newaxis, np.newaxis], backward

    def _norm(self, name: str, x) -> Piece:
        def by_channel(v):
            return v[:, np.newaxis, np.newaxis]

        axes = (0, 2, 3)
        mean, variance = x.mean(axis=axes), x.var(axis=axes)
        if self.training:
            self.running[name] = tuple(
                (1 - RUNNING) * old + RUNNING * new
                for old, new in zip(self.running[name], (mean, variance), strict=True))
        else:
            mean, variance = (v.astype(self.dtype) for v in self.running[name])
        s = (1 / np.sqrt(variance + EPSILON)).astype(self.dtype)
        gamma, beta = self.parameters[name, "gamma"], self.parameters[name, "beta"]
        hat = (x - by_channel(mean)) * by_channel(s)

        def backward(g):
            of_gamma, of_beta = (g * hat).sum(axis=axes), g.sum(axis=axes)
            self.gradient[name, "gamma"], self.gradient[name, "beta"] = of_gamma, of_beta
            count = self.dtype(g.size // g.shape[1])
            return self._of_live(by_channel(gamma * s) * (
                g - by_channel(of_beta / count) - hat * by_channel(of_gamma / count)))

        return hat * by_channel(gamma) + by_channel(beta), backward


def _relu(x) -> Piece:
    return np.maximum(x, 0), lambda g: g * (x > 0)


def plain_weights(layer, weights: np.ndarray) -> np.ndarray:
    """The machine's weights (`winnow.layout.initial_weights`) as a textbook layer has them."""
    if layer.taps_as_channels:
        k, outputs = layer.taps_as_channels.kernel, len(weights)
        return weights.reshape(outputs, k, k, layer.source.channels).transpose(0, 3, 1, 2)
    if layer.is_linear:
        source, outputs = layer.source, len(weights)
        weights = weights.reshape(outputs, source.blocks, source.height, source.width, 8)
        return weights.transpose(0, 1, 4, 2, 3).reshape(
            outputs, source.blocks * 8, source.height, source.width)[:, :source.channels]
    return weights
