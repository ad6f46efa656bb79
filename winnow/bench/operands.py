"""Operands of a matrix product as the words that its lowering reads, and back."""

import numpy as np

from isa.config import LANES, TREES
from winnow.bench.lowering import Cut

FINITE = 0x7F  # codes of E4M3 below this one are finite


def draw(generator: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Finite E4M3 codes: all alike, or mostly of one size, or many zeros."""
    codes = generator.integers(0, FINITE, (rows, columns), np.uint8)
    kind = generator.integers(3)
    if kind:
        codes = codes % 0x20 + np.uint8(0x20)  # from 1/8 to under 2
    if kind == 2:
        codes[generator.random(codes.shape) < 0.7] = 0
    return codes | generator.integers(0, 2, codes.shape, np.uint8) << 7


def _padded(codes: np.ndarray, rows: int, columns: int) -> np.ndarray:
    whole = np.zeros((rows, columns), np.uint8)
    whole[:codes.shape[0], :codes.shape[1]] = codes
    return whole


def images(cut: Cut, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bytes of the stream and of the tiles of a (m, k) and b (k, n)."""
    flowing, still = (b.T, a) if cut.swap else (a, b.T)  # (position, k), (output, k)
    depth = cut.shape.depth
    stream = _padded(flowing, cut.positions, depth * LANES)
    stream = stream.reshape(cut.positions, depth, LANES).swapaxes(0, 1)
    across = cut.rounds[1]
    tiles = _padded(still, across * cut.cores * TREES, depth * LANES)
    tiles = tiles.reshape(across, cut.cores, TREES, depth, LANES).transpose(0, 3, 1, 2, 4)
    return np.ascontiguousarray(stream).ravel(), np.ascontiguousarray(tiles).ravel()


def product(cut: Cut, image: np.ndarray) -> np.ndarray:
    """c (m, n) of the bytes of the result."""
    used = image[:cut.words[2] * LANES].reshape(cut.output_blocks, cut.positions, TREES)
    whole = used.transpose(1, 0, 2).reshape(cut.positions, -1)[:, :cut.outputs]
    return whole.T if cut.swap else whole
