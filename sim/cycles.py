"""How many cycles an operation takes, from the configuration and its registers alone.

The scratchpad is the operation's own, and external memory answers without stalls. Operations that
trap are not looked at.
"""

from dataclasses import dataclass
from math import prod

import numpy as np

from isa.config import LANES, WORD_BYTES, Config
from isa.formats import FORMATS, FormatCode
from isa.registers import (
    BLOCKS,
    POSITIONS,
    REDUCED,
    REDUCTION,
    ROWS,
    VECTOR_OUTPUTS,
    AuxMode,
    Reduce,
    StatsMode,
    Unit,
)
from sim.draining import Beside, Draining
from sim.feeding import Feeding
from sim.loops import nest
from sim.registers import Registers, datapath_counts, used_inputs

SPARE = 2  # times as many words to feed as to read beside: the drain waits for its sums
ACCUMULATORS = 2  # blocks that a core holds: one is fed while the other is drained

STAGES = 21  # cycles of a vector operation on one group, beside its inputs and outputs
FLOAT_WORDS = 4  # of a group in binary32
LANES_COUNTED = 4  # cycles of a group in a histogram
ACROSS_CYCLES = 4  # to add the sums of the lanes
CODE_CYCLES, FLOAT_CYCLES, SUM_CYCLES = 3, 3, 9  # from the lanes to memory, but for taking turns

BEATS = 16  # of a burst at most
BURSTS = 4  # under way at most
ASKED, ANSWERED = 2, 4  # cycles before the first request, and beside the latency of each
MOVE_END = 2  # cycles after the last word
LIVE_FIRST, LIVE_WORD = 4, 2  # cycles before the first element of a list, between its words
LIVE_ASKED = 1  # from an element to the request of its round, beside the one between requests


@dataclass(frozen=True)
class Memory:
    """External memory: cycles from a burst to its first answer, as `Simulation` has them."""

    latency: int = 8


def of(config: Config, unit: Unit, registers: Registers, memory: Memory | None = None) -> int:
    """Cycles of an operation, from its start to its end, both included; of a move over live
    elements where all are."""
    match unit:
        case Unit.TENSOR:
            return tensor(config, registers)
        case Unit.VECTOR:
            return vector(config, registers)
        case Unit.MOVE:
            return move(config, registers, memory or Memory())


def left_out(unit: Unit, registers: Registers, counted: bool) -> int:
    """Cycles of an operation that is left out: counting takes one for each count and for each of
    its bits."""
    if not (counted and unit is Unit.TENSOR):
        return 1
    counts = [registers["tensor.positions"][loop] for loop in (*POSITIONS, "cores")]
    counts += [*registers["tensor.reduction"].values(), *registers["tensor.blocks"].values(),
               registers["tensor.groups"]["groups"]]
    return 2 + len(counts) + sum(count.bit_length() for count in counts)


def tensor(config: Config, registers: Registers) -> int:
    """Blocks are fed while the ones before them are drained; two at a time have accumulators.
    Groups are fed side by side and drained one after the other, or together if they are merged."""
    positions = registers["tensor.positions"]
    counts = {loop: positions[loop] for loop in (*POSITIONS, *ROWS)}
    counts |= registers["tensor.reduction"] | registers["tensor.blocks"]
    counts["core"] = positions["cores"]
    groups, merge = (registers["tensor.groups"][name] for name in ("groups", "merge"))
    feeds = [Feeding(config, registers, counts, group) for group in range(groups)]
    merged = groups if merge else 1
    drain = Draining(config, registers, prod(counts[p] for p in POSITIONS), counts["core"], merged,
                     _beside(config, registers, counts, feeds, groups // merged))
    statistics = _statistics(registers, counts)
    # From a word to its sum; operands of several tiles are registered behind their multiplexers.
    after = config.tree_stages + 1 + (config.slot > 1)
    free = [[0] * ACCUMULATORS for _ in feeds]

    def fed(block: int) -> list[int]:
        """The cycle in which the sums of a block are complete, by group."""
        return [feed.block(room[block % ACCUMULATORS]) + after
                for feed, room in zip(feeds, free, strict=True)]

    following = fed(0)
    for block, addresses in enumerate(statistics):
        complete = following
        if block + 1 < len(statistics):  # it is fed while this one is drained
            following = fed(block + 1)
        if merge:
            done = [drain.block(max(complete) + groups - 1, addresses)] * groups
        else:
            done = [drain.block(cycle, addresses) for cycle in complete]
        for room, cycle in zip(free, done, strict=True):
            room[block % ACCUMULATORS] = cycle
    return drain.finish() + 1


def _beside(config: Config, registers: Registers, counts: dict[str, int], feeds: list[Feeding],
            groups: int) -> Beside | None:
    """What the drain reads beside the sums, unless the drain has time to spare: then it may wait
    for its banks."""
    mode = registers["tensor.mode"]
    wanted = {"aux": mode["aux"] == AuxMode.ELEMENT, "mask": mode["mask"],
              "norm": mode["stats"] == StatsMode.NORM}
    used = [name for name in wanted if wanted[name]]
    feed = prod(counts[loop] for loop in REDUCTION)
    if not used or mode["aux"] == AuxMode.RAW or feed > SPARE * counts["core"] * groups * len(used):
        return None
    order = (*BLOCKS[::-1], "group", "core", *POSITIONS[::-1])
    counts = counts | {"group": groups}
    banks = []
    for name in used:
        strides = "tensor.output" if name == "aux" else "tensor.aux"
        address = nest(registers, strides, counts, order, window=False).address
        shift = (registers[f"tensor.{name}.base"]["address"]
                 - registers[f"{strides}.base"]["address"])
        banks.append((address + shift) % config.banks)
    return Beside(np.stack(banks, axis=-1).ravel().tolist(), len(used),
                  lambda cycle: {bank for feed in feeds for bank in feed.banks(cycle)})


def _statistics(registers: Registers, counts: dict[str, int]) -> list[list[int]]:
    """Addresses of the statistics, by block and core."""
    items = nest(registers, "tensor.stats", counts, (*BLOCKS[::-1], "core"), window=False)
    return items.address.reshape(-1, counts["core"]).tolist()


def vector(config: Config, registers: Registers) -> int:
    """A group takes as many cycles as its widest input, or its outputs; inputs and outputs that
    begin in the same bank would take more. The datapath with the most rounds ends last."""
    op = registers["vector.op"]
    counts = datapath_counts(registers, config.vector_datapaths)
    enabled = [registers[f"vector.{o}.mode"] for o in VECTOR_OUTPUTS]
    if op["reduce"] == Reduce.SUM:
        enabled = enabled[:-1]
    formats = [mode["format"] for mode in enabled if mode["enable"]]
    turned = LANES * any(mode["enable"] and mode["turn"] for mode in enabled)
    wide = FormatCode.BINARY32 in formats
    codes = sum(FORMATS[code].group_words for code in formats if code != FormatCode.BINARY32)
    inputs = [registers["vector.inputs"][i] for i in used_inputs(registers)]
    across = ACROSS_CYCLES * registers["vector.tally"]["across"]
    read = max((FORMATS[code].group_words for code in inputs), default=0)
    counted = LANES_COUNTED if registers["vector.tally"]["histogram"] else 0
    written = max(FLOAT_WORDS * wide, codes, counted)
    after = max(FLOAT_CYCLES * wide, CODE_CYCLES + codes + turned if codes else 0,
                SUM_CYCLES + across if op["reduce"] == Reduce.SUM else 0, counted)

    inner = prod(counts[loop] for loop in REDUCED)
    rounds = counts["n5"] if op["channel"] else 1
    nests = prod(counts.values()) // inner // rounds  # of a round
    if op["reduce"] == Reduce.MAX:
        last = inner * max(read, 1)
        nest = max(last, written)
    else:
        last = inner * max(read, written, 1)
        nest = max(last, FLOAT_WORDS + across if op["reduce"] else 0)
    # Coefficients are read before a round; a gap in lanes that wait for outputs is as much shorter.
    gap = FLOAT_WORDS * op["channel"].bit_count() + 1 if op["channel"] else 0
    a_round = max(nests * inner * max(read, 1) + gap,
                  nests * nest + -(-gap // max(nest // inner, 1)))
    return (STAGES + read + gap + (rounds - 1) * a_round + (nests - 1) * nest
            + (last - last // inner) + after)


def move(config: Config, registers: Registers, memory: Memory, live: list[int] | None = None
         ) -> int:
    """Bursts follow each other without a gap unless they are too short to cover the latency.

    `live` are the numbers of the elements that are live, by default all.
    """
    asked, end, number = ASKED - 1, 0, 0
    shown = asked  # the last burst, which waits for a place; the next round is looked for
    ends = [0] * BURSTS
    counts, store = registers["move.counts"], registers["move.mode"]["store"]
    walk = _LiveWalk(registers["move.live"], live)
    for n2 in range(counts["n2"]):
        element, found = walk.round(n2, shown)
        if element is None and store:
            end = max(end, found)
            break
        zero = element is None
        place = registers["move.live"]["count"] if zero else element
        asked = max(asked, found + LIVE_ASKED)
        for words in bursts(config, registers, place):
            shown, asked = asked + 1, max(asked + 1, ends[number % BURSTS] + 1)
            end = max(asked + (1 if zero else ANSWERED + memory.latency), end + 1) + words - 1
            ends[number % BURSTS] = end
            number += 1
    # the list is read by the port that a store reads from, and wins it
    return max(end + store * walk.words_left, walk.end(asked)) + MOVE_END


def bursts(config: Config, registers: Registers, n2: int):
    """Beats of each burst of the runs of a round of n2: they end at a multiple of the largest
    burst."""
    counts = registers["move.counts"]
    beat = WORD_BYTES * config.axi_words
    for n1 in range(counts["n1"]):
        first = (registers["move.external.base"]["address"]
                 + n1 * registers["move.external.n1"]["stride"]
                 + n2 * registers["move.external.n2"]["stride"]) // beat
        last = first + -(-counts["words"] // config.axi_words)
        while first < last:
            stop = min(last, (first // BEATS + 1) * BEATS)
            yield stop - first
            first = stop


class _LiveWalk:
    """The walk through the elements of a move: an element a cycle, and what a word takes."""

    def __init__(self, live: dict[str, int], numbers: list[int] | None):
        self.enabled, self.count = live["enable"], live["count"]
        self.numbers = list(range(self.count)) if numbers is None else numbers
        self.left = self.numbers[live["first"]:]
        self.at, self.cycle = 0, LIVE_FIRST  # the element that is looked at, and when
        self.words_left = 0  # of the list, that are read after the first round was found
        if self.enabled and self.left:
            self.words_left = (self.count - 1) // WORD_BYTES - self.left[0] // WORD_BYTES

    def round(self, n2: int, wanted: int) -> tuple[int | None, int]:
        """The element of the next round, which is wanted from that cycle on, and when it comes; a
        move that is not over live elements has round `n2`, before it begins."""
        if not self.enabled:
            return n2, -LIVE_ASKED
        element = self.left.pop(0) if self.left else None
        self._go(self.count if element is None else element)
        self.cycle = max(self.cycle, wanted)
        found = self.cycle
        if element is not None:
            self._go(element + 1)
        return element, found

    def _go(self, element: int) -> None:
        words = element // WORD_BYTES - self.at // WORD_BYTES
        self.cycle += element - self.at + LIVE_WORD * words
        if element == self.count:  # it ends with the last element, and reads no other word
            self.cycle -= LIVE_WORD * (element % WORD_BYTES == 0 and words > 0)
        self.at = element

    def end(self, enough: int) -> int:
        """When the last element is counted, where no more rounds are wanted from that cycle on."""
        if not self.enabled:
            return 0
        if self.at >= self.count:
            return self.cycle
        words = -(-self.count // WORD_BYTES) - self.at // WORD_BYTES
        return max(self.cycle, enough) + (LIVE_WORD + 1) * words
