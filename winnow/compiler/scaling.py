"""What a training program keeps in scalar registers from step to step: the key of random bits, and
the dynamic scale of errors.

It lasts from one round to the next in external memory: a program ends by storing it, and the host
begins the next one with what it finds there.
"""

from dataclasses import astuple, dataclass

import numpy as np

from isa.config import LANES
from isa.expressions import float_bits
from isa.memmap import counter_offset
from isa.registers import REGISTERS
from winnow.compiler import moves
from winnow.compiler.drains import GROUP_WORDS
from winnow.compiler.operations import Buffer
from winnow.compiler.recipe import SCALES, Recipe
from winnow.compiler.scalars import (
    BEFORE,
    CHOICES,
    CLEAN,
    DUE,
    FACTOR,
    KEY,
    MEAN,
    NOW,
    SCALE,
    STEP,
)
from winnow.compiler.step import mean_scale
from winnow.compiler.text import ProgramText, signed
from winnow.compiler.vector import BINARY32, K0, ONE, ZERO, Stream, vector

KEY_STEP = 0x9E3779B9  # from the key of a step to that of the next, modulo 2**32
SATURATIONS = counter_offset("saturations_e5m2")  # of errors: nothing else is E5M2
WORDS = 4 * GROUP_WORDS  # of a state: each number 8 times


def _field(register: str) -> int:
    """The lowest bit of the field `scale` of a mode."""
    return next(f.low for f in REGISTERS[register].fields if f.name == "scale")


SCALE_UNIT = 1 << _field("vector.o0.mode")
MEAN_BIT, MEAN_RANGE = _field("tensor.mode"), 128
FACTOR_UNIT = float_bits(2.0) - float_bits(1.0)  # twice a binary32 number, in its bits


@dataclass(frozen=True)
class State:
    """What a round begins with: steps done, the scale of errors, steps until it is raised, and
    what streams: at first maps."""

    step: int
    scale: int
    clean: int
    streams: int = 0

    @classmethod
    def first(cls, recipe: Recipe) -> "State":
        return cls(0, recipe.error_scale, recipe.clean_steps)

    @classmethod
    def read(cls, words: np.ndarray) -> "State":
        """From the bytes that a program, or `bytes`, has written."""
        step, scale, clean, streams = (int(n) for n in words.view(np.uint32)[::LANES])
        return cls(step, scale // SCALE_UNIT, clean, streams)

    @property
    def bytes(self) -> np.ndarray:
        values = np.array(astuple(self), np.uint32) * np.array([1, SCALE_UNIT, 1, 1], np.uint32)
        return np.repeat(values, LANES).view(np.uint8)


def key_of(seed: int, step: int) -> int:
    """The key of a step's random bits; those of its tensors are made from it."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0]) + step * KEY_STEP & 0xFFFFFFFF


def begin(text: ProgramText, recipe: Recipe, seed: int, state: State) -> None:
    """The registers that a program of training steps begins with."""
    text.line(f"li r{KEY}, {signed(key_of(seed, state.step))}", f"seed {seed}, step {state.step}")
    text.line(f"li r{STEP}, {state.step}")
    exponent = mean_scale(state.scale, recipe.batch)
    text.line(f"li r{SCALE}, {state.scale * SCALE_UNIT}", f"errors times 2**{state.scale}")
    text.line(f"li r{MEAN}, {exponent % MEAN_RANGE << MEAN_BIT}", "in the tensor mode")
    text.line(f"li r{FACTOR}, {float_bits(2.0**exponent)}", "in binary32")
    text.line(f"li r{CLEAN}, {state.clean}", "steps until it is raised")
    text.line(f"li r{BEFORE}, 0", "errors that have saturated")
    text.line(f"li r{CHOICES}, {state.streams}", "what streams")
    if recipe.refresh:
        text.line(f"li r{DUE}, {recipe.refresh - state.step % recipe.refresh}",
                  "steps until masks are chosen")


def advance(text: ProgramText, recipe: Recipe) -> None:
    """After a step: the key of the next one, and its scale by whether errors have
    saturated. What has saturated was cut off; the step counts."""
    text.line(f"addi r{STEP}, r{STEP}, 1")
    text.line(f"addi r{KEY}, r{KEY}, {signed(KEY_STEP)}")
    if not recipe.dynamic:
        return
    text.line(f"csr r{NOW}, {SATURATIONS:#x}")
    text.line(f"skip eq, r{NOW}, r{BEFORE}, clean")
    text.line(f"addi r{BEFORE}, r{NOW}, 0")
    text.line(f"li r{CLEAN}, {recipe.clean_steps}")
    _move(text, -1, SCALES[0])
    text.line(f"skip eq, r{NOW}, r{NOW}, scaled")
    text.label("clean")
    text.line(f"addi r{CLEAN}, r{CLEAN}, -1")
    text.line(f"li r{NOW}, 0")
    text.line(f"skip ne, r{CLEAN}, r{NOW}, scaled")
    text.line(f"li r{CLEAN}, {recipe.clean_steps}")
    _move(text, 1, SCALES[-1])
    text.label("scaled")


def _move(text: ProgramText, by: int, limit: int) -> None:
    """The scale goes up or down by one, unless it is at its limit."""
    text.line(f"li r{NOW}, {limit * SCALE_UNIT}")
    text.line(f"skip eq, r{SCALE}, r{NOW}, +3")
    text.line(f"addi r{SCALE}, r{SCALE}, {by * SCALE_UNIT}")
    text.line(f"addi r{MEAN}, r{MEAN}, {-by << MEAN_BIT}")
    text.line(f"addi r{FACTOR}, r{FACTOR}, {-by * FACTOR_UNIT}")


def end(text: ProgramText, address: int) -> None:
    """Store the state at a byte of external memory; the scratchpad is lost."""
    state = Buffer("state", WORDS, 0)
    # Small integers are subnormal numbers, which the vector unit keeps exactly.
    text.operations([vector("state", (1,), (K0, ONE, ZERO), scalars={"k0": register},
                            o0=Stream(state, BINARY32, offset=i * GROUP_WORDS))
                     for i, register in enumerate((STEP, SCALE, CLEAN, CHOICES))])
    text.operations([moves.store(state, address)])
