"""Moves between external memory and the scratchpad."""

from dataclasses import dataclass

from isa.config import WORD_BYTES
from isa.registers import Unit
from winnow.compiler.operations import At, Buffer, Operation
from winnow.compiler.tiles import divisor

MOST = (1 << 16) - 1  # words of a run


@dataclass(frozen=True)
class Runs:
    """A loop over runs: how many, and words from one to the next outside and in the buffer."""

    count: int
    external: int
    buffer: int


def fill(buffer: Buffer, external: int, scalar: int | None = None, **shape) -> Operation:
    """Copy from external memory (byte address) into `buffer`; see `_move` for `shape`."""
    return _move("fill", buffer, external, scalar, 0, **shape)


def store(buffer: Buffer, external: int, scalar: int | None = None, **shape) -> Operation:
    """Copy `buffer` to external memory (byte address)."""
    return _move("store", buffer, external, scalar, 1, **shape)


def gather(buffer: Buffer, external: int, live: Buffer, count: int, places: range, *, words: int,
           loop: Runs, inner: Runs = Runs(1, 0, 0), scalar: int | None = None, first: int = 0
           ) -> Operation:
    """Fill `buffer`, from word `first` on, with the images at some places of a list of `count`
    elements: of each, runs of `words` words in loop `inner`; `loop` is that over images. `external`
    is where image 0 lies."""
    words, loops = joined(words, (inner,))
    operation = _move("gather", buffer, external, scalar, 0, words=words, first=first, loops=())
    registers = operation.registers
    if len(loops) > 1:
        raise ValueError(f"a move over live images of {len(loops)} loops over runs")
    for name, runs in zip(("n1", "n2"), (*(loops or [Runs(1, 0, 0)]), loop), strict=True):
        registers["move.counts"][name] = runs.count
        registers[f"move.external.{name}"] = {"stride": runs.external * WORD_BYTES}
        registers[f"move.scratchpad.{name}"] = {"stride": runs.buffer}
    registers["move.live"] = {"enable": 1, "count": count, "first": places.start}
    registers["move.live.base"] = {"address": At(live)}
    operation.reads.append(live)
    if scalar is None:
        operation.external = external, external + WORD_BYTES * (
            words + sum((r.count - 1) * r.external for r in loops) + (count - 1) * loop.external)
    return operation


def _move(verb: str, buffer: Buffer, external: int, scalar: int | None, is_store: int, *,
          words: int | None = None, loops: tuple[Runs, ...] = (), first: int = 0) -> Operation:
    """Runs of `words` words (by default one, the whole buffer), in loops, the innermost first; in
    the buffer from word `first` on. With `scalar` the address is relative to that scalar register.
    """
    words, loops = joined(words or buffer.words, loops)
    registers = {
        "move.external.base": {"address": external},
        "move.scratchpad.base": {"address": At(buffer, first)},
        "move.mode": {"store": is_store},
        "move.counts": {"words": words},
    }
    for name, runs in zip(("n1", "n2"), loops, strict=False):
        registers["move.counts"][name] = runs.count
        registers[f"move.external.{name}"] = {"stride": runs.external * WORD_BYTES}
        registers[f"move.scratchpad.{name}"] = {"stride": runs.buffer}
    end = external + WORD_BYTES * (words + sum((r.count - 1) * r.external for r in loops))
    reads, writes = ([buffer], []) if is_store else ([], [buffer])
    return Operation(f"{verb} {buffer.name}", Unit.MOVE, registers, reads, writes,
                     scalars={} if scalar is None else {"move.external.base": scalar},
                     external=(external, end) if scalar is None else None)


def joined(words: int, loops: tuple[Runs, ...]) -> tuple[int, list[Runs]]:
    """The same words in as few loops as there can be, runs no longer than a move takes."""
    kept: list[Runs] = []
    for runs in loops:
        if not kept and runs.external == runs.buffer == words:
            words *= runs.count
        elif runs.count > 1:
            kept.append(runs)
    run = divisor(words, MOST)
    if run < words:
        kept.insert(0, Runs(words // run, run, run))
    if len(kept) > 2:
        raise ValueError(f"a move of {len(kept)} loops over runs")
    return run, kept
