"""Shapes of matrix products, as the command line writes them."""

import re
from dataclasses import dataclass

from isa.config import LANES
from winnow.errors import UserError

_TEXT = re.compile(r"(-?\d+)x(-?\d+)x(-?\d+)")


@dataclass(frozen=True)
class Gemm:
    """c[m][n] = sum over k of a[m][k] * b[k][n]."""

    m: int
    n: int
    k: int

    def __post_init__(self):
        for name in ("m", "n", "k"):
            if getattr(self, name) < 1:
                raise UserError(f"shape {self}: {name} = {getattr(self, name)}, must be at least 1")

    def __str__(self):
        return f"{self.m}x{self.n}x{self.k}"

    @property
    def depth(self) -> int:
        """Words of 8 elements along k."""
        return -(-self.k // LANES)

    @property
    def macs(self) -> int:
        return self.m * self.n * self.k


def parse(text: str) -> list[Gemm]:
    """The shapes of ``MxNxK,MxNxK``; `UserError` names the one that is none."""
    shapes = []
    for part in text.split(","):
        found = _TEXT.fullmatch(part.strip())
        if not found:
            raise UserError(f"shape {part.strip()!r}: must be MxNxK, three integers of at least 1")
        shapes.append(Gemm(*map(int, found.groups())))
    return shapes
