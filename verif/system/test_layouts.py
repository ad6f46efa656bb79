"""Chips with wide slots lay maps and errors out for skipping: training gives the same bits as on a
chip with slots of one word, whatever is left out."""

import numpy as np
import pytest

from isa.config import LANES, WORD_BYTES, Config
from isa.registers import Skip, Unit
from sim.machine import SKIPPED
from verif import seeds
from verif.system.networks import random_session
from verif.system.test_networks import FIRST, KINDS
from winnow import network
from winnow.compiler.layouts import Layout
from winnow.compiler.memory import Stored
from winnow.compiler.placement import PlacementError
from winnow.compiler.pruning.rule import Pruning
from winnow.compiler.recipe import PHASES, Recipe
from winnow.compiler.step import TileError
from winnow.compiler.tiles import Part
from winnow.errors import UserError
from winnow.host import Driver, ModelDevice
from winnow.layout import channel_blocks, laid_out
from winnow.network import Conv, Linear, Network, Shape
from winnow.session import Session

SLOTS = 2, 4, 8
BYTES = {"weights": 1, "masters": 4, "moments": 4}  # of a weight, by region


def trained(session: Session) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """What is in external memory after training and evaluation, the weights of fully connected
    layers in the order of channel blocks, and all as words of 8 channels of an output; and the
    counters of the first program."""
    program = session.program
    device, counters = ModelDevice(program.config, program.external.size), []
    session.place(device.memory)
    for work in (*session.rounds, *session.test_rounds):
        session.load(device.memory, work)
        driver = Driver(device)
        driver.execute(program.address("program"))
        counters.append(driver.counters())
    found = {name: device.memory[program.external.slice(name)] for name in ("parameters", "log")}
    for name, size in BYTES.items():
        words = device.memory[program.external.slice(name)]
        for own in program.memory.parameters:
            if own.layer.learns:
                mine, words = np.split(words, [own.elements * size])
                if own.layer.is_linear and program.memory.layouts.maps.channels_last:
                    shape = own.layer.reads
                    mine = mine.reshape(own.layer.output.blocks, shape.pixels, shape.blocks, -1)
                    mine = mine.swapaxes(1, 2)
                if program.memory.layouts.turns(own.layer):
                    mine = mine.reshape(-1, LANES, LANES, size).swapaxes(1, 2)
                found[name, own.layer.name] = mine.ravel()
    return found, counters[0]


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert np.array_equal(found[name], values), name


def chip(case: int) -> Config:
    return Config(scratchpad_kib=(32, 1024)[case % 2], cores=(1, 2, 4)[case % 3],
                  block=(8, 16, 32)[case % 3], banks=32)


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("case", range(4))
def test_same_bits_as_with_one_word(case, slot):
    """Random networks, in parts where the scratchpad is small."""
    config = chip(case)
    for i in range(100):
        name = f"slots {case} {slot} {i}"
        narrow, wide = (random_session(each, seeds.generator(name)) for each in (
            config, config.with_(slot=slot, reach=1)))
        try:
            assert narrow.program.training.operations and wide.program.training.operations
            break
        except (PlacementError, TileError):
            continue
    assert_same(trained(wide)[0], trained(narrow)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_same_bits_of_every_kind(kind):
    net = Network(kind, Shape(5, 11, 10), (FIRST, *KINDS[kind], Linear("hidden", 30, relu=True),
                                         Linear("fc", 10)))
    narrow, wide = (random_session(chip(5).with_(slot=slot), seeds.generator(kind), steps=1,
                                   network=net) for slot in (1, 4))
    assert_same(trained(wide)[0], trained(narrow)[0])


@pytest.mark.parametrize(("net", "kinds"), [("lenet5", "outputs,tiles,elements"),
                                            ("resnet8", "all")])
def test_nothing_depends_on_what_is_left_out(net, kinds):
    """All results are the same, and each multiply-add is counted once."""
    config = Config(scratchpad_kib=1024, cores=4, banks=32, slot=4, reach=2)
    small = network.named(net).on(Shape(3, 16, 16) if net == "resnet8" else Shape(3, 20, 20))
    dense, skipping = (random_session(config, seeds.generator(net), steps=1, network=small,
                                      skip=skip) for skip in ("none", kinds))
    expected, all_done = trained(dense)
    found, done = trained(skipping)
    assert_same(found, expected)
    assert dense.program.training.cycles == skipping.program.training.cycles
    assert all_done["macs"] == done["macs"] + sum(done[name] for name in SKIPPED)
    assert not any(all_done[name] for name in SKIPPED)
    assert done["skipped_elements"] and done["skipped_outputs"]


@pytest.mark.parametrize("case", range(3))
def test_pruned_weights_leave_out_their_gradients(case):
    """The same bits as on a chip that masks gradients when it updates, in one job or many."""
    net = Network("pruned", Shape(3, 12, 9), (
        Conv("first", 16, norm=True), Conv("a", 30, norm=True),
        Conv("b", 24, stride=1 + case % 2, norm=True, pool=2), Linear("fc", 10)))
    rule = Pruning(density=((0, 0.2),), refresh=1, regrow=0.0)
    config = Config(scratchpad_kib=(1024, 64, 32)[case], cores=2, banks=32)
    narrow, wide = (random_session(each, seeds.generator(f"pruned {case}"), steps=4, network=net,
                                   prune=rule, stream="maps") for each in (
        config, config.with_(slot=4, reach=2)))
    found, counters = trained(wide)
    assert_same(found, trained(narrow)[0])
    turned = [o for o in wide.program.training.operations if o.label in ("a WU", "b WU")
              and o.unit is Unit.TENSOR]
    assert {o.registers["tensor.mode"]["skip"] for o in turned} == {Skip.TILES | Skip.OUTPUTS}
    assert (len({o.job for o in turned}) > 2) == (case > 0)
    assert counters["skipped_outputs"]


@pytest.mark.parametrize(("given", "left"), [
    ("all", (7, 7, 7)), ("none", (0, 0, 0)), ("tiles", (1, 1, 1)), ("outputs,elements", (6, 6, 6)),
    ("errors", (0, 4, 0)), ("tiles,gradients", (1, 1, 5)), ("outputs,errors", (4, 4, 4))])
def test_kinds(given, left):
    assert tuple(map(Recipe(skip=given).skips, PHASES)) == left


@pytest.mark.parametrize("given", ["", "zeros", "tiles,", "tiles elements"])
def test_unknown_kinds(given):
    with pytest.raises(UserError, match=r"skip = .*must be all, none, or some of tiles, "
                                        r"elements, outputs"):
        Recipe(skip=given)


@pytest.mark.parametrize("layout", [Layout(), Layout(4), Layout(channels_last=True)])
def test_strides(layout):
    """Of every pixel and block of every image, in a part and in what is stored."""
    generator, shape = seeds.generator("strides"), Shape(35, 3, 4)
    codes = generator.integers(0, 256, (8, 3, 4, shape.blocks * LANES), np.uint8)
    words = np.ascontiguousarray(laid_out(channel_blocks(codes), layout)).reshape(-1, WORD_BYTES)
    stored, strides = Stored("", shape, 0, layout), layout.strides(shape)
    for image, row, block, column in generator.integers(0, (8, 3, shape.blocks, 4), (100, 4)):
        group = image // layout.together * layout.together
        first = stored.word(Part.of(shape, range(group, 8), range(row, 3),
                                    range(block, shape.blocks)))
        place = first + layout.images(shape, image - group) + column * strides.column
        assert np.array_equal(words[place],
                              codes[image, row, column, LANES * block:LANES * (block + 1)])


def test_zero_weights_are_left_out_everywhere():
    """Layers without any live weight, so all maps are zero as well, which the last layer has for
    tiles: all of FP, and of BP and WU but for that of the first and last layer."""
    session = random_session(Config(scratchpad_kib=1024, slot=4), seeds.generator("no weights"),
                             steps=1, network=network.named("digits"))
    session.weights = [w if layer.is_last else np.zeros_like(w) for layer, w in zip(
        session.program.layers, session.weights, strict=True)]
    _, counters = trained(session)
    recipe = session.program.recipe
    first, *others, last = (layer.tiles * 64 * layer.output.pixels
                            for layer in session.program.layers)
    assert counters["skipped_tiles"] == recipe.batch * (first + 3 * sum(others) + last)


def test_few_channel_blocks_begin_a_slot_each():
    """A map of two blocks that one operation forms: the convolution that reads it leaves out its
    zeros, two words at a time; a fully connected layer reads what follows on without gaps."""
    net = Network("few", Shape(8, 6, 6), (Conv("a", 16, norm=True), Conv("b", 16, norm=True),
                                          Linear("fc", 10)))
    session = random_session(Config(scratchpad_kib=1024, slot=4), seeds.generator("few"), steps=1,
                             network=net)
    first, *_ = (o.registers for o in session.program.training.operations if o.label == "b FP")
    assert first["tensor.mode"]["skip"] == Skip.TILES | Skip.ELEMENTS
    assert first["tensor.reduction"]["r0"] == 2 and first["tensor.stream.p0"]["stride"] == 4
    narrow = random_session(Config(scratchpad_kib=1024), seeds.generator("few"), steps=1,
                            network=net)
    assert_same(trained(session)[0], trained(narrow)[0])
