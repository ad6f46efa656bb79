"""The instruction decoder, made of the tables."""

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from isa.fields import used_bits
from isa.instructions import BY_MNEMONIC, OPCODE, TABLE, Guard
from isa.registers import BY_INDEX, REGISTER_BITS, Unit

WORD_BITS = OPCODE.low + OPCODE.width

ACTIONS = data.StructLayout({row.mnemonic: 1 for row in TABLE})  # one of them is set, or none


def field(word, mnemonic: str, name: str):
    """The bits of a field of an instruction word, with its sign."""
    found = {f.name: f for f in BY_MNEMONIC[mnemonic].fields}[name]
    bits = word[found.low:found.low + found.width]
    return bits.as_signed() if found.signed else bits


class Decoder(wiring.Component):
    """Tells what an instruction word is, in the same cycle.

    Members
    -------
    word : an instruction
    actions : `ACTIONS`; the bit of its mnemonic, none if it is illegal
    unit : for set, setr, clear and run: the unit it is for
    illegal : the opcode, a unit, a guard, a register or a set bit does not exist, or an offset is
        not a multiple of 4
    """

    def __init__(self):
        super().__init__({
            "word": In(WORD_BITS),
            "actions": Out(ACTIONS),
            "unit": Out(Unit),
            "illegal": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        word = self.word
        legal = Signal()
        register_exists, value_fits = Signal(), Signal()
        register_unit = Signal(Unit)
        value = field(word, "set", "value")

        with m.Switch(field(word, "set", "register")):
            for register in BY_INDEX.values():
                with m.Case(register.index):
                    beyond = ((1 << REGISTER_BITS) - 1) & ~used_bits(register.fields)
                    m.d.comb += [
                        register_exists.eq(1),
                        register_unit.eq(register.unit),
                        value_fits.eq((value & beyond) == 0),
                    ]

        unit_bits = field(word, "run", "unit")
        unit_exists = unit_bits <= max(Unit)
        further = {
            "csr": field(word, "csr", "offset")[:2] == 0,
            "set": register_exists & value_fits,
            "setr": register_exists,
            "clear": unit_exists,
            "run": unit_exists & (field(word, "run", "guard") <= max(Guard)),
        }
        with m.Switch(word[OPCODE.low:]):
            for row in TABLE:
                with m.Case(row.opcode):
                    unused = ((1 << WORD_BITS) - 1) & ~row.legal_bits
                    m.d.comb += [
                        legal.eq(((word & unused) == 0) & further.get(row.mnemonic, Const(1))),
                        self.actions[row.mnemonic].eq(legal),
                    ]
                    if row.mnemonic in ("set", "setr"):
                        m.d.comb += self.unit.eq(register_unit)
                    else:
                        m.d.comb += self.unit.eq(unit_bits)
        m.d.comb += self.illegal.eq(~legal)
        return m
