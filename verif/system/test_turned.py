"""Weight gradients from turned maps in whole trainings: the numbers that plain maps give."""

import numpy as np
import pytest

from isa.config import Config
from isa.registers import Skip, Unit
from verif import seeds
from verif.system.networks import random_session
from verif.system.test_cuts import trained
from winnow.compiler.placement import PlacementError
from winnow.compiler.step import TileError
from winnow.session import Session

PLAIN = Config(scratchpad_kib=512, banks=32)


def turned(session: Session) -> list:
    """Layers with weights that lie transposed."""
    program = session.program
    return [p for p in program.memory.parameters if program.memory.layouts.turns(p.layer)]


def pair(name: str, config: Config, **recipe) -> tuple[Session, Session]:
    """The same random session on a chip with slots, where some layer's map is turned and which it
    fits, and on a plain one."""
    for i in range(200):
        there, here = (random_session(c, seeds.generator(f"{name} {i}"), steps=2, **recipe)
                       for c in (PLAIN, config))
        try:
            if turned(here) and here.program.training.operations:
                return here, there
        except (PlacementError, TileError):
            continue
    raise AssertionError("no network fits")


def masters(session: Session, region: np.ndarray, number: int) -> np.ndarray:
    """Masters of a layer as (tile, output, channel)."""
    memory = session.program.memory
    own = memory.parameters[number]
    first = own.master - session.program.address("masters")
    tiles = region[first:first + 4 * own.elements].view(np.float32).reshape(-1, 8, 8)
    return tiles.swapaxes(1, 2) if memory.layouts.turns(own.layer) else tiles


@pytest.mark.parametrize("case", range(6))
def test_same_training(case):
    """On all numbers of cores, skipping and not; in a large scratchpad, or one in which everything
    is cut."""
    config = Config(cores=(1, 2, 4)[case % 3], block=(8, 16, 32)[case // 2], banks=32, slot=4,
                    reach=2, scratchpad_kib=512 if case % 2 else 32)
    here, there = pair(f"turned {case}", config, skip=("all", "none")[case // 3])
    found, expected = trained(here), trained(there)
    for kept in "parameters", "log":
        assert np.array_equal(found[kept], expected[kept]), kept
    for number, layer in enumerate(here.program.layers):
        if layer.learns and not layer.is_linear:
            ours, wanted = (masters(session, regions["masters"], number) for session, regions in (
                (here, found), (there, expected)))
            assert np.array_equal(ours, wanted), layer.name


def test_zero_elements_are_skipped():
    """Where a recipe lets them, in the weight gradients of turned maps and no others."""
    skips = {}
    for skip in "all", "none":
        session, _ = pair("skipped", PLAIN.with_(slot=4, reach=2), skip=skip)
        names = {p.layer.name for p in turned(session)}
        skips[skip] = {bool(o.registers["tensor.mode"]["skip"] & Skip.ELEMENTS)
                       for o in session.program.training.operations if o.unit is Unit.TENSOR
                       and o.label.endswith(" WU") and o.label.split()[0] in names}
    assert skips == {"all": {True}, "none": {False}}
