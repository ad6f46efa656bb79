"""What one operation of a unit did, besides changing memory."""

from dataclasses import dataclass

from isa.memmap import Trap


class TrapError(Exception):
    """An operation that may not run or go on; the machine turns it into a trap."""

    def __init__(self, cause: Trap):
        super().__init__(cause.name)
        self.cause = cause


@dataclass
class Outcome:
    """Counts of one operation; see `isa.memmap.COUNTERS`. After a trap only `trap` has meaning."""

    trap: Trap = Trap.NONE
    macs: int = 0
    skipped_images: int = 0
    skipped_tiles: int = 0
    skipped_outputs: int = 0
    skipped_elements: int = 0
    stream_words: int = 0
    saturations: int = 0
    saturations_e5m2: int = 0
    nan: bool = False
    words_filled: int = 0
    words_stored: int = 0
    live: int | None = None  # elements of a list that are not zero, where there is a list
    histogram: list[int] | None = None  # where there is one
    more: bool = False  # it adds to the one before


def require(holds: bool, cause: Trap) -> None:
    if not holds:
        raise TrapError(cause)
