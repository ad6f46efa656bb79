"""The vector operation, by its definition in docs/architecture.md."""

from math import prod

import numpy as np

from isa.config import Config
from isa.formats import E5M2, FORMATS, FormatCode
from isa.memmap import BINS, Trap
from isa.registers import (
    BIN_BITS,
    REDUCED,
    TALLY_BITS,
    VECTOR_INPUTS,
    VECTOR_LOOPS,
    VECTOR_OUTPUTS,
    Activation,
    Operand,
    Reduce,
)
from sim import floats, functions
from sim.loops import Runs, as_words, element_numbers, everywhere, nest, wrapped
from sim.outcome import Outcome, TrapError, require
from sim.registers import Registers, vector_counts

GROUP = 8  # elements that go through the lanes together
SUM_LIMIT = 2.0**40  # magnitude that an element of a sum is limited to, in quanta
QUANTUM_RANGE = range(-64, 64)
SIZE_SHIFT = 21  # the sign and these bits of a binary32 number do not matter for its size
_FIRST, _SECOND = "abc", "def"  # operands of the two multiply-adds


def execute(config: Config, registers: Registers, words: np.ndarray) -> Outcome:
    """Run one operation on the scratchpad `words` (uint64), which it changes.

    A trap is reported in the outcome; the words that the operation writes are undefined then.
    """
    try:
        return Operation(config, registers).run(words, registers["vector.key"]["key"])
    except TrapError as trap:
        return Outcome(trap=trap.cause)


class Operation:
    """A vector operation: everything that follows from its registers. It may run many times.

    `TrapError` where it may not run at all.
    """

    def __init__(self, config: Config, registers: Registers):
        self.config, self.registers = config, registers
        self.op = registers["vector.op"]
        self.counts = vector_counts(registers)
        self.groups = prod(self.counts.values())
        self.reduce = self.op["reduce"]
        self.tally = registers["vector.tally"]
        self.outputs = [o for o in VECTOR_OUTPUTS if registers[f"vector.{o}.mode"]["enable"]]
        if self.reduce == Reduce.SUM and "o2" in self.outputs:
            self.outputs.remove("o2")
        self._check()
        sources = {self._mode(o)["source"] for o in self.outputs}
        tallied = self.reduce or self.tally["histogram"]
        self.second = bool(self.op["source"] if tallied else 0) or 1 in sources
        self.inputs = {i: self._runs(i, registers["vector.inputs"][i]) for i in self._used()}
        loops = VECTOR_LOOPS[2:] if self.reduce == Reduce.MAX else VECTOR_LOOPS
        self.written = {o: self._runs(o, registers[f"vector.{o}.mode"]["format"], loops)
                        for o in self.outputs}
        if any(self._mode(o)["stochastic"] for o in self.outputs):
            self.numbers = self._numbers(loops)
        if self.reduce == Reduce.SUM:
            self.sums = self._runs("o2", FormatCode.BINARY32, VECTOR_LOOPS[2:])
        self.coefficients = {k: self._coefficients(k)
                             for k in range(3) if self.op["channel"] >> k & 1}

    def run(self, words: np.ndarray, key: int) -> Outcome:
        """Once, on the scratchpad `words`, which it changes; `key` is that of random bits."""
        outcome = Outcome()
        inputs = {name: self._read(words, name) for name in self.inputs}
        t, u = self._lanes(words, inputs)
        # Everything that is read was read: an output may stand where an input stood.
        if self.reduce == Reduce.MAX:
            results = self._largest(u if self.op["source"] else t, inputs.get("x"))
        else:
            results = {o: u if self._mode(o)["source"] else t for o in self.outputs}
        for name in self.outputs:
            outcome.saturations_e5m2 += self._write(words, name, results[name], key)
        if self.tally["histogram"]:
            outcome.histogram = self._histogram(u if self.op["source"] else t)
            outcome.more = bool(self.tally["more"])
        if self.reduce == Reduce.SUM:
            self.sums.write(words, as_words(self._sums(u if self.op["source"] else t)))
        return outcome

    def _mode(self, output: str) -> dict[str, int]:
        return self.registers[f"vector.{output}.mode"]

    def _check(self):
        op = self.op
        require(all(self.counts.values()), Trap.SHAPE)
        require(all(op[o] < Operand.T for o in _FIRST), Trap.SHAPE)
        require(all(op[o] <= Operand.T for o in _SECOND), Trap.SHAPE)
        require(op["activation"] <= max(Activation), Trap.SHAPE)
        require(op["reduce"] <= max(Reduce), Trap.SHAPE)
        split = self.registers["vector.outer"]["split"]
        require(split <= len(VECTOR_LOOPS), Trap.SHAPE)
        require(not self.reduce or split not in range(1, len(REDUCED) + 1), Trap.SHAPE)
        require(self.reduce != Reduce.SUM or op["quantum"] in QUANTUM_RANGE, Trap.SHAPE)
        modes = [self._mode(o) for o in VECTOR_OUTPUTS]
        turned = [mode for mode in modes if mode["enable"] and mode["turn"]]
        inner, both = self.counts["n0"], self.counts["n0"] * self.counts["n1"]
        for mode in turned:
            require(not self.reduce and both % GROUP == 0, Trap.SHAPE)
            require(split != 1 and (split != 2 or inner % GROUP == 0), Trap.SHAPE)
            require(mode["format"] in (FormatCode.E4M3, FormatCode.E5M2), Trap.SHAPE)
        require(len(turned) <= 1, Trap.SHAPE)
        require(self.reduce == Reduce.SUM or not self.tally["across"], Trap.SHAPE)
        require(not self.tally["histogram"] or not (self.reduce or split), Trap.SHAPE)

    def _used(self) -> list[str]:
        """The inputs that are read."""
        named = {self.op[o] for o in _FIRST + _SECOND}
        if self.op["activation"] == Activation.MASK or self.op["gate"]:
            named.add(Operand.Z)
        if self.reduce == Reduce.MAX and "o1" in self.outputs:
            named.add(Operand.X)
        return [i for i in VECTOR_INPUTS if Operand[i.upper()] in named]

    def _runs(self, name: str, code: int, loops=VECTOR_LOOPS) -> Runs:
        """The words of all groups of a stream whose format has that code, by group."""
        items = nest(self._flat(name), f"vector.{name}", self.counts, loops[::-1], window=False)
        return Runs(items.reshape(-1), self.config.words, FORMATS[code].group_words)

    def _numbers(self, loops) -> np.ndarray:
        """The numbers of the elements of all groups, (groups, 8)."""
        index = element_numbers(self._flat("number"), "vector.number", self.counts, loops[::-1])
        return index.reshape(-1, GROUP)

    def _flat(self, name: str) -> Registers:
        """The registers of a stream with one for each loop."""
        flat = {f"vector.{name}.base": self.registers[f"vector.{name}.base"]}
        for pair in ("n01", "n23", "n45"):
            for loop, stride in self.registers[f"vector.{name}.{pair}"].items():
                flat[f"vector.{name}.{loop}"] = {"stride": stride}
        return flat

    def _read(self, words: np.ndarray, name: str) -> np.ndarray:
        """float32 (groups, 8)."""
        code = self.registers["vector.inputs"][name]
        rows = self.inputs[name].read(words)
        if code == FormatCode.BINARY32:
            return rows.view(np.float32)
        if code == FormatCode.BFLOAT16:
            return floats.from_bfloat16(rows.view(np.uint16))
        return floats.decode_words(floats.of_code(code), rows)

    def _coefficients(self, k: int) -> Runs:
        """The words of K0, K1 or K2 by channel, by round of n5."""
        first = (self.registers["vector.k.base"]["address"] + 4 * k
                 + self.registers["vector.k.n5"]["stride"] * np.arange(self.counts["n5"]))
        return Runs(everywhere(wrapped(first)), self.config.words, 4)

    def _coefficient(self, words: np.ndarray, k: int) -> np.ndarray:
        """K0, K1 or K2: one float32, or (groups, 8)."""
        if k not in self.coefficients:
            return np.uint32(self.registers[f"vector.k{k}"]["value"]).view(np.float32)
        values = self.coefficients[k].read(words).view(np.float32)
        return np.repeat(values, self.groups // len(values), axis=0)

    def _lanes(self, words, inputs):
        """t, and if it is of use u after the activation, float32 (groups, 8)."""
        operands = {
            Operand.ZERO: np.float32(0),
            Operand.ONE: np.float32(1),
            **{Operand.K0 + k: self._coefficient(words, k) for k in range(3)},
            **{Operand[name.upper()]: value for name, value in inputs.items()},
        }
        if self.op["gate"] and "y" in inputs:
            chosen = inputs["z"] == self.op["gate"] - 1
            operands[Operand.Y] = floats.masked(inputs["y"], chosen)
        with np.errstate(all="ignore"):
            t = operands[Operand.T] = self._multiply_add(operands, _FIRST, self.op["negate_c"])
            if not self.second:
                return t, None
            u = self._multiply_add(operands, _SECOND, self.op["negate_f"])
            return t, self._activated(u, inputs)

    def _activated(self, u, inputs):
        activation = Activation(self.op["activation"])
        if activation is Activation.NONE:
            return u
        if activation is Activation.RELU:
            return floats.relu(u)
        if activation is Activation.MASK:
            return floats.masked(u, inputs["z"] != 0)
        return functions.BY_ACTIVATION[activation](u)

    def _multiply_add(self, operands, names, negate):
        a, b, c = (operands[self.op[name]] for name in names)
        shape = self.groups, GROUP
        value = floats.canonical(np.add(a * b, -c if negate else c))
        return np.broadcast_to(value, shape) if value.shape != shape else value

    def _write(self, words: np.ndarray, name: str, value: np.ndarray, key: int) -> int:
        """Writes an output; how many elements of E5M2 saturated."""
        mode, runs = self._mode(name), self.written[name]
        if mode["format"] == FormatCode.BINARY32:
            runs.write(words, as_words(value))
            return 0
        random = floats.random16(key, self.numbers) if mode["stochastic"] else None
        if mode["format"] == FormatCode.BFLOAT16:
            runs.write(words, as_words(floats.to_bfloat16(value, random)))
            return 0
        fmt = floats.of_code(mode["format"])
        codes, saturated = floats.encode(fmt, value, mode["scale"], random)
        if mode["turn"]:
            codes = codes.reshape(-1, GROUP, GROUP).swapaxes(1, 2).reshape(-1, GROUP)
        runs.write(words, as_words(codes))
        return int(np.count_nonzero(saturated)) * (fmt is E5M2)

    def _inner(self, value):
        """float32 (rounds of the other loops, groups of n0 and n1, 8)."""
        return value.reshape(-1, prod(self.counts[n] for n in REDUCED), GROUP)

    def _sums(self, value: np.ndarray) -> np.ndarray:
        """8 sums over n0 and n1 for each round of the other loops, float32; with `across` all of
        them the sum of these."""
        unit = 2.0 ** self.op["quantum"]
        value = self._inner(value).astype(np.float64)
        nan = np.isnan(value)
        whole = np.rint(np.where(nan, 0, value) / unit).clip(-SUM_LIMIT, SUM_LIMIT)
        total, nan = whole.astype(np.int64).sum(axis=1), nan.any(axis=1)
        if self.tally["across"]:
            total = np.broadcast_to(total.sum(axis=1, keepdims=True), total.shape)
            nan = nan.any(axis=1, keepdims=True)
        return np.where(nan, floats.CANONICAL_NAN, total.astype(np.float32) * np.float32(unit))

    def _histogram(self, value: np.ndarray) -> list[int]:
        """How many elements there are of each size."""
        size = (value.view(np.uint32) >> SIZE_SHIFT & (1 << BIN_BITS) - 1).astype(np.int64)
        bins = (size - self.tally["first"]).clip(0, BINS - 1)
        counts = np.bincount(bins.ravel(), minlength=BINS) % (1 << TALLY_BITS)
        return counts.tolist()

    def _largest(self, value: np.ndarray, x: np.ndarray | None) -> dict[str, np.ndarray]:
        """The first of the largest over n0 and n1, its x and its number, by output."""
        value = self._inner(value)
        x = np.zeros_like(value) if x is None else self._inner(x)
        largest = value[:, 0]
        number = np.zeros(largest.shape, np.int64)
        for i in range(1, value.shape[1]):
            later = value[:, i]
            wins = (later > largest) | np.isnan(later) & ~np.isnan(largest)
            number = np.maximum(number, i * wins)
            largest = np.maximum(largest, later)
        # of zeros with different signs the first is the largest
        largest, its_x = (np.take_along_axis(v, number[:, np.newaxis], axis=1)[:, 0]
                          for v in (value, x))
        return {"o0": largest, "o1": its_x, "o2": number.astype(np.float32)}
