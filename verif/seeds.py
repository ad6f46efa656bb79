"""The seed of a test run: WINNOW_SEED from the environment, else a fresh one, always printed."""

import os
import random
import zlib

import numpy as np

VARIABLE = "WINNOW_SEED"


def seed() -> int:
    """The seed of this process. A fresh one is put into the environment for child processes."""
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = str(random.SystemRandom().getrandbits(32))
        print(f"{VARIABLE}={os.environ[VARIABLE]}", flush=True)
    value = os.environ[VARIABLE]
    if not value.isdigit():
        raise ValueError(f"{VARIABLE} = {value!r}: must be a non-negative integer")
    return int(value)


def generator(name: str = "") -> np.random.Generator:
    """A numpy generator of its own for each `name`, from `seed`."""
    return np.random.default_rng([seed(), zlib.crc32(name.encode())])


def stdlib(name: str = "") -> random.Random:
    """As `generator`, of the standard library: faster for single draws."""
    return random.Random(f"{seed()}:{name}")
