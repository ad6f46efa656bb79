"""What the tensor unit tells the performance counters."""

from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hdl.interfaces import PC_BITS, RUN_LAYOUT
from isa.config import TREES

EIGHTH = 8  # multiply-adds that events count as one
WORDS_BITS = 14  # 8 groups, 8 words of 128 positions
MACS_BITS = 7  # 8 cores, 8 trees
SKIPPED_BITS = 17  # 8 cores, 8 words of 128 positions
LEFT_OUT_BITS = 43  # a whole operation
SKIPPED = {"skipped_images": LEFT_OUT_BITS, "skipped_tiles": SKIPPED_BITS,
           "skipped_outputs": SKIPPED_BITS, "skipped_elements": SKIPPED_BITS}


class TensorEvents(wiring.Signature):
    """Counter pulses, as the tensor unit sees them; each holds for one cycle.

    Members
    -------
    busy : an operation is at work, from its start to its done; not one that is left out
    tag, pc : counter group and program counter of that operation
    stream_words : words of streams that were done or left out in this cycle; where something is
        left out those of whole passes, with the decision to do them or not
    macs, skipped_images, skipped_tiles, skipped_outputs, skipped_elements
        Multiply-adds done, and left out, in units of `EIGHTH`
    wait_stream, wait_stationary, wait_drain
        No word of the first group entered although some are left, because: the word, the tile, the
        bank was not there (at most one of them is set)
    saturations, saturations_e5m2 : live outputs of this cycle that saturated, 0 to 8, in FP8 and
        in E5M2
    nan : a live output of this cycle is NaN
    """

    def __init__(self):
        super().__init__({
            "busy": Out(1),
            "tag": Out(RUN_LAYOUT["tag"].shape),
            "pc": Out(PC_BITS),
            "stream_words": Out(WORDS_BITS),
            "macs": Out(MACS_BITS),
            **{name: Out(bits) for name, bits in SKIPPED.items()},
            "wait_stream": Out(1),
            "wait_stationary": Out(1),
            "wait_drain": Out(1),
            "saturations": Out(range(TREES + 1)),
            "saturations_e5m2": Out(range(TREES + 1)),
            "nan": Out(1),
        })
