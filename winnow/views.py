"""Random views of images, of which self-supervised training learns what they have in common."""

import numpy as np

from winnow.datasets import Dataset

SHIFT = 8  # a view is shifted by up to one part in so many of the side
NOISE = 0.2  # standard deviation, in that of all pixels
BRIGHTNESS = 0.3  # a view is brighter or darker by a factor of 1 more or less up to that
MIRRORED = ("cifar10", "cifar16")  # data sets whose images mean the same mirrored


def two_views(dataset: Dataset, rows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A view of each of some training images, then another of each, float32 (2 * rows, row,
    column, channel): shifted, mirrored where that is allowed, brighter or darker, with noise."""
    images = np.concatenate([dataset.train_images[rows]] * 2)
    count, height, width, _ = images.shape
    most = max(1, min(height, width) // SHIFT)
    down, right = generator.integers(0, 2 * most + 1, (2, count))
    padded = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    y = (down[:, np.newaxis] + np.arange(height))[:, :, np.newaxis]
    x = (right[:, np.newaxis] + np.arange(width))[:, np.newaxis]
    views = padded[np.arange(count)[:, np.newaxis, np.newaxis], y, x]
    if dataset.name in MIRRORED:
        mirrored = generator.random(count) < 0.5
        views[mirrored] = views[mirrored, :, ::-1]
    views *= 1 + BRIGHTNESS * generator.uniform(-1, 1, (count, 1, 1, 1)).astype(np.float32)
    noise = generator.standard_normal(views.shape, np.float32)
    return views + np.float32(NOISE * images.std()) * noise
