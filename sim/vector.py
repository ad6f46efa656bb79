"""The vector operation, by its definition in docs/architecture.md."""

from math import prod

import numpy as np

from isa.config import Config
from isa.formats import FormatCode
from isa.memmap import Trap
from isa.registers import (
    ADDRESS_BITS,
    REDUCED,
    VECTOR_INPUTS,
    VECTOR_LOOPS,
    VECTOR_OUTPUTS,
    Activation,
    Operand,
    Reduce,
)
from sim import exact, floats, functions
from sim.loops import Items, as_bytes, as_words, check, element_index, nest
from sim.outcome import Outcome, TrapError, require
from sim.registers import Registers, vector_counts

GROUP = 8  # elements that go through the lanes together
SUM_LIMIT = 2.0**40  # magnitude that an element of a sum is limited to, in quanta
QUANTUM_RANGE = range(-64, 64)
_FIRST, _SECOND = "abc", "def"  # operands of the two multiply-adds


def execute(config: Config, registers: Registers, words: np.ndarray) -> Outcome:
    """Run one operation on the scratchpad `words` (uint64), which it changes.

    A trap is reported in the outcome; the words that the operation writes are undefined then.
    """
    try:
        _Operation(registers, words).run()
    except TrapError as trap:
        return Outcome(trap=trap.cause)
    return Outcome()


class _Operation:
    def __init__(self, registers: Registers, words: np.ndarray):
        self.registers = registers
        self.words = words
        self.op = registers["vector.op"]
        self.counts = vector_counts(registers)
        self.groups = prod(self.counts.values())
        self.reduce = self.op["reduce"]
        self.outputs = [o for o in VECTOR_OUTPUTS if registers[f"vector.{o}.mode"]["enable"]]
        if self.reduce == Reduce.SUM and "o2" in self.outputs:
            self.outputs.remove("o2")

    def run(self) -> None:
        self._check()
        inputs = {name: self._read(name) for name in self._used()}
        t, u = self._lanes(inputs)
        # Everything that is read was read: an output may stand where an input stood.
        if self.reduce == Reduce.MAX:
            self._largest(u if self.op["source"] else t, inputs.get("x"))
            return
        for name in self.outputs:
            source = self.registers[f"vector.{name}.mode"]["source"]
            self._write(name, u if source else t, VECTOR_LOOPS)
        if self.reduce == Reduce.SUM:
            self._sums(u if self.op["source"] else t)

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
        formats = [self.registers["vector.inputs"][i] for i in self._used()]
        formats += [self.registers[f"vector.{o}.mode"]["format"] for o in self.outputs]
        require(FormatCode.RAW not in formats, Trap.SHAPE)
        require(self.reduce != Reduce.SUM or op["quantum"] in QUANTUM_RANGE, Trap.SHAPE)

    def _used(self) -> list[str]:
        """The inputs that are read."""
        named = {self.op[o] for o in _FIRST + _SECOND}
        if self.op["activation"] == Activation.MASK or self.op["gate"]:
            named.add(Operand.Z)
        if self.reduce == Reduce.MAX and "o1" in self.outputs:
            named.add(Operand.X)
        return [i for i in VECTOR_INPUTS if Operand[i.upper()] in named]

    def _items(self, name: str, length: int, loops=VECTOR_LOOPS) -> Items:
        """First words of all groups of a stream, flat, each `length` words inside."""
        flat = {f"vector.{name}.base": self.registers[f"vector.{name}.base"]}
        for pair in ("n01", "n23", "n45"):
            for loop, stride in self.registers[f"vector.{name}.{pair}"].items():
                flat[f"vector.{name}.{loop}"] = {"stride": stride}
        items = nest(flat, f"vector.{name}", self.counts, loops[::-1], window=False)
        items = Items(items.address.ravel(), items.inside.ravel())
        check(self.words, items, length)
        return items

    def _read(self, name: str) -> np.ndarray:
        """float32 (groups, 8)."""
        code = FormatCode(self.registers["vector.inputs"][name])
        length = 4 if code is FormatCode.BINARY32 else 1
        items = self._items(name, length)
        rows = self.words[items.address[:, np.newaxis] + np.arange(length)]
        if code is FormatCode.BINARY32:
            return rows.view(np.float32)
        return floats.decode(floats.of_code(code), as_bytes(rows[:, 0]))

    def _coefficient(self, i: int) -> np.ndarray:
        """K0, K1 or K2: one float32, or (groups, 8)."""
        if not self.op["channel"] >> i & 1:
            return np.uint32(self.registers[f"vector.k{i}"]["value"]).view(np.float32)
        rounds = self.counts["n5"]
        first = (self.registers["vector.k.base"]["address"] + 4 * i
                 + self.registers["vector.k.n5"]["stride"] * np.arange(rounds))
        first &= (1 << ADDRESS_BITS) - 1
        check(self.words, Items(first, np.ones(rounds, bool)), 4)
        values = self.words[first[:, np.newaxis] + np.arange(4)].view(np.float32)
        return np.repeat(values, self.groups // rounds, axis=0)

    def _lanes(self, inputs):
        """t, and u after the activation, float32 (groups, 8)."""
        operands = {
            Operand.ZERO: np.float32(0),
            Operand.ONE: np.float32(1),
            **{Operand.K0 + i: self._coefficient(i) for i in range(3)},
            **{Operand[name.upper()]: value for name, value in inputs.items()},
        }
        if self.op["gate"] and "y" in inputs:
            chosen = inputs["z"] == self.op["gate"] - 1
            operands[Operand.Y] = np.where(chosen, inputs["y"], np.float32(0))
        with np.errstate(all="ignore"):
            t = self._multiply_add(operands, _FIRST, self.op["negate_c"])
            t = np.broadcast_to(t, (self.groups, GROUP))
            operands[Operand.T] = t
            u = self._multiply_add(operands, _SECOND, self.op["negate_f"])
            return t, self._activated(np.broadcast_to(u, (self.groups, GROUP)), inputs)

    def _activated(self, u, inputs):
        activation = Activation(self.op["activation"])
        if activation is Activation.NONE:
            return u
        if activation is Activation.RELU:
            return np.where((u > 0) | np.isnan(u), u, np.float32(0))
        if activation is Activation.MASK:
            return np.where(inputs["z"] == 0, np.float32(0), u)
        return functions.BY_ACTIVATION[activation](u)

    def _multiply_add(self, operands, names, negate):
        a, b, c = (operands[self.op[name]] for name in names)
        product = floats.canonical(np.multiply(a, b, dtype=np.float32))
        return floats.canonical(np.add(product, -c if negate else c, dtype=np.float32))

    def _write(self, name: str, value, loops):
        mode = self.registers[f"vector.{name}.mode"]
        if mode["format"] == FormatCode.BINARY32:
            rows = as_words(np.ascontiguousarray(value).view(np.uint32))
            items = self._items(name, 4, loops)
        else:
            items = self._items(name, 1, loops)
            random = None
            if mode["stochastic"]:
                base = self.registers[f"vector.{name}.base"]["address"]
                random = floats.random16(self.registers["vector.key"]["key"],
                                         element_index(items.address, base))
            codes, _ = floats.encode(floats.of_code(mode["format"]), value, mode["scale"], random)
            rows = as_words(codes)
        self.words[items.address[:, np.newaxis] + np.arange(rows.shape[1])] = rows

    def _inner(self, value):
        """float32 (rounds of the other loops, groups of n0 and n1, 8)."""
        return value.reshape(-1, prod(self.counts[n] for n in REDUCED), GROUP)

    def _sums(self, value):
        """8 sums over n0 and n1 for each round of the other loops."""
        quantum = self.op["quantum"]
        value = self._inner(value).astype(np.float64)
        nan = np.isnan(value).any(axis=1)
        whole = np.rint(np.ldexp(np.where(np.isnan(value), 0, value), -quantum))
        whole = np.clip(whole, -SUM_LIMIT, SUM_LIMIT).astype(np.int64).sum(axis=1)
        total = exact.to_binary32(whole.astype(object), quantum)
        rows = as_words(np.where(nan, floats.CANONICAL_NAN, total).view(np.uint32))
        items = self._items("o2", 4, VECTOR_LOOPS[2:])
        self.words[items.address[:, np.newaxis] + np.arange(4)] = rows

    def _largest(self, value, x):
        """The first of the largest over n0 and n1, its x and its number."""
        value = self._inner(value)
        # argmax takes the first of equal ones, and the first NaN before anything else
        number = np.argmax(value, axis=1)[:, np.newaxis]
        x = np.zeros_like(value) if x is None else self._inner(x)
        for name, what in (("o0", np.take_along_axis(value, number, axis=1)),
                           ("o1", np.take_along_axis(x, number, axis=1)),
                           ("o2", number.astype(np.float32))):
            if name in self.outputs:
                self._write(name, what[:, 0], VECTOR_LOOPS[2:])
