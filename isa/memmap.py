"""The control port: 32-bit registers at byte offsets, counters, causes of traps."""

from dataclasses import dataclass
from enum import IntEnum

from isa.registers import TAGS

BINS = 64  # of a histogram
ID_VALUE = 0x574E5731  # "WNW1"


class Control(IntEnum):
    """Byte offsets of the control registers."""

    ID = 0x00  # reads ID_VALUE
    COMMAND = 0x04  # bit 0 starts the program, with the counters at zero; reads as zero
    STATUS = 0x08  # see Status; writing 1 to DONE clears it and the interrupt
    PROGRAM = 0x0C  # byte address of the first instruction, a multiple of 8
    PC = 0x10  # the instruction that control is at
    HALT_CODE = 0x14
    TRAP_CAUSE = 0x18
    TRAP_PC = 0x1C
    FLAGS = 0x20  # see Flag; writing 1 clears
    NAN_PC = 0x24  # the first operation that set Flag.NAN
    INTERRUPT_ENABLE = 0x28  # bit 0
    LIVE = 0x2C  # live elements of the last move that went over such
    COUNTERS = 0x100  # 64 bits each, low half first, in the order of COUNTERS
    HISTOGRAM = 0x300  # BINS numbers of 32 bits, of the last histogram of the vector unit
    TAG_COUNTERS = 0x400  # for each tag TAG_BYTES: its TAG_COUNTERS, 64 bits each


class Status(IntEnum):
    """Bit numbers of the status register."""

    BUSY = 0
    DONE = 1  # halted or trapped
    TRAPPED = 2


class Flag(IntEnum):
    """Bit numbers of the flags, sticky."""

    NAN = 0  # a live output of a tensor operation was NaN


class Trap(IntEnum):
    """Why the machine stopped. The program counter beside it is that of the instruction."""

    NONE = 0
    ILLEGAL = 1  # an opcode, register or bit pattern that does not exist
    ADDRESS = 2  # a scratchpad word out of range, or an external address that is not aligned
    SHAPE = 3  # a count of zero, a block larger than the chip's, or modes that exclude each other
    DEPTH = 4  # a reduction longer than the accumulator holds
    BUS = 5  # an error response on the external memory port
    LOOP = 6  # loops nested too deep
    TOKEN = 7  # a token counted past its most
    DEADLOCK = 8  # everything waits for a token that nothing at work can give


@dataclass(frozen=True)
class Counter:
    """A hardware counter. `exact` ones are equal in model and hardware; the others count cycles."""

    name: str
    exact: bool
    text: str


COUNTERS = (
    Counter("cycles", False, "from start to halt"),
    Counter("instructions", True, "instructions executed"),
    Counter("macs", True, "multiply-adds done"),
    Counter("skipped_images", True, "multiply-adds of operations that a counted guard left out"),
    Counter("skipped_tiles", True, "multiply-adds with a tile of zeros that were left out"),
    Counter("skipped_outputs", True, "of the others, those of an output that is masked"),
    Counter("skipped_elements", True, "of the others, those with a stream element that is zero"),
    Counter("words_filled", True, "words from external memory into the scratchpad"),
    Counter("words_stored", True, "words from the scratchpad to external memory"),
    Counter("saturations", True, "live FP8 outputs of tensor operations that saturated"),
    Counter("words_read", False, "words read from the scratchpad"),
    Counter("words_written", False, "words written to the scratchpad"),
    Counter("conflicts", False, "cycles of a scratchpad request that lost its bank to another"),
    Counter("control_wait", False, "cycles that control waited for a unit or a token"),
    Counter("tensor_busy", False, "cycles of tensor operations"),
    Counter("tensor_wait_stream", False, "of these, the next stream word was not there"),
    Counter("tensor_wait_stationary", False, "of these, the next tile was not there"),
    Counter("tensor_wait_drain", False, "of these, both halves of the accumulators were in use"),
    Counter("vector_busy", False, "cycles of vector operations"),
    Counter("vector_wait_read", False, "of these, an input was not there"),
    Counter("vector_wait_write", False, "of these, an output could not be written"),
    Counter("move_busy", False, "cycles of moves"),
    Counter("move_wait_external", False, "of these, external memory gave or took nothing"),
    Counter("saturations_e5m2", True, "E5M2 outputs that saturated: live ones of tensor "
            "operations, and those of vector operations"),
)
COUNTER_INDEX = {counter.name: i for i, counter in enumerate(COUNTERS)}


# What the tensor operations of a tag took: `span` is from the start of each to that of the next.
TAG_COUNTERS = ("busy", "words", "span")
TAG_BYTES = 32


def counter_offset(name: str) -> int:
    """Byte offset of the low half of a counter."""
    return Control.COUNTERS + 8 * COUNTER_INDEX[name]


def tag_offset(tag: int, counter: str) -> int:
    """Byte offset of the low half of one of a tag's counters."""
    if not 0 <= tag < TAGS:
        raise ValueError(f"tag = {tag}: must be from 0 to {TAGS - 1}")
    return Control.TAG_COUNTERS + TAG_BYTES * tag + 8 * TAG_COUNTERS.index(counter)
