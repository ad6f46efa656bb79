"""The small operations of batch normalisation: from sums by channel to coefficients.

With M values a channel: forward mean = S1 / M, variance = S2 / M - mean**2 (not below zero),
s = 1 / sqrt(variance + epsilon), y = a * x + b with a = gamma * s and b = beta - a * mean.
Backward D1 = sum(dy), D2 = sum(dy * x), dgamma = s * (D2 - mean * D1), dbeta = D1,
dx = A * dy + B * x + C with A = a, B = -a * s * dgamma / M, C = -A * D1 / M - B * mean.
Everything is binary32 by channel, 4 words a channel block.
"""

from dataclasses import dataclass, field

from isa.registers import Activation
from winnow.compiler.drains import GROUP_WORDS
from winnow.compiler.forms import COEFFICIENT_WORDS
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.vector import BINARY32, K0, K1, ONE, ZERO, Stream, T, X, Y, Z, row, vector
from winnow.graph import Layer

EPSILON = 2.0**-10
RUNNING = 0.1  # weight of the newest statistics in the running ones
NEWTON_STEPS = 2
SUM_WORDS = 2 * GROUP_WORDS  # both sums of a channel block, rounded


@dataclass
class Slot:
    """One binary32 number a channel: a buffer, where in it, and its words a channel block."""

    buffer: Buffer
    offset: int = 0
    words: int = GROUP_WORDS

    def stream(self, u: bool = True) -> Stream:
        return Stream(self.buffer, BINARY32, (self.words,), self.offset, u)


def channel_operation(label: str, blocks: int, t, u=(), **streams) -> Operation:
    """A vector operation over channel blocks; streams are slots, or (slot, takes u)."""
    options = {k: v for k, v in streams.items() if not isinstance(v, Slot | tuple)
               or k in ("constants", "scalars")}
    slots = {k: v for k, v in streams.items() if k not in options}
    return vector(label, (blocks,), t, u, **options, **{
        name: s.stream() if isinstance(s, Slot) else s[0].stream(s[1])
        for name, s in slots.items()})


@dataclass
class Norm:
    """Buffers of a normalised layer. `gamma` to `variance` stay for the whole run."""

    layer: Layer
    raw_words: int
    gamma: Buffer = field(init=False)
    beta: Buffer = field(init=False)
    gamma_moment: Buffer = field(init=False)
    beta_moment: Buffer = field(init=False)
    running_mean: Buffer = field(init=False)  # of -x
    running_variance: Buffer = field(init=False)

    RESIDENT = ("gamma", "beta", "gamma_moment", "beta_moment", "running_mean",
                "running_variance")
    STEP = ("mean", "variance", "shifted", "s", "scratch", "gamma_gradient", "beta_gradient")

    def __post_init__(self):
        for name in self.RESIDENT:
            setattr(self, name, self._buffer(name, GROUP_WORDS))

    def new_step(self) -> None:
        """Fresh buffers of one step: each step is placed by itself."""
        for name in self.STEP:
            setattr(self, name, self._buffer(name, GROUP_WORDS))
        words = -(-2 * self.raw_words * self.layer.output.blocks // GROUP_WORDS) * GROUP_WORDS
        for way in ("forward", "backward"):
            setattr(self, f"{way}_stats", Buffer(f"{way} statistics of {self.layer.name}", words))
            setattr(self, f"{way}_sums", self._buffer(f"{way} sums", SUM_WORDS))
            setattr(self, f"{way}_coefficients",
                    self._buffer(f"{way} coefficients", COEFFICIENT_WORDS))

    def _buffer(self, name: str, words: int) -> Buffer:
        return Buffer(f"{name.replace('_', ' ')} of {self.layer.name}",
                      words * self.layer.output.blocks)

    @property
    def resident(self) -> list[Buffer]:
        return [getattr(self, name) for name in self.RESIDENT]

    def clear(self, way: str) -> Operation:
        """Statistics begin at zero."""
        stats = getattr(self, f"{way}_stats")
        counts = row(stats.words // GROUP_WORDS)
        return vector(f"clear {stats.name}", counts, (ZERO, ZERO, ZERO),
                      o0=Stream(stats, BINARY32, (GROUP_WORDS, GROUP_WORDS * counts[0])))

    def _do(self, what: str, t, u=(), **streams) -> Operation:
        return channel_operation(f"{what} of {self.layer.name}", self.layer.output.blocks, t, u,
                                 **streams)

    def _sums(self, way: str) -> tuple[Slot, Slot]:
        sums = getattr(self, f"{way}_sums")
        return Slot(sums, 0, SUM_WORDS), Slot(sums, GROUP_WORDS, SUM_WORDS)

    def coefficient(self, way: str, i: int) -> Slot:
        return Slot(getattr(self, f"{way}_coefficients"), GROUP_WORDS * i, COEFFICIENT_WORDS)

    def forward(self, values: int) -> list[Operation]:
        """From the sums over `values` numbers a channel to K0 = a and K1 = b."""
        s1, s2 = self._sums("forward")
        mean, variance = Slot(self.mean), Slot(self.variance)
        running = Slot(self.running_mean), Slot(self.running_variance)
        keep = {"k0": 1 - RUNNING, "k1": RUNNING}
        return [
            self._do("mean", (X, K0, ZERO), x=s1, o0=mean, constants={"k0": -1 / values}),
            self._do("variance", (X, X, ZERO), (Y, K0, T), negate_f=True, x=mean, y=s2,
                     o0=variance, activation=Activation.RELU, constants={"k0": 1 / values}),
            *self._coefficients(mean, variance),
            self._do("running mean", (X, K0, ZERO), (Y, K1, T), x=running[0], y=mean,
                     o0=running[0], constants=keep),
            self._do("running variance", (X, K0, ZERO), (Y, K1, T), x=running[1], y=variance,
                     o0=running[1], constants=keep),
        ]

    def evaluation(self) -> list[Operation]:
        """K0 and K1 from the running statistics."""
        return self._coefficients(Slot(self.running_mean), Slot(self.running_variance))

    def _coefficients(self, mean: Slot, variance: Slot) -> list[Operation]:
        s, scratch = Slot(self.s), Slot(self.scratch)
        a, b = (self.coefficient("forward", i) for i in range(2))
        newton = [step for _ in range(NEWTON_STEPS) for step in (
            self._do("1 / sigma", (X, X, ZERO), (T, Y, ZERO), x=s, y=Slot(self.shifted),
                     o0=scratch),
            self._do("1 / sigma", (X, K0, K1), (T, Y, ZERO), x=scratch, y=s, o0=s,
                     constants={"k0": -0.5, "k1": 1.5}))]
        return [
            self._do("1 / sigma", (X, ONE, K1), (T, ONE, ZERO), x=variance,
                     o0=(Slot(self.shifted), False), o1=s, activation=Activation.RSQRT,
                     constants={"k1": EPSILON}),
            *newton,
            self._do("coefficients", (X, Y, ZERO), x=Slot(self.gamma), y=s, o0=a),
            self._do("coefficients", (X, Y, Z), x=a, y=mean, z=Slot(self.beta), o0=b),
        ]

    def backward(self, values: int) -> list[Operation]:
        """From D1 and D2 to K0 = A, K1 = B, K2 = C, and the gradients of gamma and beta."""
        d1, d2 = self._sums("backward")
        mean, s, scratch = Slot(self.mean), Slot(self.s), Slot(self.scratch)
        gamma, beta = Slot(self.gamma_gradient), Slot(self.beta_gradient)
        a = self.coefficient("forward", 0)
        coefficients = [self.coefficient("backward", i) for i in range(3)]
        inverse = {"k0": -1 / values}
        return [
            self._do("gradient of gamma", (X, Y, Z), x=d1, y=mean, z=d2, o0=scratch),
            self._do("gradient of gamma", (X, Y, ZERO), (T, Z, ZERO), x=scratch, y=s, z=a,
                     o0=(gamma, False), o1=scratch),
            self._do("B", (X, Y, ZERO), (T, K0, ZERO), x=scratch, y=s, o0=coefficients[1],
                     constants=inverse),
            self._do("B * mean", (X, Y, ZERO), x=coefficients[1], y=mean, o0=scratch),
            self._do("C", (X, Y, ZERO), (T, K0, Z), x=a, y=d1, z=scratch, o0=coefficients[2],
                     constants=inverse),
            self._do("A", (X, ONE, ZERO), x=a, o0=coefficients[0]),
            self._do("gradient of beta", (X, ONE, ZERO), x=d1, o0=beta),
        ]

    def join(self, other: "Norm") -> Operation:
        """K1 takes the shortcut's K1 as well, K2 its K0."""
        ours, theirs = ([norm.coefficient("forward", i) for i in range(3)]
                        for norm in (self, other))
        return self._do("join", (X, ONE, Y), (Z, ONE, ZERO), x=ours[1], y=theirs[1], z=theirs[0],
                        o0=(ours[1], False), o1=ours[2])

    def copied(self, slot: Slot, buffer: Buffer) -> Operation:
        return self._do("copy", (X, ONE, ZERO), x=slot, o0=Slot(buffer))
