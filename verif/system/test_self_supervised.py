"""Losses without labels, views and the linear probe, and how a user calls them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from isa import config
from verif import seeds
from verif.system.networks import float_network, random_session
from verif.system.test_train import interrupt, outcome, train
from winnow import checkpoint, cli, losses, probe, views
from winnow.compiler.recipe import recipe_for
from winnow.datasets import Dataset
from winnow.errors import UserError
from winnow.network import Conv, Linear, Network, Shape, named

SMALL = config.named("small")
STEP = 1e-6
SHORT = ("--train-images", "64", "--test-images", "24", "--batch", "16", "--epochs", "2",
         "--seed", "3")


def slope(f, x: np.ndarray) -> np.ndarray:
    """The gradient of a number with respect to each element, by finite differences."""
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        before = x[i]
        x[i] = before + STEP
        above = f()
        x[i] = before - STEP
        gradient[i] = (above - f()) / (2 * STEP)
        x[i] = before
    return gradient


@pytest.mark.parametrize("kind", losses.LOSSES)
def test_errors_are_the_gradient_of_the_sum(kind):
    """In float64. What simsiam compares with is constant."""
    generator = seeds.generator(kind)
    scores, targets = generator.standard_normal((2, 12, 5))
    errors = losses.LOSSES[kind](scores, targets)[1]
    expected = slope(lambda: 12 * losses.LOSSES[kind](scores, targets)[0], scores)
    assert np.allclose(errors, expected, atol=1e-6) and np.abs(errors).max() > 0.01


@pytest.mark.parametrize("kind", losses.LOSSES)
def test_gradients_through_the_network(kind):
    """In float64: of the weights of the last layer and, as far as no target moves, of the first."""
    network = Network("n", Shape(3, 6, 5), (Conv("conv", 8, norm=True), Linear("fc", 10)))
    made = random_session(SMALL, seeds.generator(f"through {kind}"), 1,
                          losses.with_head(network, kind), loss=kind, batch=16)
    float64 = float_network(made)
    ((images, _),) = made.batches(made.rounds[0])
    planes = images.transpose(0, 3, 1, 2)
    gradient = dict(float64.gradients(planes, None))

    def loss() -> float:
        float64.gradients(planes, None)
        return float64.loss_seen

    names = {"contrastive": ("embedding", "conv"), "simsiam": ("predicted", "prediction")}[kind]
    for name in names:
        weights = float64.parameters[name, "weights"]
        some = (slice(0, 2), slice(0, 3))
        assert np.allclose(slope(loss, weights[some]), gradient[name, "weights"][some], atol=1e-5)
        assert np.abs(gradient[name, "weights"][some]).max() > 1e-4


def test_values_that_can_be_told():
    """n images whose two views agree and are orthogonal to all others: cosines 1 and 0."""
    n = 6
    rows = np.tile(np.eye(n), (2, 1)) * 3
    others = (2 * n - 2) * np.exp(-1 / losses.TEMPERATURE)
    assert losses.contrastive(rows, rows)[0] == pytest.approx(np.log(1 + others))
    assert losses.simsiam(rows, rows)[0] == pytest.approx(-1)
    assert losses.found(rows) == 1
    assert losses.simsiam(rows, -rows)[0] == pytest.approx(1)
    apart = np.concatenate([rows[:n], np.roll(rows[n:], 1, axis=0)])
    assert losses.found(apart) == 0 and losses.simsiam(apart, apart)[0] == 0


@pytest.mark.parametrize("kind", losses.LOSSES)
def test_a_row_of_zeros_has_no_errors(kind):
    rows = seeds.generator("zeros").standard_normal((8, 4)).astype(np.float32)
    rows[3] = 0
    loss, errors = losses.LOSSES[kind](rows, rows)
    assert errors.dtype == np.float32 and np.isfinite(errors).all() and np.isfinite(loss)
    assert not errors[3].any() and errors[2].any()


def pictures(name: str, count: int = 40, side: int = 16) -> Dataset:
    """Images of which each is unlike the others, and unlike itself mirrored."""
    images = seeds.generator("pictures").standard_normal((count, side, side, 1), np.float32)
    labels = np.zeros(count, int)
    return Dataset(name, images, labels, images[:8], labels[:8])


@pytest.mark.parametrize("name", ["digits", *views.MIRRORED])
def test_views_are_shifted_and_mirrored_images(name, monkeypatch):
    """With neither noise nor brightness each view is one of the shifts of its image, by up to two
    pixels of 16; the second half are others, of the same images in the same order."""
    monkeypatch.setattr(views, "NOISE", 0)
    monkeypatch.setattr(views, "BRIGHTNESS", 0)
    data, rows = pictures(name), np.arange(5, 37)
    made = views.two_views(data, rows, np.random.default_rng(1))
    padded = np.pad(data.train_images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    found = []
    for view, row in zip(made, np.tile(rows, 2), strict=True):
        shifts = [(y, x, mirrored) for y in range(5) for x in range(5) for mirrored in (1, -1)
                  if np.array_equal(view, padded[row, y:y + 16, x:x + 16][:, ::mirrored])]
        assert len(shifts) == 1
        found += shifts
    assert {y for y, _, _ in found} == {x for _, x, _ in found} == set(range(5))
    assert {m for _, _, m in found} == ({1, -1} if name in views.MIRRORED else {1})
    assert found[:len(rows)] != found[len(rows):]


def test_views_hang_on_seed_epoch_and_images():
    made = random_session(SMALL, seeds.generator("views"), 4,
                          losses.with_head(named("digits"), "simsiam"), loss="simsiam", batch=16,
                          epochs=2)
    first, *others = [next(made.batches(work))[0] for work in made.rounds]
    assert np.array_equal(first, next(made.batches(made.rounds[0]))[0])
    assert first.dtype == np.float32 and first.shape == (16, 8, 8, 1)
    others.append(next(made.batches(replace(made.rounds[0], epoch=1)))[0])
    assert all(not np.array_equal(first, other) for other in others)
    made.seed += 1
    assert not np.array_equal(first, next(made.batches(made.rounds[0]))[0])


def test_probe_finds_what_is_linear_and_no_more():
    generator = seeds.generator("probe")
    labels = np.arange(600) % 3
    centres = generator.standard_normal((3, 20)) * 50
    features = centres[labels] + generator.standard_normal((600, 20))
    features[:, 7] = 3  # one that says nothing
    split = features[:400], labels[:400], features[400:], labels[400:]
    assert probe.accuracy(*split) == 1
    wide = 20 * generator.standard_normal(600)  # hides what the difference of two features tells
    pair = np.stack([wide + labels % 2, wide], axis=1) + generator.normal(0, 0.05, (600, 2))
    assert probe.accuracy(pair[:400], labels[:400] % 2, pair[400:], labels[400:] % 2) > 0.95
    shuffled = generator.permutation(labels)
    assert probe.accuracy(features[:400], shuffled[:400], features[400:], shuffled[400:]) < 0.5


def test_heads_take_the_place_of_fully_connected_layers():
    vgg, resnet = named("vgg7"), named("resnet8")
    made = losses.with_head(vgg, "simsiam")
    assert made.layers[:5] == vgg.layers[:5]
    assert [layer.name for layer in made.layers[5:]] == [
        "features", "projection", "embedding", "prediction", "predicted"]
    assert [layer.name for layer in losses.with_head(resnet, "contrastive").layers[4:]] == [
        "pool", "projection", "embedding"]
    assert losses.with_head(vgg, "softmax") is vgg


@pytest.mark.parametrize("kind", losses.LOSSES)
def test_a_run_that_is_interrupted_ends_in_the_same_bits(kind, tmp_path, monkeypatch):
    """Saved every other step at least, killed within steps, and resumed."""
    arguments = (*SHORT, "--loss", kind, "--prune", "element", "--refresh", "3")
    with monkeypatch.context() as patch:
        interrupt(patch, 30)
        assert train(tmp_path / "cut", *arguments, "--checkpoint-steps", 2) == cli.INTERRUPTED
    assert checkpoint.read(tmp_path / "cut" / checkpoint.NAME).step % 2 == 0
    assert train(tmp_path / "cut", "--resume") == 0
    assert train(tmp_path / "whole", *arguments) == 0
    (cut, memory), (whole, expected) = (outcome(tmp_path / name) for name in ("cut", "whole"))
    assert memory == expected and cut["curve"] == whole["curve"]
    assert cut["test_accuracy"] == whole["test_accuracy"] > 0.2
    assert cut["measure"] == "linear probe" and len(cut["weight_hashes"]) == 2


def test_on_the_chip(tmp_path, capsys):
    """`winnow run` with halts for the loss, compared with the model after each program."""
    assert cli.main(["run", "--loss", "contrastive", "--train-images", "40", "--test-images", "8",
                     "--epochs", "1", "--out", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "report.json").read_text())
    assert figures["memory_equal"] and len(figures["curve"]) == 2 and figures["cycles"] > 0
    assert "linear probe  " in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "message"), [
    (("--loss", "triplet"),
     "loss = 'triplet': must be one of softmax, mse, contrastive, simsiam"),
    (("--loss", "simsiam", "--skip-images", "random:0.5"),
     "skip_images = 'random:0.5': must be none with loss simsiam: images are skipped by the "
     "errors of their labels"),
    (("--loss", "contrastive", "--train-images", "31"),
     "data set digits: 31 images for training: loss contrastive needs half a batch, 32"),
])
def test_what_is_refused(arguments, message, tmp_path, capsys):
    assert train(tmp_path / "out", *arguments) == 2
    assert capsys.readouterr().err == f"winnow: {message}\n"


def test_a_loss_brings_its_recipe():
    for kind in losses.LOSSES:
        recipe = recipe_for("digits", kind)
        assert recipe.loss == kind and recipe.batch == 64 and recipe == recipe_for("vgg7", kind)
    assert replace(recipe_for("digits", "softmax"), loss="mse") == recipe_for("digits")


def test_a_network_without_features_is_refused():
    network = Network("flat", Shape(3, 5, 4), (Linear("a", 20, relu=True), Linear("fc", 10)))
    with pytest.raises(UserError, match="network flat: has fully connected layers only: loss "
                                        "simsiam trains what is before them"):
        losses.with_head(network, "simsiam")
