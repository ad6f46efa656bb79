"""Data sets by name: images as small numbers that E4M3 holds exactly, labels as classes."""

from dataclasses import dataclass

import numpy as np

from winnow.errors import UserError

DIGITS_TRAIN = 1437


@dataclass(frozen=True)
class Dataset:
    """Images (n, row, column, channel) float32 and labels (n,), split once and for all."""

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def _digits() -> Dataset:
    """scikit-learn's 8x8 handwritten digits, 1,437 to train on and 360 to test, shuffled once."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(2026).permutation(labels.size)
    images = (images[order] / 8).astype(np.float32).reshape(-1, 8, 8, 1)
    labels = labels[order]
    split = slice(DIGITS_TRAIN), slice(DIGITS_TRAIN, None)
    return Dataset("digits", images[split[0]], labels[split[0]], images[split[1]],
                   labels[split[1]])


_LOADERS = {"digits": _digits}


def load(name: str) -> Dataset:
    """The data set called `name`; `UserError` lists those there are."""
    if name not in _LOADERS:
        raise UserError(f"data set {name!r} is unknown: there are {', '.join(_LOADERS)}")
    return _LOADERS[name]()
