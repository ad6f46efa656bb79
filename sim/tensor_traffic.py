"""Which banks a tensor operation wants, from a point of its way on: bit i of a mask is bank i."""

from math import prod

from isa.config import TREES, Config
from isa.formats import FormatCode
from isa.registers import BLOCKS, POSITIONS, REDUCTION, ROWS, AuxMode, StatsMode
from sim.registers import Registers
from sim.traffic import Stream

SIZES = {FormatCode.BINARY32: 4}


class TensorTraffic:
    """Streams and tiles, block by block, and the drain of a block beside the next one.

    Parameters
    ----------
    cycles : that the operation takes alone

    Attributes
    ----------
    pace : words of a stream in a cycle, where the drain does not hold it up
    drained : positions of a block at the drain, of all cores and groups
    hold : cycles of a position at the drain
    """

    def __init__(self, config: Config, registers: Registers, cycles: int):
        self.config, self.registers, self.cycles = config, registers, cycles
        positions, mode = registers["tensor.positions"], registers["tensor.mode"]
        groups, merge = (registers["tensor.groups"][name] for name in ("groups", "merge"))
        cores, drained = range(positions["cores"]), 1 if merge else groups
        self.counts = {name: positions[name] for name in (*POSITIONS, *ROWS)}
        self.counts |= registers["tensor.reduction"] | registers["tensor.blocks"]
        self.positions, self.passes, self.blocks = (
            prod(self.counts[loop] for loop in loops) for loops in (POSITIONS, REDUCTION, BLOCKS))
        self.pace = self.positions / max(self.positions, TREES)

        outer = (*BLOCKS[::-1], *REDUCTION[::-1])
        self.streams = [self._stream("stream", (*outer, *POSITIONS[::-1]), {"group": g})
                        for g in range(groups)]
        self.tiles = [self._stream("stationary", (*outer, *ROWS[::-1]), {"group": g, "core": c})
                      for g in range(groups) for c in cores]
        self.counts |= {"group": drained, "core": len(cores)}
        self.drained = drained * len(cores) * self.positions
        order = (*BLOCKS[::-1], "group", "core", *POSITIONS[::-1])
        raw, output = config.raw_words, FormatCode(mode["output"])
        size = raw if output is FormatCode.RAW else SIZES.get(output, 1)
        self.written = [self._stream("output", order, size=size)]
        # By name: what gives the strides, and its words.
        aux = {AuxMode.RAW: ("aux", raw), AuxMode.ELEMENT: ("output", 1)}.get(mode["aux"])
        beside = {"aux": aux,
                  "mask": ("aux", 1) if mode["mask"] else None,
                  "norm": ("aux", 1) if mode["stats"] == StatsMode.NORM else None}
        self.read = [self._stream(found[0], order, base=name, inside="output", size=found[1])
                     for name, found in beside.items() if found]
        self.hold = max(size, sum(stream.size for stream in self.read))
        self.late = [0] * groups  # cycles that a stream is behind one that it met

    def _stream(self, strides: str, order: tuple[str, ...], fixed: dict[str, int] | None = None, *,
                base: str = "", inside: str = "", size: int = 1) -> Stream:
        """The stream `base`, with loops `order`, outermost first, and others `fixed` at a place; it
        has the strides, and the window, of others that are named."""
        fixed, registers = fixed or {}, self.registers
        loops = {loop: self.counts[loop] for loop in order}

        def steps(stream: str, field: str) -> dict[str, int]:
            return {loop: registers.get(f"tensor.{stream}.{loop}", {}).get(field, 0)
                    for loop in (*order, *fixed)}

        inside, moved = inside or strides, {"stride": steps(strides, "stride")}
        moved |= {field: steps(inside, field) for field in ("dy", "dx")}
        begin = {field: sum(moved[field][loop] * place for loop, place in fixed.items())
                 for field in moved}
        window = registers[f"tensor.{inside}.window"]
        window = window | {"y": window["y"] + begin["dy"], "x": window["x"] + begin["dx"]}
        address = registers[f"tensor.{base or strides}.base"]["address"] + begin["stride"]
        return Stream(self.config, moved, loops, address, size, window)

    def mark(self, done: float, reads: list[int], writes: list[int]) -> None:
        """Enter what is wanted in the cycles from share `done` on."""
        block, number = self.cycles / self.blocks, int(done * self.blocks)
        self.late = [0] * len(self.streams)
        while (start := (number - done * self.blocks) * block) < len(reads):
            self._feed(number, start, reads)
            self._drain(number - 1, start, block / self.drained, reads, writes)
            number += 1

    def _feed(self, number: int, start: float, reads: list[int]) -> None:
        """The words of a block, and beside each pass the tile of the next one."""
        length, words = len(reads), self.passes * self.positions
        skipped = max(0, int(-start * self.pace))
        items = min(words - skipped, int(length * self.pace) + 1)
        for n, stream in enumerate(self.streams):
            for i, mask in enumerate(stream.masks(number * words + skipped, items)):
                cycle = int(start + (skipped + i) / self.pace) + self.late[n]
                moved = _enter(reads, cycle, mask)
                self.late[n] += moved - cycle
        for present in range(self.passes):
            begins = int(start + present * self.positions / self.pace)
            if -TREES < begins < length:
                following = number * self.passes + present + 1
                for tile in self.tiles:
                    cycle = begins
                    for mask in tile.masks(following * TREES, TREES):
                        cycle = _enter(reads, cycle, mask) + 1

    def _drain(self, number: int, start: float, most: float, reads: list[int],
               writes: list[int]) -> None:
        """The positions of a block, one after the other, beside the feed of the next block."""
        each, length = min(self.hold, most), len(reads)
        skipped = max(0, int(-start / each))
        items = min(self.drained - skipped, int((length - start) / each) - skipped + 1)
        if number < 0 or items <= 0:
            return
        for streams, used in ((self.read, reads), (self.written, writes)):
            offset = 0
            for stream in streams:
                masks = stream.masks(number * self.drained + skipped, items)
                for i, mask in enumerate(masks):
                    item, word = divmod(i, stream.size)
                    cycle = int(start + (skipped + item) * each) + offset + word
                    if 0 <= cycle < length:
                        used[cycle] |= mask
                offset += stream.size


def _enter(used: list[int], cycle: int, mask: int) -> int:
    """The cycle, from `cycle` on, in which a word gets its bank; cycles before the first one have
    room for all."""
    while 0 <= cycle < len(used) and used[cycle] & mask:
        cycle += 1
    if 0 <= cycle < len(used):
        used[cycle] |= mask
    return cycle
