"""Training with 16-bit master weights, stochastic rounding and a scale of errors that changes: the
model. On the chip it is `test_chip.py`."""

from dataclasses import replace

import numpy as np
import pytest

from isa.config import Config, named
from isa.registers import Unit
from verif import seeds
from verif.system import paired
from verif.system.networks import LOW_PRECISION, random_session
from winnow import datasets, network
from winnow.compiler.recipe import Recipe, recipe_for
from winnow.compiler.scaling import State, key_of
from winnow.compiler.training import TrainingProgram
from winnow.errors import UserError
from winnow.network import Conv, Linear, Network, Shape
from winnow.run import progress_bar, runner
from winnow.session import Session
from winnow.train import pieces

LEARNED = ("weights", "masters", "moments", "state")
CHIPS = {
    "small": named("small"),
    "bench": named("bench"),
    "tight": Config(cores=2, block=8, scratchpad_kib=64, banks=32),
}
ACCURACY_LOSS = 0.01  # that 16-bit masters may cost


def learned(session: Session, most: int = 100) -> tuple[dict[str, bytes], list[State]]:
    """What a session has learned on the model, and the state after each program of `most` steps."""
    states = []
    with runner(session, "model") as model, progress_bar(session.steps) as bar:
        memory = model.device.memory
        session.place(memory)
        for work in pieces(session.rounds, 0, most):
            model.run(work, bar)
            states.append(session.state(memory))
        regions = {name: memory[session.program.external.slice(name)].tobytes()
                   for name in LEARNED}
    return regions, states


def on(config: Config, name: str, **recipe) -> Session:
    return random_session(config, seeds.generator(name), steps=4, **LOW_PRECISION | recipe)


@pytest.mark.parametrize("case", range(3))
@pytest.mark.parametrize("slot", [1, 4])
def test_no_bit_depends_on_the_chip(slot, case):
    """Scratchpad, cores, groups and so tiles differ, what is learned does not; nor does it depend
    on how many steps a program has. Chips of one slot: it says how tensors lie, and so what number
    an element has."""
    sessions = {name: on(config.with_(slot=slot, reach=2 * (slot > 1)), f"chips {case}")
                for name, config in CHIPS.items()}
    shapes = {str([[o.registers.get(f"tensor.{r}") for r in ("positions", "blocks", "groups")]
                   for o in s.program.training.operations if o.unit is Unit.TENSOR])
              for s in sessions.values()}
    assert len(shapes) > 1
    first, *others = [learned(session, 1 + i)[0] for i, session in
                      enumerate(sessions.values())]
    assert all(other == first for other in others)
    assert any(first["state"])


@pytest.mark.parametrize(("change", "region"), [
    ({"rounding": "nearest"}, "weights"), ({"masters": "binary32"}, "moments"),
    ({"moments": "binary32"}, "masters"), ({"scaling": "static"}, "masters")])
def test_every_part_changes_what_is_learned(change, region):
    network = Network("parts", Shape(3, 7, 9), (Conv("conv", 13, norm=True), Linear("fc", 6)))
    run = learned(on(CHIPS["small"], "parts", network=network))[0]
    assert learned(on(CHIPS["small"], "parts", network=network, **change))[0][region] != run[region]


def test_random_bits_come_from_the_seed():
    """Another seed with the same weights and order of images is another run; the same is not."""
    def run(seed):
        session = on(CHIPS["small"], "seed", scaling="static", error_scale=8)
        session.seed = seed
        return learned(session)[0]["masters"]

    assert run(3) == run(3) != run(4)


def test_keys_of_steps_and_tensors_differ():
    assert len({key_of(seed, step) for seed in range(30) for step in range(100)}) == 3000
    program = on(CHIPS["small"], "chips 0").program
    keys = {o.registers[name]["key"]: o.label for o in program.training.operations
            for name in ("tensor.key", "vector.key") if name in o.registers}
    layers = [layer.name for layer in program.layers if layer.learns]
    assert len(keys) >= 2 * len(layers)  # errors of scores, and of maps but the first
    assert {f"update of {name}" for name in layers} <= set(keys.values())


def test_the_scale_falls_where_errors_saturate_and_rises_again():
    """At 2**17 the errors of the scores saturate in E5M2; two steps without, and it is raised."""
    session = random_session(CHIPS["small"], seeds.generator("scale"), steps=12, **LOW_PRECISION)
    states = learned(session, 1)[1]
    moves = np.diff([LOW_PRECISION["error_scale"], *(s.scale for s in states)])
    assert moves.min() == -1 and moves.max() == 1, states
    left = [LOW_PRECISION["clean_steps"], *(s.clean for s in states)]
    for before, after, move in zip(left, left[1:], moves, strict=False):
        wanted = LOW_PRECISION["clean_steps"] if move or before == 1 else before - 1
        assert after == wanted, states
    assert [s.step for s in states] == list(range(1, 13))


@pytest.mark.parametrize(("scale", "clean", "wanted"), [(32, 1, 31), (0, 1, 1), (32, 9, 31)])
def test_the_scale_has_limits(scale, clean, wanted):
    """A first step at either end; what is above the middle saturates."""
    session = on(CHIPS["small"], "limits", error_scale=scale, clean_steps=clean)
    assert learned(session, 1)[1][0].scale == wanted


def test_the_scale_stays_at_its_ends(monkeypatch):
    """With limits at the scale it has, no step moves it."""
    for scale in (8, 20):
        monkeypatch.setattr("winnow.compiler.scaling.SCALES", range(scale, scale + 1))
        session = on(CHIPS["small"], "limits", error_scale=scale, clean_steps=1)
        assert {s.scale for s in learned(session, 1)[1]} == {scale}


@pytest.mark.parametrize(("name", "value", "message"), [
    ("masters", "binary16", "masters = 'binary16': must be one of binary32, bfloat16"),
    ("moments", "", "moments = '': must be one of binary32, bfloat16"),
    ("rounding", "up", "rounding = 'up': must be one of nearest, stochastic"),
    ("scaling", "on", "scaling = 'on': must be one of static, dynamic"),
    ("clean_steps", 0, "clean_steps = 0: must be from 1 to 1048576"),
    ("error_scale", 33, "error_scale = 33: must be from 0 to 32"),
    ("error_scale", -1, "error_scale = -1: must be from 0 to 32"),
    ("momentum", 1.0, "momentum = 1.0: must be from 0 to 1, and under 1"),
    ("momentum", -0.1, "momentum = -0.1: must be from 0 to 1, and under 1"),
    ("momentum", float("nan"), "momentum = nan"),
    ("decay", -1e-4, "decay = -0.0001: must be a number from 0 on"),
    ("decay", float("inf"), "decay = inf: must be a number from 0 on"),
])
def test_recipes_that_are_refused(name, value, message):
    with pytest.raises(UserError, match=message):
        Recipe(**{name: value})


def test_state_is_read_as_it_was_written():
    for state in (State(0, 0, 1), State(123_456, 32, 1 << 20)):
        assert State.read(np.frombuffer(state.bytes, np.uint8)) == state


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_digits_with_16_bit_masters(seed):
    """All of it together learns the digits about as well as binary32 masters."""
    data = datasets.load("digits")
    accuracies = []
    for change in ({}, {k: v for k, v in LOW_PRECISION.items() if k != "error_scale"}):
        recipe = replace(recipe_for("digits"), **change)
        program = TrainingProgram(named("small"),
                                  datasets.network_for(network.named("digits"), data), recipe)
        accuracies.append(paired.fp8(Session(program, data, seed))[0])
    print(f"\ndigits, seed {seed}: binary32 {accuracies[0]:.2%}, 16 bits {accuracies[1]:.2%}")
    assert accuracies[1] >= accuracies[0] - ACCURACY_LOSS
