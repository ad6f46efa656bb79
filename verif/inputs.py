"""Loaded by the simulator before a bench: the top's inputs start at zero.

The simulation starts with random values in what is not initialised, so that benches find what
depends on it; inputs that a bench does not drive are not meant.
"""

import os

import cocotb
from cocotb.handle import Immediate

VARIABLE = "WINNOW_INPUTS"

if cocotb.is_simulation:
    for _name in os.environ[VARIABLE].split():
        getattr(cocotb.top, _name).set(Immediate(0))
