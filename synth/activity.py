"""A mapped netlist in many cycles at once: what its nets do, with and without glitches.

A row of bits, one a cycle, is what a net has in all cycles; so a gate is a few operations on whole
rows, and a flip-flop moves a row by a cycle. That works where no register depends on itself: the
units whose energy is taken are pipelines, and memories are outside, their outputs among the inputs.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from synth.errors import SynthesisError
from synth.gates import ONES, Bits, Gate
from synth.netlist import CONSTANTS, Netlist

WARM = 16  # first cycles, in which pipelines fill; what happens in these is not counted
WORD = 64
UNUSED = "clk", "rst"  # inputs that need not be given: each row is a cycle, and no reset comes
_MOST_STEPS = 1000


@dataclass(frozen=True)
class Activity:
    """What nets did.

    Attributes
    ----------
    cycles : that were counted
    values : (net, words) settled values at the end of each cycle
    settled : by net, changes from one cycle's end to the next
    changes : by net, all changes within the cycles, if every gate takes one unit of time
    """

    cycles: int
    values: dict[str, Bits]
    settled: dict[str, int]
    changes: dict[str, int]


def pack(bits: np.ndarray) -> Bits:
    """A row of bits, bool (..., cycles), as uint64; cycles are a multiple of 64."""
    return np.ascontiguousarray(np.packbits(bits, axis=-1, bitorder="little")).view("<u8")


def unpack(rows: Bits) -> np.ndarray:
    """The inverse of `pack`."""
    return np.unpackbits(np.ascontiguousarray(rows).view(np.uint8), axis=-1, bitorder="little")


class Simulation:
    """A netlist that can be run.

    Parameters
    ----------
    netlist : Netlist
    gates : by name of the cell; the netlist's other cells are black boxes
    held : flip-flops are black boxes too

    Attributes
    ----------
    sources : nets that `run` is to be given: inputs, and outputs of black boxes

    Raises
    ------
    SynthesisError : a register depends on itself
    """

    def __init__(self, netlist: Netlist, gates: dict[str, Gate], *, held: bool = False):
        self.netlist = netlist
        cells = [cell for cell in netlist.cells
                 if cell.kind in gates and not (held and gates[cell.kind].next_state)]
        names = {net for cell in netlist.cells for net in cell.pins.values()}
        names |= {*netlist.inputs, *netlist.outputs, *(net for pair in netlist.same
                                                       for net in pair)}
        self.index = {net: i for i, net in enumerate(sorted(names - CONSTANTS.keys()))}
        self.constant = {net: len(self.index) + i for i, net in enumerate(CONSTANTS)}
        # (function, rows in, row out, it is a flip-flop)
        steps = []
        for cell in cells:
            gate = gates[cell.kind]
            inputs = [self._row(cell.pins.get(pin, "1'bx")) for pin in gate.inputs]
            for pin, function in gate.outputs.items():
                if pin in cell.pins:
                    if gate.keeps:
                        raise SynthesisError(f"cell {cell.kind} keeps its state: only pipelines "
                                             "can be run in all cycles at once")
                    if gate.next_state:
                        function = _registered(gate.next_state, function)
                    steps.append((function, inputs, self._row(cell.pins[pin]),
                                  gate.next_state is not None))
        steps += [(_same, [self._row(of)], self._row(net), False) for net, of in netlist.same]
        self.steps = self._ordered(steps)
        driven = {out for _, _, out, _ in steps}
        self.sources = sorted(net for net, row in self.index.items() if row not in driven)

    def run(self, given: dict[str, Bits], counted: Bits | None = None) -> Activity:
        """Runs as many cycles as the rows of `given` have.

        Parameters
        ----------
        given : for each of `sources`, but for `UNUSED`; what else is in it is not looked at
        counted : the cycles that count, by default all but the first `WARM`
        """
        words = len(next(iter(given.values())))
        values = np.zeros((len(self.index) + len(self.constant), words), np.uint64)
        for name, row in self.constant.items():
            values[row] = ONES if CONSTANTS[name] else 0
        for net in self.sources:
            if net in given:
                values[self.index[net]] = given[net]
            elif net not in UNUSED:
                raise SynthesisError(f"no values are given for {net}")
        for function, inputs, out, register in self.steps:
            result = function(*(values[i] for i in inputs))
            values[out] = _later(result) if register else result
        if counted is None:
            counted = np.full(words, ONES)
            counted[0] = ONES << np.uint64(WARM)
        settled = _count((values ^ _later(values)) & counted)
        changes = self._changes(values, counted)
        return Activity(int(_count(counted)),
                        {net: values[row] for net, row in self.index.items()},
                        {net: int(settled[row]) for net, row in self.index.items()},
                        {net: int(changes[row]) for net, row in self.index.items()})

    def _changes(self, values: np.ndarray, counted: Bits) -> np.ndarray:
        """All changes when, in every cycle, sources and registers change first, and then each gate
        follows its inputs one unit of time later, as often as they change."""
        now = _later(values)
        now[:, 0] |= values[:, 0] & np.uint64(1)  # nothing changes in the first cycle
        first = [self.index[net] for net in self.sources]
        first += [out for _, _, out, register in self.steps if register]
        total = np.zeros(len(values), np.int64)
        total[first] = _count((values[first] ^ now[first]) & counted)
        moved = {row for row in first if np.any(values[row] != now[row])}
        now[first] = values[first]
        logic = [(function, inputs, out) for function, inputs, out, register in self.steps
                 if not register]
        readers = defaultdict(list)
        for step in logic:
            for row in set(step[1]):
                readers[row].append(step)
        for _ in range(_MOST_STEPS):
            if not moved:
                break
            waiting = {step[2]: step for row in moved for step in readers[row]}
            after = [(out, function(*(now[i] for i in inputs)))
                     for function, inputs, out in waiting.values()]
            moved = set()
            for out, row in after:
                change = row ^ now[out]
                if change.any():
                    total[out] += _count(change & counted)
                    now[out] = row
                    moved.add(out)
        assert np.array_equal(now[:len(self.index)], values[:len(self.index)])
        return total

    def _row(self, net: str) -> int:
        return self.constant[net] if net in CONSTANTS else self.index[net]

    def _ordered(self, steps):
        """Each step after those whose results it takes."""
        by_output = {step[2]: i for i, step in enumerate(steps)}
        readers, missing = defaultdict(list), []
        for i, (_, inputs, _, _) in enumerate(steps):
            needed = {by_output[row] for row in inputs if row in by_output}
            missing.append(len(needed))
            for each in needed:
                readers[each].append(i)
        order = [i for i, count in enumerate(missing) if count == 0]
        for i in order:
            for reader in readers[i]:
                missing[reader] -= 1
                if missing[reader] == 0:
                    order.append(reader)
        if len(order) != len(steps):
            raise SynthesisError(f"{len(steps) - len(order)} cells depend on themselves: only "
                                 "pipelines can be run in all cycles at once")
        return [steps[i] for i in order]


def _registered(next_state, output):
    return lambda *inputs: output(next_state(*inputs, inputs[0]))  # it does not keep its state


def _same(row: Bits) -> Bits:
    return row


def _later(rows: Bits) -> Bits:
    """Each value a cycle later; zero in the first."""
    moved = rows << np.uint64(1)
    moved[..., 1:] |= rows[..., :-1] >> np.uint64(WORD - 1)
    return moved


def _count(rows: Bits) -> np.ndarray:
    return np.bitwise_count(rows).sum(axis=-1, dtype=np.int64)
