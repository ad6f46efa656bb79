"""Data sets by name: images as small numbers, near what E4M3 holds best, labels as classes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from winnow import cifar
from winnow.errors import UserError
from winnow.network import Network, Shape

DIGITS_TRAIN = 1437
MEAN, DEVIATION = 0.45, 0.25  # about those of the pixels of CIFAR-10, black 0, white 1
AT_ONCE = 1024  # images that are looked at together

Split = tuple[np.ndarray, np.ndarray]  # images, labels


class Images:
    """Images (image, row, column, channel) that are float32 as soon as they are indexed.

    Parameters
    ----------
    stored : whole numbers, in the same shape
    values : float32, of each whole number
    """

    def __init__(self, stored: np.ndarray, values: np.ndarray):
        self.stored, self.values = stored, values

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stored.shape

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, images) -> np.ndarray:
        return self.values[self.stored[images]]


@dataclass(frozen=True)
class Dataset:
    """Images (image, row, column, channel), float32 by indexing, and labels, split for good."""

    name: str
    train_images: np.ndarray | Images
    train_labels: np.ndarray
    test_images: np.ndarray | Images
    test_labels: np.ndarray

    def __post_init__(self):
        for use, images, labels in self.splits:
            if not len(images):
                raise UserError(f"data set {self.name}: has no images for {use}")
            if len(images.shape) != 4 or 0 in images.shape:
                raise UserError(f"data set {self.name}: images for {use} have shape "
                                f"{images.shape}: must be (images, rows, columns, channels)")
            if labels.ndim != 1 or labels.dtype.kind not in "iu":
                raise UserError(f"data set {self.name}: labels for {use} are {labels.dtype} of "
                                f"shape {labels.shape}: must be one integer an image")
            if len(images) != len(labels):
                raise UserError(f"data set {self.name}: has {len(images)} images for {use} and "
                                f"{len(labels)} labels")
            for first in range(0, len(images), AT_ONCE) if isinstance(images, np.ndarray) else ():
                finite = np.isfinite(images[first:first + AT_ONCE]).all(axis=(1, 2, 3))
                if not finite.all():
                    raise UserError(f"data set {self.name}: image {first + finite.argmin()} for "
                                    f"{use} has NaN or infinity")

    @property
    def splits(self):
        """What for, images, labels."""
        return (("training", self.train_images, self.train_labels),
                ("testing", self.test_images, self.test_labels))

    def content_hash(self) -> str:
        """SHA-256 of all images and labels, the same however they are stored."""
        digest = hashlib.sha256()
        for _, images, labels in self.splits:
            digest.update(str(images.shape).encode())
            digest.update(labels.astype(np.int64).tobytes())
            for first in range(0, len(images), AT_ONCE):
                digest.update(np.ascontiguousarray(images[first:first + AT_ONCE]))
        return digest.hexdigest()


def _digits(path: Path | None, train: int | None) -> tuple[Split, Split]:
    """scikit-learn's 8x8 handwritten digits, 1,437 to train on and 360 to test, shuffled once."""
    from sklearn.datasets import load_digits

    if path is not None:
        raise UserError(f"--data-path {path}: the data set digits comes with Winnow, without path")
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(2026).permutation(labels.size)
    images = (images / 8).astype(np.float32).reshape(-1, 8, 8, 1)
    return tuple((images[rows], labels[rows])
                 for rows in (order[:DIGITS_TRAIN], order[DIGITS_TRAIN:]))


def _cifar(path: Path | None, train: int | None) -> tuple[Split, Split]:
    if path is None:
        raise UserError("CIFAR-10: needs --data-path with an .npz file or the folder of batches")
    return cifar.read(path, train)


def _normalised(images: np.ndarray, white: int) -> np.ndarray | Images:
    """Whole numbers, of which `white` is the largest, as normalised numbers; float32 as it is."""
    if images.dtype == np.float32:
        return images
    values = (np.arange(white + 1) / white - MEAN) / DEVIATION
    return Images(images, values.astype(np.float32))


def _halved(images: np.ndarray) -> np.ndarray | Images:
    """Images of half the side, each pixel the mean of four."""
    wide = images.dtype if images.dtype == np.float32 else np.uint16
    total = np.zeros((len(images), *(side // 2 for side in images.shape[1:3]), 3), wide)
    for row in range(2):
        for column in range(2):
            total += images[:, row::2, column::2]
    return _normalised(total / np.float32(4) if wide == np.float32 else total, 4 * 255)


# How the files of a data set are read, and how its images are made of what was read.
_SETS = {
    "digits": (_digits, lambda images: images),
    "cifar10": (_cifar, lambda images: _normalised(images, 255)),
    "cifar16": (_cifar, _halved),
}


def load(name: str, path: Path | None = None, train: int | None = None,
         test: int | None = None) -> Dataset:
    """The data set called `name`, its files at `path`; the first `train` and `test` images of it.

    `UserError` lists the data sets there are, or says what is wrong with the files.
    """
    if name not in _SETS:
        raise UserError(f"data set {name!r} is unknown: there are {', '.join(_SETS)}")
    for use, count in (("train", train), ("test", test)):
        if count is not None and count < 1:
            raise UserError(f"--{use}-images {count}: must be at least 1")
    read, form = _SETS[name]
    parts = []
    for use, count, (images, labels) in zip(("train", "test"), (train, test), read(path, train),
                                            strict=True):
        if count is not None and count > len(images):
            raise UserError(f"--{use}-images {count}: data set {name} has {len(images)}")
        parts += [form(images[:count]), labels[:count]]
    return Dataset(name, *parts)


def network_for(network: Network, dataset: Dataset) -> Network:
    """`network` for the smaller images of cifar16; for any other data set as it is."""
    if dataset.name != "cifar16":
        return network
    rows, columns, channels = dataset.train_images.shape[1:]
    return network.on(Shape(channels, rows, columns))
