"""Where buffers lie: in the scratchpad by lifetime, in external memory one after the other."""

from dataclasses import dataclass, field

from isa.config import WORD_BYTES, Config
from winnow.compiler.operations import Buffer, Operation
from winnow.errors import UserError


class PlacementError(UserError):
    """A network that does not fit: names the operation, how much of what it needs."""


@dataclass
class _Life:
    buffer: Buffer
    first: int
    last: int

    def meets(self, other: "_Life") -> bool:
        return self.first <= other.last and other.first <= self.last


def place(config: Config, operations: list[Operation], resident: list[Buffer]) -> None:
    """Give every buffer of `operations` an address; those in `resident` are never shared.

    A buffer lives from the first operation that names it to the last. Large ones come first and
    start at a bank of their own where they can, since streams from different banks never wait for
    each other.
    """
    lives = {b: _Life(b, 0, len(operations)) for b in resident}
    for i, operation in enumerate(operations):
        for buffer in operation.buffers:
            life = lives.setdefault(buffer, _Life(buffer, i, i))
            life.last = max(life.last, i)
    placed: list[_Life] = []
    for life in sorted(lives.values(), key=lambda life: -life.buffer.words):
        taken = [(p.buffer.address, p.buffer.address + p.buffer.words)
                 for p in placed if p.meets(life)]
        life.buffer.address = _gap(config, life.buffer.words, taken)
        if life.buffer.address is None:
            raise _too_large(config, operations, life, taken)
        placed.append(life)


def _gap(config: Config, words: int, taken: list[tuple[int, int]]) -> int | None:
    """The lowest address that is free, at the start of a bank if possible."""
    bank = config.bank_words
    ends = sorted({0, *(end for _, end in taken)})
    aligned = sorted({-(-end // bank) * bank for end in ends})
    for start in (*aligned, *ends):
        stop = start + words
        if stop <= config.words and all(stop <= a or b <= start for a, b in taken):
            return start
    return None


def _too_large(config, operations, life, taken) -> PlacementError:
    operation = operations[min(life.first, len(operations) - 1)]
    used = sum(b - a for a, b in taken)
    return PlacementError(
        f"{operation.label}: {life.buffer.name} needs {life.buffer.words * WORD_BYTES} bytes of "
        f"scratchpad beside {used * WORD_BYTES} bytes in use; configuration {config.name} has "
        f"{config.words * WORD_BYTES}")


@dataclass
class External:
    """The map of external memory: regions one after the other."""

    size: int = 0
    regions: dict[str, tuple[int, int]] = field(default_factory=dict)

    def region(self, name: str, size: int) -> int:
        """Reserve `size` bytes and return their address."""
        address = self.size
        self.regions[name] = (address, size)
        self.size += -(-size // 4096) * 4096
        return address

    def slice(self, name: str) -> slice:
        """Where a region lies, for indexing memory."""
        address, size = self.regions[name]
        return slice(address, address + size)
