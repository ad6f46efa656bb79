"""Where things lie in external memory: one after the other."""

from dataclasses import dataclass, field

from winnow.errors import UserError


class PlacementError(UserError):
    """A network that does not fit: names the operation, how much of what it needs."""


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
