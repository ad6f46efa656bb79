"""Gradient skipping: who is skipped, what the others teach, and that the chip does the same."""

from operator import attrgetter

import numpy as np
import pytest

from isa.config import Config, named
from isa.formats import E4M3
from sim import floats
from verif import seeds
from verif.system.networks import BATCH, LOW_PRECISION, random_session
from verif.system.test_chip import on_both
from verif.system.test_networks import KINDS, SCORES, angle, check, one_step, true_gradients
from verif.system.test_sparsity import CONFIG as SLOTS
from winnow import cli
from winnow.compiler import live, training
from winnow.compiler.pruning.rule import Pruning
from winnow.compiler.recipe import Recipe
from winnow.compiler.step import PLANS
from winnow.errors import UserError
from winnow.host import Driver, ModelDevice
from winnow.network import Conv, Linear, MaxPool, Network, Residual, Shape, Window
from winnow.network import named as network_named
from winnow.session import LASTING, Session

CONFIGS = {
    "four cores": Config(scratchpad_kib=1024, cores=4, banks=32),
    "slots": Config(scratchpad_kib=1024, cores=4, banks=32, slot=4, reach=2),
    "tiny": Config(scratchpad_kib=32, cores=2),  # bands, chunks and pieces everywhere
}
NAME = attrgetter("name")
DIGITS = network_named("digits")
MIXED = Network("mixed", Shape(3, 13, 11), (
    Conv("a", 8, norm=True, pool=Window(3, 2, 1)),
    Residual("outer", (
        Residual("inner", (Conv("b", 8, relu=False),)),
        Conv("c", 13, 3, 2, norm=True),
        Conv("d", 16, relu=False, norm=True)), Conv("e", 16, 1, 2, 0, relu=False)),
    MaxPool("ragged", Window(3)),
    Linear("hidden", 12, relu=True),
    Linear("fc", 10)))


@pytest.fixture(autouse=True)
def one_plan(monkeypatch):
    """One plan of tile sizes instead of the best of all, which takes long to find."""
    monkeypatch.setattr(training, "PLANS", PLANS[:1])


def session(network: Network, name: str, config: str = "four cores", steps: int = 1,
            batch: int = 32, **recipe) -> Session:
    return random_session(CONFIGS[config], seeds.generator(name), steps * batch // BATCH, network,
                          batch=batch, **recipe)


def run(made: Session) -> tuple[dict[str, bytes], dict[str, int], np.ndarray]:
    """What is learned in all rounds on the model, counters and live images of the last one."""
    device = ModelDevice(made.program.config, made.program.external.size)
    made.place(device.memory)
    driver = Driver(device)
    for each in made.rounds:
        made.load(device.memory, each)
        driver.execute(made.program.address("program"))
    lasting = {name: device.memory[made.program.external.slice(name)].tobytes()
               for name in LASTING if name not in ("state", "parameters")}
    return lasting, driver.counters(), made.live(device.memory, len(each.images))


def errors(made: Session, scores: np.ndarray) -> np.ndarray:
    """The largest error of a score of each image of the first step, in float64."""
    scores = scores.astype(np.float64)
    if made.program.recipe.loss == "softmax":
        power = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores = power / power.sum(axis=1, keepdims=True)
    labels = made.dataset.train_labels[made.orders[0][0]]
    return np.abs(scores - np.eye(scores.shape[1])[labels]).max(axis=1)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("loss", ["mse", "softmax"])
def test_nothing_changes_where_all_images_live(loss, config):
    """With a threshold of zero the list is that of all images: the same bits, nothing left out."""
    for network in (DIGITS, MIXED):
        dense, counted, _ = run(session(network, "all", config, 2, loss=loss))
        listed, more, kept = run(session(network, "all", config, 2, loss=loss,
                                           skip_images="threshold:0"))
        assert listed == dense, network.name
        assert more["skipped_images"] == 0 and kept.all()
        assert more["macs"] >= counted["macs"]


OTHERS = [Network(kind, Shape(3, 11, 9), (Conv("first", 8), *KINDS[kind], Linear("fc", 10)))
          for kind in ("added to two maps", "overlapping windows behind a norm",
                       "readers of unlike strides", "an average pool inside")]
WIDE = pytest.param(Network("wide windows", Shape(3, 11, 9),
                            (Conv("first", 8), *KINDS["wide windows"], Linear("fc", 10))),
                    marks=pytest.mark.slow)


@pytest.mark.parametrize("network", [DIGITS, MIXED, *OTHERS, WIDE], ids=NAME)
def test_live_images_teach_what_they_should(network):
    """A step with some images skipped, against float64: their errors are zero everywhere. Chips of
    all kinds learn the same bits."""
    steps = []
    for case, share in enumerate((0.2, 0.45, 0.8)):
        name = f"{network.name} {case}"
        plain = session(network, name)
        e = errors(plain, one_step(plain)[SCORES])
        order = np.sort(e)  # as the device has scores
        n = int(share * e.size)
        level = float((order[n - 1] + order[n]) / 2)
        made, *others = (session(network, name, config, skip_images=f"threshold:{level!r}")
                         for config in CONFIGS)
        ours, expected = one_step(made), true_gradients(made, e > level)
        for other in map(one_step, others):
            assert all(np.array_equal(value, other[key]) for key, value in ours.items())
        assert ours.keys() == expected.keys()
        every = [key for key in ours if key != SCORES]
        steps.append((angle(ours, expected, every), angle(ours, true_gradients(made), every),
                      ours, expected))
    assert np.mean([a for a, *_ in steps]) > np.mean([b for _, b, *_ in steps])
    for key in steps[0][2]:
        check(key, np.median([angle(ours, expected, [key]) for *_, ours, expected in steps]))


@pytest.mark.parametrize("config", ["four cores", "slots"])
@pytest.mark.parametrize("network", [DIGITS, MIXED], ids=NAME)
def test_no_bit_depends_on_tiles(network, config, monkeypatch):
    """Tiles of one image, which are full or left out, and tiles that are full in part."""
    learned = []
    for tiles in (32, 8, 3):
        monkeypatch.setattr(live, "TILES", tiles)
        learned.append(run(session(network, "tiles", config, 2,
                                   skip_images="random:0.4"))[0])
    assert learned[0] == learned[1] == learned[2]


@pytest.mark.parametrize("network", [DIGITS, MIXED], ids=NAME)
def test_counters_add_up_to_those_of_all_images(network):
    """Done and skipped multiply-adds are those of the same program with all images live."""
    def total(skip):
        counters = run(session(network, "counters", skip_images=skip))[1]
        return counters["macs"] + counters["skipped_images"], counters["skipped_images"]

    dense, none = total("threshold:0")
    half, some = total("random:0.5")
    empty, most = total("random:1")
    assert none == 0 < some < most and dense == half == empty


@pytest.mark.parametrize("skip", ["threshold:60000", "random:1"])
def test_a_batch_whose_images_are_all_skipped(skip, tmp_path, capsys):
    """Weights stay, nothing hangs, and it is said."""
    made = session(MIXED, "empty", steps=2, skip_images=skip)
    device = ModelDevice(made.program.config, made.program.external.size)
    made.place(device.memory)
    before = device.memory.copy()
    lasting, _, kept = run(made)
    for name in ("masters", "weights", "moments"):
        assert lasting[name] == before[made.program.external.slice(name)].tobytes(), name
    assert kept.shape == (2, 32) and not kept.any()
    assert cli.main(["train", "--epochs", "1", "--train-images", "32", "--test-images", "16",
                     "--skip-images", skip, "--out", str(tmp_path / "run")]) == 0
    assert f"in 2 of 2 steps every image was skipped (skip_images = {skip})" in \
        capsys.readouterr().err


def test_chance_skips_its_share():
    """Images are drawn by the seed and the step, each by itself."""
    def drawn(share, seed):
        made = session(DIGITS, "chance", steps=16, skip_images=f"random:{share}")
        made.seed = seed
        return run(made)[2]

    for share in (0.25, 0.5, 0.75):
        kept = drawn(share, 1)
        assert abs(kept.mean() - (1 - share)) < 0.08, share
        assert len({tuple(row) for row in kept.tolist()}) == 16
    assert (drawn(0.5, 1) != drawn(0.5, 2)).any() and (drawn(0.5, 1) == drawn(0.5, 1)).all()


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_quantile_follows_the_errors(share):
    """In the first step all images live; the threshold of the next one is the lower end of the bin
    over which enough of its images lay."""
    made = session(DIGITS, f"quantile {share}", steps=2, skip_images=f"quantile:{share}", batch=64,
                   loss="mse")
    device = ModelDevice(made.program.config, made.program.external.size)
    made.place(device.memory)
    (both,) = made.rounds
    made.load(device.memory, both)
    Driver(device).execute(made.program.address("program"))
    targets = np.eye(10, dtype=np.float32)[made.dataset.train_labels[both.images]]
    first, second = ((made.scores(device.memory, 2) - targets) ** 2).max(axis=2)  # in binary32
    kept = made.live(device.memory, 2)
    assert kept[0].all()
    staying = first.size - int(share * first.size)
    lowest = np.sort(first.view(np.uint32) >> 21)[-staying] << 21
    assert (kept[1] == (second >= np.uint32(lowest).view(np.float32))).all()
    assert 0 < kept[1].sum() < first.size


def test_a_quantile_is_of_errors_where_masks_are_chosen_too():
    """The same histogram of the vector unit serves both; where all weights stay nothing changes."""
    options = {"steps": 3, "skip_images": "quantile:0.5", "batch": 64, "loss": "mse"}
    all_stay = Pruning("element", ((0, 1.0),), refresh=1, regrow=0)
    plain, both = (run(session(DIGITS, "both", prune=prune, **options))
                   for prune in (None, all_stay))
    assert (plain[2] == both[2]).all() and 0 < plain[2][-1].mean() < 1
    # a mask leaves +0 where a weight has become -0
    assert np.array_equal(*(floats.decode(E4M3, np.frombuffer(each[0]["weights"], np.uint8))
                            for each in (plain, both)))


@pytest.mark.parametrize("config, skip, options", [
    (named("small"), "threshold:0.9", {}), (named("small"), "random:0.6", LOW_PRECISION),
    (named("small"), "quantile:0.5", LOW_PRECISION), (named("small"), "random:1", {}),
    (SLOTS, "random:0.5", {"prune": Pruning("tile", ((0, 0.4),), refresh=1)})])
def test_the_chip_skips_the_same_images(config, skip, options):
    """Memory and exact counters after several steps, with stalls."""
    for network, batch in ((DIGITS, 32), (MIXED, 16)):
        made = random_session(config, seeds.generator(f"chip skips {skip}"), 3 * batch // BATCH,
                              network, batch=batch, skip_images=skip, **options)
        assert list(on_both(made, 2, stalls=0.2))


@pytest.mark.parametrize("value, message", [
    ("some", "skip_images = 'some': must be none, or one of threshold, quantile, random with"),
    ("median:0.5", "must be none, or one of"), ("quantile", "must be none, or one of"),
    ("quantile:half", "must be none, or one of"),
    ("quantile:1.5", "skip_images = 'quantile:1.5': a share must be from 0 to 1"),
    ("random:-0.1", "a share must be from 0 to 1"), ("random:nan", "a share must be from 0 to 1"),
    ("threshold:-1", "a threshold must be 0, or from"),
    ("threshold:nan", "a threshold must be 0, or from"),
    ("threshold:1e-9", "a threshold must be 0, or from"),
])
def test_recipes_that_are_refused(value, message):
    with pytest.raises(UserError, match=message):
        Recipe(skip_images=value)


def test_a_batch_that_guards_cannot_count():
    with pytest.raises(UserError, match="batch = 1024: must be at most 512 where images are"):
        Recipe(skip_images="random:0.5", batch=1024)
