"""What the tensor unit tells the performance counters."""

from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hdl.interfaces import PC_BITS, RUN_LAYOUT
from hdl.tensor.groups import CORES_BITS
from isa.config import TREES


class TensorEvents(wiring.Signature):
    """Counter pulses, as the tensor unit sees them; each holds for one cycle.

    Members
    -------
    busy : an operation is at work, from its start to its done
    tag, pc : counter group and program counter of that operation
    stream_word : words of streams that entered cores in this cycle, one a group at most
    cores : cores that took one; macs of this cycle are 64 * cores
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
            "stream_word": Out(CORES_BITS),
            "cores": Out(CORES_BITS),
            "wait_stream": Out(1),
            "wait_stationary": Out(1),
            "wait_drain": Out(1),
            "saturations": Out(range(TREES + 1)),
            "saturations_e5m2": Out(range(TREES + 1)),
            "nan": Out(1),
        })
