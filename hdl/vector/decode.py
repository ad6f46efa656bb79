"""What the registers of a vector operation mean: operands, inputs in use, checks."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arith.binary32 import BIAS, FRACTION_BITS
from hdl.vector.layouts import ELEMENT_INDEX_BITS, LANE_MODE, LEVEL_BITS, REGISTERS
from isa.formats import FormatCode
from isa.registers import (
    REDUCED,
    VECTOR_INPUTS,
    VECTOR_LOOPS,
    VECTOR_OUTPUTS,
    Activation,
    Operand,
    Reduce,
)

_FIRST, _SECOND = "abc", "def"  # operands of the two multiply-adds
_SAME = ("negate_c", "negate_f", "activation", "source")  # in the register and for the lanes


class Decode(wiring.Component):
    """Combinational: how the lanes work, which inputs are read, and whether it may start.

    Members
    -------
    registers : the registers of the unit
    mode : `LANE_MODE`
    sum : the last output takes sums
    used : a bit for each input
    legal : no check of the operation fails (else SHAPE)
    """

    def __init__(self):
        super().__init__({
            "registers": In(REGISTERS),
            "mode": Out(LANE_MODE),
            "sum": Out(1),
            "used": Out(len(VECTOR_INPUTS)),
            "legal": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        op = self.registers.op
        extra = {
            "x": self.mode.largest & self.registers.o1_mode.enable,
            "y": 0,
            "z": (op.activation == Activation.MASK) | self.mode.gate,
        }
        m.d.comb += [
            *(self.mode[name].eq(op[name]) for name in (*_FIRST, *_SECOND, *_SAME)),
            self.mode.largest.eq(op.reduce == Reduce.MAX),
            self.sum.eq(op.reduce == Reduce.SUM),
            self.mode.gate.eq(op.gate != 0),
            self.used.eq(Cat(
                Cat(op[name] == Operand[i.upper()] for name in _FIRST + _SECOND).any() | extra[i]
                for i in VECTOR_INPUTS)),
            self.legal.eq(Cat(self._rules()).all()),
        ]
        with m.Switch(op.gate):
            for gate in range(1, 1 << len(op.gate)):
                with m.Case(gate):
                    m.d.comb += self.mode.level.eq(_level(gate - 1))
        return m

    def _rules(self):
        """A bit for each check, 1 where it holds."""
        registers, op = self.registers, self.registers.op
        yield from (count != 0 for count in loop_counts(registers).values())
        yield from (op[name] < Operand.T for name in _FIRST)
        yield from (op[name] <= Operand.T for name in _SECOND)
        yield op.activation <= max(Activation)
        yield op.reduce <= max(Reduce)
        split = registers.outer.split
        yield split <= len(VECTOR_LOOPS)
        yield (split == 0) | (split > len(REDUCED)) | (op.reduce == Reduce.NONE)
        yield ~self.sum | (op.quantum[-1] == op.quantum[-2])
        modes = [registers[f"{o}_mode"] for o in VECTOR_OUTPUTS]
        turned = [mode.enable & mode.turn for mode in modes]
        n0, n1 = (registers.counts[loop][:ELEMENT_INDEX_BITS] for loop in VECTOR_LOOPS[:2])
        whole = ((n0 * n1)[:ELEMENT_INDEX_BITS] == 0) & (split != 1) & ((split != 2) | (n0 == 0))
        yield ~Cat(turned).any() | whole & (op.reduce == Reduce.NONE)
        for i, mode in enumerate(modes):
            fp8 = (mode.format == FormatCode.E4M3) | (mode.format == FormatCode.E5M2)
            yield ~turned[i] | fp8 & ~Cat(turned[:i]).any()
        tally = registers.tally
        yield ~tally.across | self.sum
        yield ~tally.histogram | ((op.reduce == Reduce.NONE) & (split == 0))


def loop_counts(registers) -> dict:
    """The count of each loop."""
    rows = (registers.counts, registers.outer)
    return {loop: row[loop] for row in rows for loop, _ in row.shape() if loop in VECTOR_LOOPS}


def _level(number: int) -> int:
    """The top bits, below the sign, of a small number in binary32."""
    if number == 0:
        return 0
    top = number.bit_length() - 1
    bits = (BIAS + top << FRACTION_BITS) + (number - (1 << top) << FRACTION_BITS - top)
    return bits >> FRACTION_BITS + 8 - LEVEL_BITS
