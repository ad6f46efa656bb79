"""When the sums of a tensor operation leave: the lanes of the drain, step by step.

A position takes a step a cycle through the lanes, and the last stage holds it for as many cycles as
it has words to write or to meet; all stages move together, empty ones too, so a gap on the way
costs its cycle.
"""

from collections.abc import Callable, Container

from isa.config import TREES, Config
from isa.formats import FormatCode
from isa.registers import AuxMode, StatsMode
from sim.registers import Registers

FLOAT_WORDS = 4
# Steps to the stage of the bias, to binary32, and to FP8.
BIAS_STAGE, VALUE_STAGE, CODE_STAGE = 3, 7, 9
BIAS_CYCLES = 5  # from a bias that was used to the next one
TURN_CYCLES = 8
FLUSH_CYCLES = 4  # of statistics, beside two raw positions
REOPEN_CYCLES = 2  # from a flush to the next word

EMPTY, HELD, LAST = 0, 1, 2  # a stage: LAST holds the last position of a core


class Draining:
    """The drain of one operation.

    Parameters
    ----------
    positions, cores : of a block and of a group
    merged : groups whose sums are added, 1 without `merge`
    beside : what it reads beside the sums, where that may have to wait for its banks
    """

    def __init__(self, config: Config, registers: Registers, positions: int, cores: int,
                 merged: int, beside: "Beside | None" = None):
        mode = registers["tensor.mode"]
        output = FormatCode(mode["output"])
        self.positions, self.cores, self.beside = positions, cores, beside
        self.raw = output is FormatCode.RAW
        self.serial = self.raw or mode["aux"] == AuxMode.RAW
        self.high = config.raw_words - TREES
        self.wide = output is FormatCode.BINARY32
        element = mode["aux"] == AuxMode.ELEMENT
        read = mode["mask"] + (mode["stats"] == StatsMode.NORM) + element  # words a position
        self.hold = max(FLOAT_WORDS if self.wide else 1, read)
        self.added = int(merged > 1 or element)  # a cycle later
        # From one position to the next; trees that enter one by one wait while words are written.
        self.interval = max(merged, config.raw_words + self.hold - 1 if self.serial else 1)
        self.bias = mode["bias"]
        self.flush = 2 * config.raw_words + FLUSH_CYCLES if mode["stats"] else 0
        self.kept: dict[int, int] = {}  # by core of a group, the address of its statistics
        self.sweep = config.cores if mode["stats"] else 0  # looks for statistics to flush
        self.turn = TURN_CYCLES if mode["turn_output"] else 0
        self.pipe = [EMPTY] * (VALUE_STAGE if self.wide else CODE_STAGE)
        self.step = 0  # cycle of the last step
        self.held = 1  # cycles that the last stage holds its position
        self.bias_from = 0  # cycle from which the next bias is there
        self.next = 0  # cycle in which the next position can be there
        self.end = 0  # cycle of the last write so far

    def block(self, complete: int, statistics: list[int]) -> int:
        """Drains a block of a group.

        Parameters
        ----------
        complete : cycle in which the first sum can be read; each further one a cycle later
        statistics : addresses, by core

        Returns
        -------
        The cycle from which the accumulators are free.
        """
        if self.raw:
            first = max(complete + 1 + self.added, self.next)
            self.next = first + self.interval * self.positions * self.cores
            self.end = self.next
            return self.next - self.high
        for core, address in enumerate(statistics):
            if self.flush:
                if self.kept.get(core, address) != address:
                    self.step += self.flush + REOPEN_CYCLES
                self.kept[core] = address
            for position in range(self.positions):
                arrival = complete + 1 + position + self.added if core == 0 else 0
                self._enter(max(arrival, self.next), position == self.positions - 1)
        return self.step + 1 - self.added

    def finish(self) -> int:
        """The cycle of the last write of the operation."""
        while any(self.pipe):
            self._move(EMPTY)
        return self.end + self.turn + self.flush * len(self.kept) + self.sweep

    def _enter(self, arrival: int, last: bool) -> None:
        """A position goes into the lanes in `arrival` or, if they do not move, later."""
        if self.serial:
            arrival += TREES
        while self._following() < arrival:
            if any(self.pipe):
                self._move(EMPTY)
            else:
                self.step = arrival - 1
        self._move(LAST if last else HELD)
        self.next = self.step + (self.interval - TREES if self.serial else self.interval)

    def _following(self) -> int:
        """The cycle of the next step."""
        cycle = self.step + (self.held if self.pipe[-1] else 1)
        if self.bias and self.pipe[BIAS_STAGE - 1]:
            cycle = max(cycle, self.bias_from)
        return cycle

    def _move(self, entering: int) -> None:
        self.step = self._following()
        if self.bias and self.pipe[BIAS_STAGE - 1] == LAST:
            self.bias_from = self.step + BIAS_CYCLES
        self.pipe = [entering, *self.pipe[:-1]]
        if self.pipe[-1]:
            self.held = max(self.hold, self.beside.met(self.step)) if self.beside else self.hold
            self.end = self.step + self.held


class Beside:
    """Words that meet the sums in the last stage: read in order through one port, which loses a
    bank to streams and tiles.

    Parameters
    ----------
    banks : of all words, in order
    count : of them for a position
    taken : the banks that streams and tiles read in a cycle
    """

    AHEAD = 2  # words that the port's reader keeps

    def __init__(self, banks: list[int], count: int, taken: Callable[[int], Container[int]]):
        self.banks, self.count, self.taken = banks, count, taken
        self.number = 0  # of the next word to meet its sum
        self.asked = 0  # cycle in which the word before was read
        self.met_in = [0] * self.AHEAD  # cycles in which the last ones met theirs

    def met(self, step: int) -> int:
        """Cycles that the next position takes, which is there from cycle `step` on."""
        cycle = step - 1
        for bank in self.banks[self.number:self.number + self.count]:
            self.asked = max(self.asked, self.met_in[-self.AHEAD]) + 1
            while bank in self.taken(self.asked):
                self.asked += 1
            cycle = max(cycle, self.asked) + 1
            self.met_in = [*self.met_in[1:], cycle]
        self.number += self.count
        return cycle - step + 1
