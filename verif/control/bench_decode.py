"""The decoder against the model: every instruction with every single bit changed, random words."""

import cocotb
from cocotb.triggers import Timer

from hdl.control.decode import ACTIONS
from isa import fields
from isa.instructions import BY_MNEMONIC, OPCODE, TABLE
from isa.registers import BY_INDEX, Unit
from sim import machine
from sim.outcome import TrapError
from verif import seeds, streams


def expected(word):
    """Mnemonic and unit of an instruction; None where it is illegal."""
    try:
        mnemonic, values = machine._decode(word)
    except TrapError:
        return None
    if "register" in values:
        return mnemonic, BY_INDEX[values["register"]].unit
    return mnemonic, values.get("unit")


def words(draw):
    for row in TABLE:
        for _ in range(8):
            word = OPCODE.encode(row.opcode)
            for field in row.fields:
                word |= draw.getrandbits(field.width) << field.low
            if "register" in {f.name for f in row.fields}:
                register = draw.choice(tuple(BY_INDEX.values()))
                word &= ~((1 << 56) - 1) if row.mnemonic == "set" else ~(0xFF << 48)
                word |= register.index << 48
                if row.mnemonic == "set":
                    word |= draw.getrandbits(48) & fields.used_bits(register.fields)
            yield word
            for bit in range(64):
                yield word ^ 1 << bit
    for index in range(256):
        yield OPCODE.encode(BY_MNEMONIC["set"].opcode) | index << 48
        yield OPCODE.encode(BY_MNEMONIC["set"].opcode) | index << 48 | (1 << 48) - 1
        yield OPCODE.encode(BY_MNEMONIC["setr"].opcode) | index << 48
        yield OPCODE.encode(index)
    for _ in range(1000):
        yield draw.getrandbits(64)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def decode(dut):
    seen = set()
    for word in words(seeds.stdlib("decode")):
        dut.word.value = word
        await Timer(1, "ns")
        actions = streams.unpack(ACTIONS, streams.read(dut.actions))
        named = [name for name, value in actions.items() if value]
        wanted = expected(word)
        assert streams.read(dut.illegal) == (wanted is None), hex(word)
        assert named == ([] if wanted is None else [wanted[0]]), hex(word)
        if wanted is not None and wanted[1] is not None:
            assert streams.read(dut.unit) == wanted[1], hex(word)
        seen.add((wanted or [None])[0])
    assert seen == {None, *BY_MNEMONIC} and len(Unit) == 3
