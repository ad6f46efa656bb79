"""The signatures that join the units: scratchpad ports and the command port of a unit."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from isa.config import WORD_BITS, WORD_BYTES, Config
from isa.instructions import TOKENS
from isa.memmap import Trap
from isa.registers import REGISTER_BITS, TAGS, Unit, of_unit

PC_BITS = 32
CAUSE_BITS = max(Trap).bit_length()


def address_bits(config: Config) -> int:
    """Width of a word address on a scratchpad port."""
    return (config.words - 1).bit_length()


class ReadPort(wiring.Signature):
    """A scratchpad read port, as its reader sees it.

    Parameters
    ----------
    words : int
        A power of two. With more than one a request may be wide: for so many words at once.

    Members
    -------
    request : stream of word addresses
    wide : with a request: it is for `words` words, from an address that is a multiple of them;
        only with `words` > 1
    valid, data, zeros
        The answer, one cycle after its request was taken; it cannot be refused. Bit i of `zeros`
        says that byte i of `data` is +-0. With `words` > 1 both are arrays; a request that is not
        wide is answered in the first.
    """

    def __init__(self, config: Config, words: int = 1):
        self.config = config
        self.words = words
        answer = {"data": In(WORD_BITS), "zeros": In(WORD_BYTES)}
        super().__init__({
            "request": Out(stream.Signature(address_bits(config))),
            "valid": In(1),
            **(answer if words == 1 else {
                "wide": Out(1), **{name: member.array(words) for name, member in answer.items()}}),
        })


class WritePort(wiring.Signature):
    """A scratchpad write port, as its writer sees it: a stream of address and data."""

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "request": Out(stream.Signature(data.StructLayout({
                "address": address_bits(config),
                "data": WORD_BITS,
            }))),
        })


SET_LAYOUT = data.StructLayout({
    "clear": 1,  # all registers take their defaults; index and value do not matter
    "index": 8,
    "value": REGISTER_BITS,
})

RUN_LAYOUT = data.StructLayout({
    "pc": PC_BITS,
    "wait": TOKENS,
    "post": TOKENS,
    "tag": (TAGS - 1).bit_length(),
    "leave": 1,  # it only takes and gives its tokens
    "count": 1,  # with `leave`: what it would have done is counted
})


class UnitCommand(wiring.Signature):
    """Control's port to a unit, as control sees it.

    Members
    -------
    set : stream of register writes
        To the next copy of the registers; not ready while a run is pending.
    run : stream of operations
        Not ready while a run is pending.
    pending, busy
        An operation was given and has not started; an operation is at work.
    wants, want : tokens that the pending operation needs, valid while `wants` is set
    grant : control gives them; the operation starts at the end of this cycle
    give : one pulse for each token of an operation that is done
    trap, cause, pc : one pulse when an operation traps
    stop : from the first trap on: no operation starts, the present one ends as soon as it can
    """

    def __init__(self):
        super().__init__({
            "set": Out(stream.Signature(SET_LAYOUT)),
            "run": Out(stream.Signature(RUN_LAYOUT)),
            "pending": In(1),
            "busy": In(1),
            "wants": In(1),
            "want": In(TOKENS),
            "grant": Out(1),
            "give": In(TOKENS),
            "trap": In(1),
            "cause": In(CAUSE_BITS),
            "pc": In(PC_BITS),
            "stop": Out(1),
        })


def registers_layout(unit: Unit) -> data.StructLayout:
    """All registers of a unit: a struct of structs, named by `Register.attribute` and field."""
    return data.StructLayout({
        register.attribute: data.StructLayout({
            field.name: data_shape(field) for field in register.fields
        })
        for register in of_unit(unit)
    })


def data_shape(field):
    """The Amaranth shape of a table's field."""
    return signed(field.width) if field.signed else unsigned(field.width)


class Operation(wiring.Signature):
    """What a unit's front end hands its datapath, as the front end sees it.

    Members
    -------
    start : one cycle; the registers hold the operation's values from this cycle until `done`
    registers : the active registers of `unit` (`registers_layout`)
    tag : counter group
    leave : one cycle, in the place of `start`; the operation is left out and counted. Registers
        hold until `done`. Only a tensor operation; others that are left out are not seen.
    left_out : the unit is busy with an operation that is left out
    stop : end as soon as possible; nothing more needs to be right but the bus
    done : one pulse, in or after the cycle in which the last write was taken; also ends an
        operation that trapped or was stopped
    trap, cause : one pulse, before or with `done`
    """

    def __init__(self, unit: Unit):
        self.unit = unit
        super().__init__({
            "start": Out(1),
            "registers": Out(registers_layout(unit)),
            "tag": Out(RUN_LAYOUT["tag"].shape),
            "leave": Out(1),
            "left_out": Out(1),
            "stop": Out(1),
            "done": In(1),
            "trap": In(1),
            "cause": In(CAUSE_BITS),
        })
