"""Thresholds of gates, on the device: they follow the share of the gates that are open.

The threshold of an output block is a number of standard deviations of the sum of its 8 channels,
which are those of the running statistics, for a base of one in so many channels. That number moves
in proportion to what the open share of a sample of the last step's gates is off by.
"""

from math import sqrt

from isa.registers import Activation, Reduce
from winnow.compiler import moves
from winnow.compiler.drains import GROUP_WORDS
from winnow.compiler.gating.rule import Gating
from winnow.compiler.memory import Memory, Parameters
from winnow.compiler.normalisation import EPSILON, Slot, channel_operation
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.order import order
from winnow.compiler.schedule import schedule
from winnow.compiler.step import Step
from winnow.compiler.tiles import Part, Tile
from winnow.compiler.vector import BINARY32, E4M3, K0, K1, ONE, ZERO, Stream, T, X, Y, vector

SAMPLE = 8, 0.25  # images at most, and the share of the scratchpad that their gates may fill
GAIN = 0.5  # standard deviations for a share of 1
QUANTUM = -20  # exponent of the unit of sums of variances


class Thresholds:
    """The operations that move the thresholds of all layers.

    Parameters
    ----------
    memory : Memory
    rule : Gating
    """

    def __init__(self, memory: Memory, rule: Gating):
        self.memory, self.rule = memory, rule

    def operations(self) -> list[Operation]:
        """Placed and in order; the scratchpad is lost but for what is resident."""
        operations = []
        for job, parameters in enumerate(self.memory.gated):
            for operation in self._layer(parameters):
                operation.job = job
                operations.append(operation)
        plan = schedule(self.memory.config, operations, self.memory.resident)
        order(plan.operations)
        return plan.operations

    def _sample(self, parameters: Parameters) -> Part:
        """Some images, or some rows of one."""
        shape, (most, share) = parameters.layer.output, SAMPLE
        room = int(share * self.memory.config.words)
        images = max(1, min(most, self.memory.batch, room // shape.words))
        rows = max(1, min(shape.height, room // (shape.words // shape.height)))
        return Part.of(shape, range(images), range(rows))

    def _layer(self, parameters: Parameters) -> list[Operation]:
        layer, part = parameters.layer, self._sample(parameters)
        stored = self.memory.gates[self.memory.parameters.index(parameters)]
        gates = Tile.new(stored.name, part, stored.shape, stored.layout)
        strides, blocks = gates.strides, layer.output.blocks
        pixels = len(part.rows) * layer.output.width
        found, variance, deviation = (Buffer(f"{what} of {layer.name}", GROUP_WORDS * blocks)
                                      for what in ("open gates", "variance", "deviation"))
        quantile, threshold = Slot(parameters.quantile), Slot(parameters.threshold)

        def do(what: str, t, u=(), **streams) -> Operation:
            return channel_operation(f"{what} of {layer.name}", blocks, t, u, **streams)

        def total(what: str, counts, x: Stream, quantum: int, sums: Buffer) -> Operation:
            return vector(f"{what} of {layer.name}", counts, (X, ONE, ZERO), x=x, source=0,
                          reduce=Reduce.SUM, quantum=quantum, tally={"across": 1},
                          o2=Stream(sums, BINARY32, (0, 0, GROUP_WORDS)))

        gain = GAIN / (8 * pixels * len(part.images))
        return [
            moves.fill(gates.buffer, stored.at(part), **Step.runs(gates, stored, part)),
            total("open gates", (pixels, len(part.images), blocks),
                  Stream(gates.buffer, E4M3, (strides.column, gates.past(1), strides.block)), 0,
                  found),
            do("quantile", (X, K0, Y), (T, ONE, K1), x=Slot(found), y=quantile, o0=quantile,
               constants={"k0": gain, "k1": -GAIN * self.rule.rate}),
            total("variance", (1, 1, blocks),
                  Stream(parameters.norm.running_variance, BINARY32, (0, 0, GROUP_WORDS)), QUANTUM,
                  variance),
            do("1 / deviation", (X, ONE, K1), x=Slot(variance), o0=Slot(deviation),
               activation=Activation.RSQRT, constants={"k1": EPSILON}),
            do("deviation", (X, Y, ZERO), (T, K0, ZERO), x=Slot(variance), y=Slot(deviation),
               o0=Slot(deviation), constants={"k0": 1 / sqrt(parameters.groups.count)}),
            do("threshold", (X, Y, ZERO), x=quantile, y=Slot(deviation), o0=threshold),
        ]
