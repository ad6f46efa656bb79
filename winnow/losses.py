"""Losses without labels, which the host computes: from embeddings of two views of each image to
their errors.

Row i of 2n embeddings and row i + n are of views of the same image. A loss is a mean over rows; its
errors are the gradient of the sum over rows (the machine divides by the batch), in the type of the
embeddings.
"""

from collections.abc import Callable

import numpy as np

from winnow.network import (
    PREDICTION,
    PROJECTION,
    AveragePool,
    Conv,
    Linear,
    Network,
    NetworkError,
)

TEMPERATURE = 0.2  # of the similarities that a contrastive loss compares
WIDTH = 64  # of the hidden layers of a head, and of embeddings
PREDICTOR_WIDTH = 16  # of the hidden layer of a predictor


def contrastive(embeddings: np.ndarray, _: np.ndarray) -> tuple[float, np.ndarray]:
    """NT-Xent (SimCLR, Chen et al. 2020): the cross-entropy of finding the other view among all
    other rows by the cosine of the embeddings over `TEMPERATURE`."""
    unit, length = _normalised(embeddings)
    rows = np.arange(len(unit))
    power = _similarities(unit) / embeddings.dtype.type(TEMPERATURE)
    power -= power.max(axis=1, keepdims=True)
    other = power[rows, other_view(len(unit))]
    share = np.exp(power)
    total = share.sum(axis=1, keepdims=True)
    loss = np.mean(np.log(total[:, 0]) - other)
    share /= total
    share[rows, other_view(len(unit))] -= 1
    errors = (share + share.T) @ unit / embeddings.dtype.type(TEMPERATURE)
    return float(loss), _of_length(errors, unit, length)


def simsiam(predictions: np.ndarray, embeddings: np.ndarray) -> tuple[float, np.ndarray]:
    """Negative-free (SimSiam, Chen and He 2021): minus the cosine of each prediction and the
    embedding of the other view, which is taken as constant."""
    unit, length = _normalised(predictions)
    target = _normalised(embeddings)[0][other_view(len(unit))]
    loss = -np.mean(np.sum(unit * target, axis=1))
    return float(loss), _of_length(-target, unit, length)


LOSSES: dict[str, Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]] = {
    "contrastive": contrastive, "simsiam": simsiam}


def other_view(rows: int) -> np.ndarray:
    """For each row that of the other view of its image."""
    return np.roll(np.arange(rows), rows // 2)


def found(embeddings: np.ndarray) -> float:
    """The share of rows that are nearest, by their cosine, to the other view of their image."""
    nearest = _similarities(_normalised(embeddings)[0]).argmax(axis=1)
    return float(np.mean(nearest == other_view(len(embeddings))))


def _similarities(unit: np.ndarray) -> np.ndarray:
    """Cosines between rows, none of a row with itself."""
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    return cosines


def _normalised(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of length one, and the lengths; a row of zeros stays so."""
    length = np.sqrt(np.sum(rows * rows, axis=1, keepdims=True))
    return rows / np.where(length > 0, length, 1), length


def _of_length(errors: np.ndarray, unit: np.ndarray, length: np.ndarray) -> np.ndarray:
    """From errors of rows of length one to those of the rows; none for a row of zeros."""
    across = errors - unit * np.sum(unit * errors, axis=1, keepdims=True)
    return np.where(length > 0, across / np.where(length > 0, length, 1), 0)


def with_head(network: Network, loss: str) -> Network:
    """`network` with the head of a loss of `LOSSES` in the place of its fully connected layers: the
    mean over all pixels, which are the features, two layers that project them, and for simsiam two
    more that predict. For other losses it is `network`."""
    if loss not in LOSSES:
        return network
    layers = list(network.layers)
    while layers and isinstance(layers[-1], Linear):
        layers.pop()
    if not layers:
        raise NetworkError(f"network {network.name}: has fully connected layers only: loss {loss} "
                           f"trains what is before them")
    if not isinstance(layers[-1], AveragePool):
        layers.append(AveragePool("features"))
    return network.with_layers((*layers, *_HEADS[loss]))


def _normalised_layer(name: str, channels: int, relu: bool = True) -> Conv:
    """Fully connected, over one pixel."""
    return Conv(name, channels, 1, padding=0, norm=True, relu=relu)


_PROJECTION = (_normalised_layer(PROJECTION, WIDTH), Linear("embedding", WIDTH))
_HEADS = {
    "contrastive": _PROJECTION,
    "simsiam": (*_PROJECTION, _normalised_layer(PREDICTION, PREDICTOR_WIDTH),
                Linear("predicted", WIDTH)),
}
