"""Moves between external memory and the scratchpad."""

from isa.config import WORD_BYTES
from isa.registers import Unit
from winnow.compiler.operations import At, Buffer, Operation
from winnow.compiler.tiles import divisor

MOST = (1 << 16) - 1  # words of a run


def fill(buffer: Buffer, external: int, scalar: int | None = None, **shape) -> Operation:
    """Copy from external memory (byte address) into `buffer`; see `_move` for `shape`."""
    return _move("fill", buffer, external, scalar, 0, **shape)


def store(buffer: Buffer, external: int, scalar: int | None = None, **shape) -> Operation:
    """Copy `buffer` to external memory (byte address)."""
    return _move("store", buffer, external, scalar, 1, **shape)


def _move(verb: str, buffer: Buffer, external: int, scalar: int | None, is_store: int, *,
          words: int | None = None, runs: int = 1, stride: int = 0, first: int = 0) -> Operation:
    """`runs` runs of `words` words (by default the whole buffer), `stride` words apart in external
    memory, one after the other in the buffer from word `first` on. With `scalar` the address is
    relative to that scalar register."""
    words = words or buffer.words
    registers = {
        "move.external.base": {"address": external},
        "move.scratchpad.base": {"address": At(buffer, first)},
        "move.mode": {"store": is_store},
    }
    if runs == 1:
        run = divisor(words, MOST)
        runs, stride = words // run, run
    else:
        run = words
    registers["move.counts"] = {"words": run, "n1": runs}
    if runs > 1:
        registers["move.external.n1"] = {"stride": stride * WORD_BYTES}
        registers["move.scratchpad.n1"] = {"stride": run}
    end = external + ((runs - 1) * stride + run) * WORD_BYTES
    reads, writes = ([buffer], []) if is_store else ([], [buffer])
    return Operation(f"{verb} {buffer.name}", Unit.MOVE, registers, reads, writes,
                     scalars={} if scalar is None else {"move.external.base": scalar},
                     external=(external, end) if scalar is None else None)
