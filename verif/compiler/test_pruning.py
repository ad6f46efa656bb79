"""Pruned weights: masks by their definition, and what training does with them, in the model."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from isa import config
from isa.config import LANES
from winnow import datasets, network, run
from winnow.compiler.pruning.rule import GRANULARITIES, Pruning
from winnow.compiler.pruning.threshold import ENOUGH
from winnow.compiler.recipe import recipe_for
from winnow.compiler.training import TrainingProgram
from winnow.errors import UserError
from winnow.graph import Layer
from winnow.session import Session

STEPS, MOST_STEPS = 3, 12
QUANTUM = 2.0**-36
BIN = 21  # bits of a binary32 number below those that choose a bin


@dataclass
class Found:
    """A pruned layer after a run: (words, 8) each."""

    layer: Layer
    masters: np.ndarray
    moments: np.ndarray
    weights: np.ndarray  # codes of E4M3
    mask: np.ndarray  # bool
    limit: float


def train(rule: Pruning | None, steps: int = STEPS, seed: int = 0) -> list[Found]:
    """The digits for so many steps."""
    data = datasets.load("digits", train=16 * MOST_STEPS, test=16)
    recipe = replace(recipe_for("digits"), epochs=1, prune=rule)
    program = TrainingProgram(config.named("small"),
                              datasets.network_for(network.named("digits"), data), recipe)
    session = Session(program, data, seed)
    with run.runner(session, "model") as runner:
        memory = runner.device.memory
        session.place(memory)
        with run.progress_bar(steps, 0) as bar:
            (work,) = session.rounds
            runner.run(replace(work, images=work.images[:steps]), bar)

    def region(address: int, words: int, kind) -> np.ndarray:
        return memory[address:address + 8 * words].view(kind).reshape(-1, LANES).copy()

    layers = [p for p in program.memory.parameters if p.layer.learns][1:-1]
    return [Found(p.layer, *(region(at, 4 * p.weight_words, np.float32)
                             for at in (p.master, p.moment)),
                  region(p.weights, p.weight_words, np.uint8),
                  region(p.mask, p.weight_words, np.uint8) & 0x7F != 0 if rule else None,
                  float(region(p.limit, 4, np.float32)[0, 0]) if rule else None)
            for p in layers]


def scores(rule: Pruning, found: Found) -> np.ndarray:
    """What a limit is held against: (groups,), in binary32."""
    if rule.granularity == "element":
        return np.abs(found.masters).ravel()
    squares = (found.masters * found.masters).astype(np.float64)
    whole = np.rint(squares / QUANTUM).astype(np.int64)
    return (whole.reshape(-1, LANES * rule.rows(found.layer)).sum(axis=1).astype(np.float32)
            * np.float32(QUANTUM))


def limit(sizes: np.ndarray, staying: int, copies: int) -> np.float32:
    """By its definition: the lower end of the bin in which `staying` are reached from above, or, if
    enough are in it, so many eighths up that as many eighths of them are too many."""
    bins = sizes.view(np.uint32) >> BIN
    values, counts = np.unique(bins, return_counts=True)
    values, counts = values[::-1], counts[::-1] * copies
    above = np.cumsum(counts)
    last = np.searchsorted(above, staying)
    eighths = (above[last] - staying) * 8 // counts[last] if counts[last] >= ENOUGH else 0
    return np.uint32((int(values[last]) << BIN) + int(eighths << BIN - 3)).view(np.float32)


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_mask_is_what_is_above_the_limit(granularity):
    rule = Pruning(granularity, ((0, 0.3),), refresh=STEPS, regrow=0)
    for found in train(rule):
        sizes = scores(rule, found)
        copies = 1 if granularity == "element" else LANES
        rows = rule.rows(found.layer)
        assert found.mask.reshape(len(sizes), -1).all(axis=1).sum() \
            == found.mask.reshape(len(sizes), -1).any(axis=1).sum(), "groups stay together"
        expected = sizes > limit(sizes, round(0.3 * sizes.size * copies), copies)
        per = 1 if granularity == "element" else LANES * rows
        assert (np.repeat(expected, per) == found.mask.ravel()).all()
        assert 0 < expected.mean() < 1


def test_pruned_weights_are_zero_and_stay_stored():
    rule = Pruning("tile", ((0, 0.3),), refresh=2, regrow=0)
    before, after = train(rule, 2), train(rule, 3)
    for old, new in zip(before, after, strict=True):
        assert (old.mask == new.mask).all()
        assert not (new.weights[~new.mask] & 0x7F).any() and (old.weights[~new.mask] & 0x7F).any()
        assert (new.weights[new.mask] & 0x7F).any()
        assert new.masters[~new.mask].all()
        gone = ~new.mask  # without a gradient the momentum is all there is
        assert (new.moments[gone] == np.float32(0.9) * old.moments[gone]).all()
        assert (new.moments[~gone] != np.float32(0.9) * old.moments[~gone]).mean() > 0.9


def test_some_grow_again_at_random():
    for granularity, share in (("element", 0.1), ("vector", 0.1)):
        plain = Pruning(granularity, ((0, 0.3),), refresh=STEPS, regrow=0)
        shares = []
        for few, more in zip(train(plain), train(replace(plain, regrow=share)), strict=True):
            assert (more.mask >= few.mask).all()
            groups = (~few.mask & more.mask).reshape(-1, LANES)
            if granularity == "vector":
                assert (groups.all(axis=1) == groups.any(axis=1)).all()
            shares.append(groups.sum() / (~few.mask).sum())
        assert abs(np.mean(shares) - share) < 0.02


def test_shrinking_takes_rate_times_lambda_of_the_norm():
    """Of groups under the limit, and of no other; the reciprocal root is good to 1 %."""
    rule = Pruning("group", ((0, 0.5),), refresh=2, regrow=0, shrink=2.0)
    rate = recipe_for("digits").rate(0)
    for old, plain, new in zip(train(rule, 2), train(replace(rule, shrink=0, density=((0, 1),)), 2),
                               train(rule, 3), strict=True):
        assert (old.masters == plain.masters).all(), "no limit before the first refresh"
        groups = -1, LANES * rule.rows(old.layer)
        sizes = scores(rule, old)
        assert old.limit == limit(sizes, round(0.5 * sizes.size * LANES), LANES)
        assert new.mask.all()
        step = old.masters - np.float32(rate) * new.moments  # before it shrinks
        lost = 1 - np.linalg.norm(new.masters.reshape(groups), axis=1) / np.linalg.norm(
            step.reshape(groups), axis=1)
        norms = np.linalg.norm(step.reshape(groups), axis=1)
        under = norms**2 < old.limit
        assert under.any() and not under.all()
        assert np.allclose(lost[under], rate * rule.shrink / norms[under], rtol=0.02)
        assert not lost[~under].any()


def test_groups_shrink_to_nothing_and_are_pruned():
    rule = Pruning("group", ((0, 0.5),), refresh=4, regrow=0, shrink=60.0)
    pruned = [1 - found.mask.mean() for found in train(rule, MOST_STEPS)]
    assert all(0.2 < share < 0.8 for share in pruned)


@pytest.mark.parametrize("wrong, message", [
    ({"granularity": "row"}, "granularity = 'row': must be one of element, vector, tile, group"),
    ({"density": ((0, 0.0),)}, "density = 0.0 from epoch 0: must be above 0, at most 1"),
    ({"density": ((0, 0.5), (1, 1.1))}, "density = 1.1 from epoch 1: must be above 0, at most 1"),
    ({"density": ((1, 0.5),)}, "density must begin at epoch 0"),
    ({"refresh": 0}, "refresh = 0: must be at least 1 step"),
    ({"regrow": 1.0}, "regrow = 1.0: must be from 0 to 1, and under 1"),
    ({"shrink": -1.0}, "shrink = -1.0: must be a number from 0 on"),
    ({"shrink": 1.0}, "shrink: granularity = 'element' has no groups to shrink"),
])
def test_what_cannot_be_is_refused(wrong, message):
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        Pruning(**wrong)
