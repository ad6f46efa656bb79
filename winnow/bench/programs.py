"""Short programs of a bench: straight lines of operations."""

import numpy as np

from isa.assembler import assemble, to_bytes
from winnow.compiler.operations import Operation
from winnow.compiler.text import ProgramText

ISSUE = 2  # cycles from a `run` that the unit takes to the first one that it is busy


def straight(operations: list[Operation], name: str) -> np.ndarray:
    """The operations and a halt, as bytes of external memory: uint8."""
    text = ProgramText()
    text.operations(operations)
    text.line("halt 0")
    return np.frombuffer(to_bytes(assemble(str(text), name)), np.uint8)
