"""Data sets: digits, CIFAR-10 from files in all of its forms, and what is wrong with files."""

import pickle
import struct

import numpy as np
import pytest

from verif import seeds
from winnow import cli, datasets
from winnow.datasets import Dataset
from winnow.errors import UserError
from winnow.network import Shape, named

TRAIN, TEST = 10, 4  # images; a batch has two


@pytest.fixture(scope="module")
def cifar() -> dict[str, np.ndarray]:
    """A small CIFAR-10 of random pixels, as an .npz has it."""
    generator = seeds.generator("cifar")
    arrays = {}
    for use, count in (("train", TRAIN), ("test", TEST)):
        arrays[f"x_{use}"] = generator.integers(0, 256, (count, 32, 32, 3), np.uint8)
        arrays[f"y_{use}"] = generator.integers(0, 10, count, np.uint8)
    arrays["x_train"][0, 0, 0], arrays["x_train"][0, 0, 1] = 0, 255
    return arrays


def npz(folder, arrays, **changes):
    path = folder / "cifar.npz"
    np.savez(path, **{name: a for name, a in (arrays | changes).items() if a is not None})
    return path


class _OldPickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, as the files of CIFAR-10 have them."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value):
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes


def batches(arrays):
    """Name, images (image, 3072) and labels of each batch."""
    two = TRAIN // 5
    for use, names in (("train", [f"data_batch_{i}" for i in range(1, 6)]),
                       ("test", ["test_batch"])):
        size = two if use == "train" else TEST
        for i, name in enumerate(names):
            part = slice(i * size, (i + 1) * size)
            flat = arrays[f"x_{use}"][part].transpose(0, 3, 1, 2).reshape(size, -1)
            yield name, flat, arrays[f"y_{use}"][part]


def pickled(folder, arrays, old: bool):
    for name, images, labels in batches(arrays):
        batch = {b"data": images, b"labels": [int(label) for label in labels]}
        with (folder / name).open("wb") as file:
            if old:
                _OldPickler(file, 2).dump(batch)
            else:
                file.write(pickle.dumps({key.decode(): v for key, v in batch.items()}, 5))
        if old:
            content = (folder / name).read_bytes()
            (folder / name).write_bytes(content.replace(b"numpy._core", b"numpy.core"))
    return folder


def binary(folder, arrays):
    for name, images, labels in batches(arrays):
        (folder / f"{name}.bin").write_bytes(np.column_stack([labels, images]).tobytes())
    return folder


FORMS = {
    "npz": npz,
    "python 2": lambda folder, arrays: pickled(folder, arrays, True),
    "python 3": lambda folder, arrays: pickled(folder, arrays, False),
    "binary": binary,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_data_set(form, cifar, tmp_path):
    data = datasets.load("cifar10", FORMS[form](tmp_path, cifar))
    for use, images, labels in (("train", data.train_images, data.train_labels),
                                ("test", data.test_images, data.test_labels)):
        exact = (cifar[f"x_{use}"] / 255 - 0.45) / 0.25
        rows = np.array([2, 0])
        assert images[rows].dtype == np.float32
        assert np.array_equal(images[rows], exact[rows].astype(np.float32))
        assert images.shape == exact.shape
        assert np.array_equal(labels, cifar[f"y_{use}"])
    (folder := tmp_path / "npz").mkdir()
    assert data.content_hash() == datasets.load("cifar10", npz(folder, cifar)).content_hash()


def test_half_the_side_is_the_mean_of_four(cifar, tmp_path):
    data = datasets.load("cifar16", npz(tmp_path, cifar))
    mean = cifar["x_test"].reshape(TEST, 16, 2, 16, 2, 3).mean(axis=(2, 4))
    assert np.array_equal(data.test_images[:], ((mean / 255 - 0.45) / 0.25).astype(np.float32))
    network = datasets.network_for(named("resnet8"), data)
    assert network.input == Shape(3, 16, 16) and network.layers == named("resnet8").layers


def test_float_images_are_taken_as_they_are(cifar, tmp_path):
    images = seeds.generator("float").normal(size=(TEST, 32, 32, 3)).astype(np.float32)
    data = datasets.load("cifar10", npz(tmp_path, cifar, x_test=images))
    assert np.array_equal(data.test_images, images)
    halved = datasets.load("cifar16", npz(tmp_path, cifar, x_test=images)).test_images
    mean = images.reshape(TEST, 16, 2, 16, 2, 3).mean(axis=(2, 4))
    assert halved.dtype == np.float32 and np.allclose(halved, mean, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, 3, TRAIN])
def test_the_first_images(form, count, cifar, tmp_path):
    data = datasets.load("cifar10", FORMS[form](tmp_path, cifar), count, 2)
    assert data.train_images.shape == (count, 32, 32, 3)
    assert np.array_equal(data.train_labels, cifar["y_train"][:count])
    assert np.array_equal(data.test_labels, cifar["y_test"][:2])
    with pytest.raises(UserError, match=f"--train-images {TRAIN + 1}: data set cifar10 has "
                                        f"{TRAIN}$"):
        datasets.load("cifar10", tmp_path / "cifar.npz" if form == "npz" else tmp_path, TRAIN + 1)


def refused(path, message, name="cifar10"):
    with pytest.raises(UserError) as error:
        datasets.load(name, path)
    assert message in str(error.value) and "\n" not in str(error.value)


def nan(shape):
    images = np.zeros(shape, np.float32)
    images[2, 5, 5, 1] = np.nan
    return images


SHAPE = TEST, 32, 32, 3


@pytest.mark.parametrize(("changes", "message"), [
    ({"x_test": None, "y_test": None}, "has no x_test, y_test: an .npz needs x_train, y_train"),
    ({"x_test": np.zeros(SHAPE)}, "images are float64: must be uint8, or float32"),
    ({"x_test": np.zeros((TEST, 3, 32, 32), np.uint8)}, "shape (4, 3, 32, 32): must be (images"),
    ({"y_test": np.zeros((TEST, 1), np.uint8)}, "labels are uint8 of shape (4, 1)"),
    ({"y_test": np.zeros(TEST)}, "labels are float64 of shape (4,)"),
    ({"y_test": np.array([0, 1, 10, 2])}, "label 10: must be from 0 to 9"),
    ({"y_test": np.array([0, 1, -1, 2])}, "label -1: must be from 0 to 9"),
    ({"y_test": np.zeros(TEST - 1, int)}, "holds 4 images and 3 labels"),
    ({"x_test": np.zeros((0, 32, 32, 3), np.uint8), "y_test": np.zeros(0, int)},
     "has no images for testing"),
    ({"x_test": nan(SHAPE)}, "image 2 for testing has NaN or infinity"),
    ({"x_test": np.full(SHAPE, np.inf, np.float32)}, "image 0 for testing has NaN or infinity"),
    ({"x_test": np.array([{}, {}])}, "cannot be read as .npz: Object arrays cannot be loaded"),
])
def test_npz_that_is_no_data_set(changes, message, cifar, tmp_path):
    refused(npz(tmp_path, cifar, **changes), message)


@pytest.mark.parametrize(("changes", "message"), [
    ({"x_train": nan((TRAIN, 32, 32, 3))}, "image 2 for training has NaN or infinity"),
    ({"y_train": np.full(TRAIN, 10)}, "label 10: must be from 0 to 9"),
    ({"x_train": np.zeros((TRAIN, 28, 28, 3), np.uint8)}, "must be (images, 32, 32, 3)"),
])
def test_the_command_refuses_before_it_begins(changes, message, cifar, tmp_path, capsys):
    path, out = npz(tmp_path, cifar, **changes), tmp_path / "out"
    assert cli.main(["train", "--net", "resnet8", "--data", "cifar10", "--data-path", str(path),
                     "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("winnow: ") and message in error and error.count("\n") == 1
    assert not out.exists()


def test_paths_without_a_data_set(cifar, tmp_path):
    refused(None, "needs --data-path")
    refused(tmp_path / "absent", "there is no such file or folder")
    refused(tmp_path, "has no data_batch_1, data_batch_2")
    path = npz(tmp_path, cifar)
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    refused(path, "must be an .npz file or a folder")
    middle = len(content) // 4
    path.write_bytes(content[:middle] + bytes(100) + content[middle + 100:])
    refused(path, "cannot be read as .npz: Bad CRC-32")
    refused(tmp_path / "x", "the data set digits comes with Winnow", "digits")


def test_folders_that_are_not_whole(cifar, tmp_path):
    binary(tmp_path, cifar)
    torn = tmp_path / "data_batch_3.bin"
    torn.write_bytes(torn.read_bytes()[:-1])
    refused(tmp_path, f"{torn}: 6145 bytes: must be a multiple of 3073")
    torn.unlink()
    refused(tmp_path, "has no data_batch_3.bin: a folder needs")


class _Mischief:
    def __reduce__(self):
        return eval, ("1 / 0",)


@pytest.mark.parametrize(("content", "message"), [
    (pickle.dumps(_Mischief()), "it asks for builtins.eval"),
    (b"torn", "cannot be read as a CIFAR-10 batch"),
    (pickle.dumps([1]), "holds list: a CIFAR-10 batch is a dict"),
    (pickle.dumps({"labels": [1]}), "data must be a uint8 array of shape (images, 3072)"),
    (pickle.dumps({"data": np.zeros((1, 3072), np.uint8)}), "labels must be a list of integers"),
    (pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [1, 2]}),
     "holds 1 images and 2 labels"),
])
def test_batches_that_are_none(content, message, cifar, tmp_path):
    pickled(tmp_path, cifar, False)
    (tmp_path / "data_batch_2").write_bytes(content)
    refused(tmp_path, f"{tmp_path / 'data_batch_2'}: ")
    refused(tmp_path, message)


def test_counts_of_a_data_set_made_in_python():
    images, labels = np.zeros((2, 8, 8, 1), np.float32), np.zeros(2, int)
    with pytest.raises(UserError, match="data set own: has 2 images for testing and 1 labels"):
        Dataset("own", images, labels, images, labels[:1])


@pytest.mark.parametrize(("images", "labels", "message"), [
    (np.zeros((2, 8, 8)), np.zeros(2, int), r"images for testing have shape \(2, 8, 8\): must be"),
    (np.zeros((2, 0, 8, 1)), np.zeros(2, int), r"have shape \(2, 0, 8, 1\): must be \(images"),
    (np.zeros((2, 8, 8, 1)), np.zeros(2), "labels for testing are float64 of shape"),
    (np.zeros((2, 8, 8, 1)), np.zeros((2, 1), int), r"of shape \(2, 1\): must be one integer"),
    (np.full((2, 8, 8, 1), np.nan), np.zeros(2, int), "image 0 for testing has NaN or infinity"),
])
def test_arrays_of_a_data_set_made_in_python(images, labels, message):
    good = np.zeros((2, 8, 8, 1), np.float32), np.zeros(2, int)
    with pytest.raises(UserError, match=message):
        Dataset("own", *good, images, labels)


def test_digits_are_split_for_good():
    data = datasets.load("digits")
    assert (data.train_labels.size, data.test_labels.size) == (1437, 360)
    assert np.bincount(data.test_labels).min() >= 25
    assert data.content_hash() == datasets.load("digits").content_hash()
    assert data.content_hash() != datasets.load("digits", test=359).content_hash()
