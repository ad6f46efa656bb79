"""Weights as the stream in FP and BP: training gives the same bits whichever operand streams, and
the device chooses by how many weights are zero."""

from itertools import chain

import pytest

from isa.config import Config
from isa.registers import Skip, Unit
from verif import seeds
from verif.system.networks import LOW_PRECISION, random_session
from verif.system.test_chip import on_both
from verif.system.test_layouts import assert_same, trained
from winnow.compiler import training
from winnow.compiler.choices import Choices, zeros
from winnow.compiler.operations import Operation
from winnow.compiler.pruning.rule import Pruning
from winnow.compiler.recipe import Recipe
from winnow.compiler.step import PLANS
from winnow.errors import UserError
from winnow.host import Driver, ModelDevice
from winnow.network import Conv, Linear, MaxPool, Network, Residual, Shape, Window
from winnow.session import Session
from winnow.train import pieces

CHIP = Config("wide", cores=2, scratchpad_kib=256, banks=32, slot=4, reach=2)
STEPS = 3
AT_RANDOM = {"rounding": "stochastic", "scaling": "dynamic", "error_scale": 17, "clean_steps": 2}
NETWORKS = {
    "plain": Network("plain", Shape(3, 12, 9), (
        Conv("first", 16, norm=True), Conv("a", 40, norm=True),
        Conv("b", 24, 5, 2, norm=True, pool=2), Linear("fc", 10))),
    "residual": Network("residual", Shape(3, 8, 8), (
        Conv("first", 16, norm=True),
        Residual("r", (Conv("a", 24, norm=True), Conv("b", 16, relu=False, norm=True))),
        Residual("s", (Conv("c", 32, 3, 2, norm=True), Conv("d", 32, relu=False, norm=True)),
                 Conv("e", 32, 1, 2, 0, relu=False, norm=True)), Linear("fc", 10))),
    "branches": Network("branches", Shape(3, 9, 7), (
        Conv("first", 16, norm=True), MaxPool("max", Window(2)),
        Residual("r", (Conv("a", 32, norm=True), Conv("b", 16, relu=False, norm=True))),
        Linear("fc", 10))),
}


@pytest.fixture(autouse=True)
def one_plan(monkeypatch):
    """One plan of tile sizes instead of the best of all, which takes long to find."""
    monkeypatch.setattr(training, "PLANS", PLANS[:1])


def session(config: Config, net: str, stream: str, density: float = 0.1, **options) -> Session:
    later = 0.9 if density < 0.4 else 0.3  # in no step here, so the device has to choose for WU
    rule = Pruning(density=((0, density), (1, later)), refresh=1, regrow=0.0)
    return random_session(config, seeds.generator(f"streams {net}"), steps=STEPS,
                          network=NETWORKS[net], prune=rule, stream=stream, **options)


def streams(made: Session) -> set[str]:
    """Operations of a training step that stream weights."""
    return {o.label for o in tensor_operations(made) if o.registers.get("tensor.mode", {}).get(
        "turn_output")}


def tensor_operations(made: Session) -> list[Operation]:
    """Those of a training step, of both ways."""
    return [each for o in made.program.training.operations if o.unit is Unit.TENSOR
            for each in (chain(*o.ways.rows) if o.ways else [o])]


@pytest.mark.parametrize(("net", "options"), [
    *((net, options) for net in NETWORKS for options in ({}, AT_RANDOM)),
    ("residual", {"skip_images": "random:0.5", "batch": 16})])
def test_same_bits_whatever_streams(net, options):
    """Also with an element that is added, strides, pools, rounding at random and skipped images."""
    found, skipped = {}, {}
    for stream in ("maps", "weights", "auto"):
        made = session(CHIP, net, stream, **options)
        assert bool(streams(made)) == (stream != "maps")
        found[stream], counters = trained(made)
        skipped[stream] = counters["skipped_elements"]
    for stream in ("weights", "auto"):
        assert_same(found[stream], found["maps"])
        assert skipped[stream] != skipped["maps"]


def test_same_bits_in_parts():
    """Where a layer's weights do not stay in the scratchpad, maps stream."""
    chip = CHIP.with_(scratchpad_kib=64)
    expected, _ = trained(session(chip, "plain", "maps"))
    for stream in ("weights", "auto"):
        assert_same(trained(session(chip, "plain", stream))[0], expected)


@pytest.mark.parametrize(("density", "most"), [(0.05, 6), (0.5, 1), (0.95, 0)])
def test_device_chooses(density, most):
    """Maps until masks are there; then weights where as many are zero as a choice asks for, dead
    outputs in WU. What is done is what its bit says."""
    made = session(CHIP, "plain", "auto", density)
    program = made.program
    device, memory = ModelDevice(CHIP, program.external.size), program.memory
    choices, least, streamed = Choices(memory, program.recipe).chosen, set(), set()
    updates = {program.tag(i, phase).number for i, phase in choices if phase == "WU"}

    def see(tag, operation):
        mode = getattr(operation, "mode", {})
        if mode.get("turn_output") or (tag in updates and mode.get("mask")):
            streamed.add(tag)

    made.place(device.memory)
    device.machine.observer = see
    for part in pieces(made.rounds, 0, 1):
        made.load(device.memory, part)
        expected, bits = set(least), made.state(device.memory).streams
        assert bits == sum(1 << choices[key].number for key in expected)
        streamed.clear()
        Driver(device).execute(program.address("program"))
        assert streamed == {program.tag(*key).number for key in expected}
        least = {(i, phase) for (i, phase), choice in choices.items() if zeros(
            device.memory, memory.parameters[i]) >= choice.least}
        before = made.state(device.memory)
        made.choose_streams(device.memory)
        assert made.state(device.memory) == before
    assert len(choices) == 6 and len(least) == most


def chosen(skip: str) -> dict[tuple[int, str], int]:
    """How many zero weights each choice asks for."""
    program = session(CHIP, "plain", "auto", skip=skip).program
    return {key: choice.least
            for key, choice in Choices(program.memory, program.recipe).chosen.items()}


def test_what_may_be_left_out_decides():
    """Zero weights are worth nothing without `elements`; without `outputs` errors that stream gain
    nothing, so weights do earlier in BP, and WU has no other way."""
    every, elements = chosen("all"), chosen("tiles,elements")
    for skip in ("none", "tiles", "outputs", "tiles,outputs"):
        assert chosen(skip) == {}
        assert not streams(session(CHIP, "plain", "auto", skip=skip))
    assert {key for key in every if key[1] == "WU"} == every.keys() - elements.keys() != set()
    for (i, phase), least in elements.items():
        gains = phase == "BP" and session(CHIP, "plain", "auto").program.layers[i].stride == 1
        assert (least < every[i, phase]) if gains else (least == every[i, phase]), (i, phase)


@pytest.mark.parametrize(("skip", "density", "few"), [
    ("all", 0.1, True), ("all", 0.9, False), ("outputs", 0.9, True), ("elements", 0.1, False),
    ("none", 0.1, False)])
def test_weight_gradients_of_what_may_be_left_out(skip, density, few):
    """Pruned weights where few are live, or where zeros of the map are worth nothing."""
    rule = Pruning(density=((0, density),))
    program = random_session(CHIP, seeds.generator("streams plain"), steps=STEPS,
                             network=NETWORKS["plain"], prune=rule, skip=skip).program
    assert Choices(program.memory, program.recipe).ways(1, "WU") == (few,)


def test_elements_are_what_they_leave_out():
    made = session(CHIP, "plain", "weights")
    modes = [o.registers["tensor.mode"] for o in tensor_operations(made)
             if o.label in ("a FP", "b BP")]
    assert modes and all(mode["skip"] == Skip.TILES | Skip.ELEMENTS for mode in modes)
    assert {mode["turn_output"] for mode in modes} == {1}


@pytest.mark.slow
@pytest.mark.parametrize("net", NETWORKS)
def test_chip(net):
    """Every byte and exact counter after each of two programs, with stalls: maps stream, then
    weights."""
    made = session(CHIP, net, "auto", **LOW_PRECISION)
    *_, (_, model) = on_both(made, 1, stalls=0.2)
    assert made.state(model.device.memory).streams


def test_unknown_stream():
    with pytest.raises(UserError, match="stream = 'errors': must be one of auto, maps, weights"):
        Recipe(stream="errors")
