"""A matrix product as one tensor operation: a 1x1 convolution, cut to the fewest cycles.

One operand streams, in words of 8 elements along k, [k / 8][position]; the other one is made of
tiles, [output blocks / cores][k / 8][core][8 outputs]. The result is [output block][position].
Positions, output blocks and k may be ragged: what is outside is not read and not written.
"""

from dataclasses import dataclass
from itertools import product

from isa.config import LANES, TREES, Config
from isa.formats import FormatCode
from isa.registers import ADDRESS_BITS, COORDINATE_BITS, COUNT_BITS, Unit
from sim import cycles
from sim.registers import defaults
from winnow.bench.shapes import Gemm
from winnow.compiler.operations import At, Buffer, Operation, loop, nest_registers
from winnow.compiler.text import resolve
from winnow.errors import UserError

MOST_COUNT = (1 << COUNT_BITS) - 1
MOST_SIDE = (1 << COORDINATE_BITS) - 1
ALIGNED = 64  # words that a buffer is a multiple of, so that moves have long runs
SKEW = 1  # words between two buffers, so that what is read from both at once is in different banks
START, TAIL = 10, 13  # cycles before the first word and after the last one
TRIED = 8  # cuts whose cycles are predicted in full
# Of long products, a shorter last drain is of no matter: long passes, which are predicted faster.
LONG_MACS, LONG_ROWS = 1 << 23, 24


@dataclass(frozen=True)
class Cut:
    """How a product is laid out in loops.

    Parameters
    ----------
    swap : the columns of b stream, else the rows of a
    rows : positions of a block
    cores : of a group; each has 8 outputs
    groups : of cores
    merge : groups share k, else the blocks of positions
    """

    shape: Gemm
    swap: bool
    rows: int
    cores: int
    groups: int = 1
    merge: bool = False

    @property
    def positions(self) -> int:
        return self.shape.n if self.swap else self.shape.m

    @property
    def outputs(self) -> int:
        return self.shape.m if self.swap else self.shape.n

    @property
    def output_blocks(self) -> int:
        return -(-self.outputs // TREES)

    @property
    def passes(self) -> int:
        """Of one group."""
        return -(-self.shape.depth // (self.groups if self.merge else 1))

    @property
    def rounds(self) -> tuple[int, int]:
        """Blocks along the positions, and along the outputs."""
        share = 1 if self.merge else self.groups
        return -(-self.positions // (self.rows * share)), -(-self.output_blocks // self.cores)

    @property
    def ragged(self) -> tuple[bool, bool, bool]:
        """Whether positions, output blocks and k need a window."""
        share = 1 if self.merge else self.groups
        return (self.positions % (self.rows * share) > 0, self.output_blocks % self.cores > 0,
                self.merge and self.shape.depth % self.groups > 0)

    @property
    def words(self) -> tuple[int, int, int]:
        """Words of the stream, the tiles and the result."""
        tiles = self.rounds[1] * self.cores * TREES
        return (self.shape.depth * self.positions, self.shape.depth * tiles,
                self.output_blocks * self.positions)

    @property
    def fits(self) -> bool:
        """Whether counts and windows fit their registers."""
        sides = (self.positions, self.output_blocks, self.shape.depth)
        return max(*self.rounds, self.passes) <= MOST_COUNT and all(
            side <= MOST_SIDE for side, ragged in zip(sides, self.ragged, strict=True) if ragged)

    def estimate(self) -> int:
        """About how many cycles it takes: the bounds of feeding and drain, no conflicts."""
        a_pass = max(self.rows, TREES)
        drained = self.rows * self.cores * self.groups
        along, across = self.rounds
        between = max(self.passes * a_pass, drained)
        return (START + (along * across - 1) * between + (self.passes - 1) * a_pass
                + max(drained, self.rows) + TAIL)


class Lowered:
    """The operation of a cut, and where its operands lie in the scratchpad.

    Attributes
    ----------
    stream, tiles, result : Buffer
    operation : Operation
    registers : of the tensor unit, all of them
    predicted : cycles of the operation
    """

    def __init__(self, config: Config, cut: Cut, scale: int):
        self.cut = cut
        buffers, address = [], 0
        for name, words in zip(("stream", "tiles", "result"), cut.words, strict=True):
            size = -(-words // ALIGNED) * ALIGNED
            buffers.append(Buffer(name, size, address))
            address += size + SKEW
        self.stream, self.tiles, self.result = buffers
        self.operation = self._operation(scale)
        self.registers = defaults(Unit.TENSOR)
        for name, values in resolve(self.operation).items():
            self.registers[name] = self.registers[name] | values
        self.predicted = cycles.tensor(config, self.registers)

    def _operation(self, scale: int) -> Operation:
        cut, depth = self.cut, self.cut.shape.depth
        along, across = cut.rounds
        column, row, deep = map(int, cut.ragged)
        tile = TREES * cut.cores  # words of a pass
        share = cut.rows * (1 if cut.merge else cut.groups)
        loops = [
            loop("q0", TREES, stationary=1),
            loop("p0", cut.rows, stream=(1, 0, column), output=(1, 0, column)),
            loop("r0", cut.passes, stream=(cut.positions, deep, 0), stationary=(tile, 0, deep)),
            loop("core", cut.cores, stationary=(TREES, row, 0), output=(cut.positions, row, 0)),
            loop("b0", along, stream=(share, 0, column * share), output=(share, 0, column * share)),
            loop("b1", across, stationary=(tile * depth, row * cut.cores, 0),
                 output=(cut.cores * cut.positions, row * cut.cores, 0)),
        ]
        if cut.merge:
            loops.append(loop("group", cut.groups,
                              stream=(cut.passes * cut.positions, deep * cut.passes, 0),
                              stationary=(cut.passes * tile, 0, deep * cut.passes)))
        elif cut.groups > 1:
            step = (cut.rows, 0, column * cut.rows)
            loops.append(loop("group", cut.groups, stream=step, output=step))
        registers = nest_registers(loops) | {
            "tensor.stream.base": {"address": At(self.stream)},
            "tensor.stationary.base": {"address": At(self.tiles)},
            "tensor.output.base": {"address": At(self.result)},
            "tensor.mode": {"output": FormatCode.E4M3, "scale": scale},
        }
        if cut.groups > 1:
            registers["tensor.groups"] = {"groups": cut.groups, "merge": int(cut.merge)}
        width, blocks, length = (side if ragged else 1 for side, ragged in zip(
            (cut.positions, cut.output_blocks, depth), cut.ragged, strict=True))
        for stream, height, breadth in (("stream", length, width), ("stationary", blocks, length),
                                        ("output", blocks, width)):
            if height * breadth > 1:
                registers[f"tensor.{stream}.window"] = {"height": height, "width": breadth}
        return Operation(f"gemm {cut.shape}", Unit.TENSOR, registers,
                         [self.stream, self.tiles], [self.result])


def cuts(config: Config, shape: Gemm):
    """Every cut worth a look."""
    for swap, cores, groups in product((False, True), range(1, config.cores + 1),
                                       range(1, config.cores + 1)):
        if cores * groups > config.cores or (groups > 1 and cores & (cores - 1)):
            continue
        for merge in (False, True) if groups > 1 else (False,):
            outputs, positions = (shape.m, shape.n) if swap else (shape.n, shape.m)
            if cores > -(-outputs // TREES) or (merge and groups > shape.depth):
                continue
            for rows in range(1, min(config.block, positions) + 1):
                cut = Cut(shape, swap, rows, cores, groups, merge)
                if cut.fits:
                    yield cut


def lower(config: Config, shape: Gemm, scale: int) -> Lowered:
    """The lowering of a product in the fewest predicted cycles; `UserError` if there is none."""
    passes = shape.depth
    if passes > config.max_passes:
        raise UserError(f"shape {shape}: k = {shape.k} is {passes} passes of {LANES}, an "
                        f"accumulator holds {config.max_passes}")
    ordered = sorted(cuts(config, shape), key=lambda cut: (cut.estimate(), cut.cores * cut.groups))
    if not ordered:
        raise UserError(f"shape {shape}: cannot be cut into loops of at most {MOST_COUNT} rounds")
    within = [cut for cut in ordered if _size(cut) <= min(config.words, 1 << ADDRESS_BITS)]
    if not within:
        raise UserError(f"shape {shape}: needs {8 * min(map(_size, ordered))} bytes of scratchpad, "
                        f"configuration {config.name} has {8 * config.words}")
    tried = within[:TRIED]
    if shape.macs > LONG_MACS:
        tried = [cut for cut in within if cut.rows >= LONG_ROWS][:1] or within[:1]
    return min((Lowered(config, cut, scale) for cut in tried),
               key=lambda lowered: lowered.predicted)


def _size(cut: Cut) -> int:
    return sum(-(-words // ALIGNED) * ALIGNED + SKEW for words in cut.words)
