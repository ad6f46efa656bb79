"""What the registers of a vector operation mean: operands, inputs in use, checks."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.vector.layouts import FLOAT_BITS, LANE_MODE, REGISTERS
from isa.formats import FormatCode
from isa.registers import VECTOR_INPUTS, VECTOR_LOOPS, VECTOR_OUTPUTS, Activation, Operand

_ONE = 0x3F800000  # 1.0 in binary32
_FIRST, _SECOND = "abc", "def"  # operands of the two multiply-adds


class Decode(wiring.Component):
    """Combinational: how the lanes work, which inputs are read, and whether it may start.

    Members
    -------
    registers : the registers of the unit
    mode : `LANE_MODE`
    used : a bit for each input
    legal : no check of the operation fails (else SHAPE)
    """

    def __init__(self):
        super().__init__({
            "registers": In(REGISTERS),
            "mode": Out(LANE_MODE),
            "used": Out(len(VECTOR_INPUTS)),
            "legal": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        op = self.registers.op
        picks = [self._pick(m, name) for name in _FIRST + _SECOND]
        m.d.comb += [
            self.mode.negate_c.eq(op.negate_c),
            self.mode.negate_f.eq(op.negate_f),
            self.mode.relu.eq(op.activation == Activation.RELU),
            self.mode.mask.eq(op.activation == Activation.MASK),
            self.used.eq(Cat(
                Cat(pick.x for pick in picks).any(),
                Cat(pick.y for pick in picks).any(),
                Cat(pick.z for pick in picks).any() | self.mode.mask)),
            self.legal.eq(Cat(self._rules()).all()),
        ]
        return m

    def _pick(self, m, name):
        operand, pick = self.registers.op[name], self.mode[name]
        constants = {
            Operand.ONE: _ONE,
            **{Operand[k.upper()]: self.registers[k].value for k in ("k0", "k1", "k2")},
        }
        m.d.comb += [
            pick.x.eq(operand == Operand.X),
            pick.y.eq(operand == Operand.Y),
            pick.z.eq(operand == Operand.Z),
            pick.t.eq(operand == Operand.T),
        ]
        constant = Signal(FLOAT_BITS, name=f"constant_{name}")
        with m.Switch(operand):
            for value, bits in constants.items():
                with m.Case(value):
                    m.d.comb += constant.eq(bits)
        m.d.comb += pick.constant.eq(constant)
        return pick

    def _rules(self):
        """A bit for each check, 1 where it holds."""
        registers, op = self.registers, self.registers.op
        yield from (registers.counts[loop] != 0 for loop in VECTOR_LOOPS)
        yield from (op[name] < Operand.T for name in _FIRST)
        yield from (op[name] <= Operand.T for name in _SECOND)
        yield op.activation <= max(Activation)
        for used, name in zip(self.used, VECTOR_INPUTS, strict=True):
            yield ~used | (registers.inputs[name] != FormatCode.RAW)
        for name in VECTOR_OUTPUTS:
            mode = registers[f"{name}_mode"]
            unused = ~mode.enable | op.reduce if name == VECTOR_OUTPUTS[-1] else ~mode.enable
            yield unused | (mode.format != FormatCode.RAW)
        yield ~op.reduce | (op.quantum[-1] == op.quantum[-2])
