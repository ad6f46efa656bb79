"""Program text that finds the limit between what stays and what is pruned.

The histogram of a layer's sizes counts the largest ones first, until as many were counted as are to
stay; the limit lies within the last bin, in proportion, if there are
enough in it; else the whole bin stays.
"""

from isa.memmap import BINS, Control
from winnow.compiler.text import ProgramText

BIN = 1 << 21  # of the bits of a binary32 number: a quarter of a power of two
PARTS = 8  # that a bin is divided into, a power of two
ENOUGH = 128  # numbers in a bin for which a proportion holds; of fewer all stay


def limit(text: ProgramText, lowest: int, staying: int, result: int,
          scratch: tuple[int, int, int]) -> None:
    """Scalar register `result` takes the bits of a binary32 number.

    Parameters
    ----------
    lowest : number of the first bin
    staying : how many counted numbers are to be above the limit
    scratch : three other scalar registers, which are lost
    """
    counted, inside, passed = scratch
    found, end = text.unique("limit_bin"), text.unique("limit")
    text.line(f"li r{counted}, {-staying}", f"{staying} stay")
    text.line(f"li r{passed}, 0")
    for i in reversed(range(BINS)):
        text.line(f"csr r{inside}, {Control.HISTOGRAM + 4 * i:#x}")
        text.line(f"add r{counted}, r{counted}, r{inside}")
        text.line(f"li r{result}, {(lowest + i) * BIN}")
        text.line(f"skip ge, r{counted}, r{passed}, {found}")
    text.line(f"li r{result}, 0", "all stay")
    text.line(f"skip eq, r{passed}, r{passed}, {end}")
    text.label(found)
    text.line(f"li r{passed}, {ENOUGH}")
    text.line(f"skip lt, r{inside}, r{passed}, {end}")
    text.line(f"li r{passed}, 0")
    # PARTS times those of the bin that are pruned, against multiples of all that are in it
    for _ in range(PARTS.bit_length() - 1):
        text.line(f"add r{counted}, r{counted}, r{counted}")
    for _ in range(1, PARTS):
        text.line(f"add r{passed}, r{passed}, r{inside}")
        text.line(f"skip lt, r{counted}, r{passed}, {end}")
        text.line(f"addi r{result}, r{result}, {BIN // PARTS}")
    text.label(end)
