"""Checkpoints of training: all that a run needs to go on, in one file that is whole or not there.

The file: a line that names it, a line with the SHA-256 of all that follows, a line of JSON, and the
bytes of external memory that last from one round to the next (`winnow.session.LASTING`).
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from winnow import files
from winnow.errors import UserError
from winnow.session import LASTING, Session

NAME = "checkpoint"
FIRST_LINE = b"winnow checkpoint 2\n"


@dataclass(frozen=True)
class Checkpoint:
    """A run after some training steps.

    Parameters
    ----------
    settings : what decides the bits of the run, as JSON has it
    step : training steps done
    record : what was measured until then, as JSON has it
    memory : the lasting regions of external memory, one after the other
    """

    settings: dict
    step: int
    record: dict
    memory: bytes

    def write(self, path: Path) -> None:
        """Put this in the place of the checkpoint before, at once."""
        header = {"settings": self.settings, "step": self.step, "record": self.record}
        content = json.dumps(header).encode() + b"\n" + self.memory
        files.write(path, FIRST_LINE + _hash(content) + content)


def read(path: Path) -> Checkpoint:
    """The checkpoint in a file; `UserError` if it is not one, or not whole."""
    content = files.read_bytes(path)
    if not content.startswith(FIRST_LINE):
        raise UserError(f"{path}: is not a checkpoint of this version of Winnow")
    start = len(FIRST_LINE) + len(_hash(b""))
    if content[len(FIRST_LINE):start] != _hash(content[start:]):
        raise UserError(f"{path}: is torn or was changed: its content has another hash")
    header, _, memory = content[start:].partition(b"\n")
    return Checkpoint(**json.loads(header), memory=memory)


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode() + b"\n"


def lasting(session: Session, memory: np.ndarray) -> bytes:
    """The regions of external memory that a run needs to go on."""
    return b"".join(memory[session.program.external.slice(region)].tobytes()
                    for region in LASTING)


def restore(session: Session, memory: np.ndarray, saved: bytes) -> None:
    """The inverse of `lasting`."""
    first = 0
    for region in LASTING:
        place = session.program.external.slice(region)
        size = place.stop - place.start
        memory[place] = np.frombuffer(saved, np.uint8, size, first)
        first += size
