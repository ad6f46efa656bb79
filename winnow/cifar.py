"""CIFAR-10 from files: one .npz, or the folder of batches in its Python or binary version."""

import io
import pickle
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy._core import multiarray, numeric

from winnow.errors import UserError

IMAGE = 32, 32, 3  # row, column, channel
PIXELS = 32 * 32 * 3
CLASSES = 10
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
TEST = ("test_batch",)

Split = tuple[np.ndarray, np.ndarray]  # images (image, row, column, channel), labels


def read(path: Path, train: int | None = None) -> tuple[Split, Split]:
    """Images and labels to train on and to test; of a folder no more batches than hold `train`
    images.

    Images are uint8, or in an .npz perhaps float32, then taken as they are. They may be views
    that are not contiguous.
    """
    if path.is_dir():
        splits = _folder(path, train)
    elif not path.exists():
        raise UserError(f"{path}: there is no such file or folder")
    else:
        splits = _arrays(path)
    for images, labels in splits:
        _check(path, images, labels)
    return splits


def _check(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    if images.dtype not in (np.uint8, np.float32):
        raise UserError(f"{path}: images are {images.dtype}: must be uint8, or float32 where they "
                        f"are normalised already")
    if images.shape[1:] != IMAGE:
        raise UserError(f"{path}: images have shape {images.shape}: must be (images, 32, 32, 3)")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise UserError(f"{path}: labels are {labels.dtype} of shape {labels.shape}: must be one "
                        f"integer an image")
    _same_count(path, images, labels)
    wrong = labels[(labels < 0) | (labels >= CLASSES)]
    if wrong.size:
        raise UserError(f"{path}: label {wrong[0]}: must be from 0 to {CLASSES - 1}")


def _same_count(path: Path, images, labels) -> None:
    if len(images) != len(labels):
        raise UserError(f"{path}: holds {len(images)} images and {len(labels)} labels")


def _arrays(path: Path) -> tuple[Split, Split]:
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path}: must be an .npz file or a folder of CIFAR-10 batches, and whole")
    try:
        with np.load(path, allow_pickle=False) as file:
            absent = [name for name in ARRAYS if name not in file]
            if absent:
                raise UserError(f"{path}: has no {', '.join(absent)}: an .npz needs "
                                f"{', '.join(ARRAYS)}")
            arrays = [file[name] for name in ARRAYS]
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile,
            zlib.error) as error:
        raise UserError(f"{path}: cannot be read as .npz: {_line(error)}") from None
    for name, array in zip(ARRAYS, arrays, strict=True):
        if not isinstance(array, np.ndarray):
            raise UserError(f"{path}: {name} is not an array")
    return (arrays[0], arrays[1]), (arrays[2], arrays[3])


def _folder(path: Path, train: int | None) -> tuple[Split, Split]:
    suffix, batch = (".bin", _binary) if (path / f"{TRAIN[0]}.bin").exists() else ("", _pickled)
    absent = [name + suffix for name in TRAIN + TEST if not (path / (name + suffix)).is_file()]
    if absent:
        raise UserError(f"{path}: has no {', '.join(absent)}: a folder needs data_batch_1 to "
                        f"data_batch_5 and test_batch, all of them with .bin or all without")

    def split(names, most: int | None) -> Split:
        parts, count = [], 0
        for name in names:
            if most is not None and count >= most:
                break
            parts.append(batch(path / (name + suffix)))
            count += len(parts[-1][1])
        images, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
        return images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels

    return split(TRAIN, train), split(TEST, None)


# Batches: images (image, 3072), channel by channel, and labels.


def _binary(path: Path) -> Split:
    records = np.frombuffer(_bytes(path), np.uint8)
    if not records.size or records.size % (1 + PIXELS):
        raise UserError(f"{path}: {records.size} bytes: must be a multiple of {1 + PIXELS}, a "
                        f"label and {PIXELS} pixels an image")
    records = records.reshape(-1, 1 + PIXELS)
    return records[:, 1:], records[:, 0]


def _pickled(path: Path) -> Split:
    content = _bytes(path)
    try:
        batch = _Plain(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a file of any content may fail in any way
        raise UserError(f"{path}: cannot be read as a CIFAR-10 batch: {_line(error)}") from None
    if not isinstance(batch, dict):
        raise UserError(f"{path}: holds {type(batch).__name__}: a CIFAR-10 batch is a dict")
    images, labels = (batch.get(key.encode(), batch.get(key)) for key in ("data", "labels"))
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 2 \
            or images.shape[1] != PIXELS:
        raise UserError(f"{path}: data must be a uint8 array of shape (images, {PIXELS})")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise UserError(f"{path}: labels must be a list of integers")
    _same_count(path, images, labels)
    return images, np.array(labels, np.int64)


class _Plain(pickle.Unpickler):
    """Unpickles numpy arrays and plain values; what would call anything else is refused."""

    ALLOWED = {
        ("multiarray", "_reconstruct"): multiarray._reconstruct,
        ("numeric", "_frombuffer"): numeric._frombuffer,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module, name):
        for core in ("numpy.core.", "numpy._core."):  # before numpy 2, and since
            module = module.removeprefix(core)
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return self.ALLOWED[module, name]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _line(error: Exception) -> str:
    """What an exception says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
