"""The whole training program: set-up, epochs of steps, snapshots, evaluation, one assembly text."""

from dataclasses import dataclass, field
from functools import cached_property
from math import log2

from isa.assembler import assemble
from isa.config import LANES, TREES, WORD_BYTES, Config
from isa.expressions import float_bits
from isa.formats import E5M2, FormatCode
from isa.instructions import INSTRUCTION_BYTES
from isa.registers import COUNT_BITS, TAGS, Unit
from winnow.compiler import elementwise
from winnow.compiler.layers import GROUP_WORDS, Job, backward, forward, weight_gradient
from winnow.compiler.operations import At, Buffer, Operation
from winnow.compiler.order import order
from winnow.compiler.placement import External, place
from winnow.compiler.text import ProgramText
from winnow.errors import UserError
from winnow.network import Layer, Network

PHASES = ("FP", "BP", "WU")
EXTERNAL_MOST = 1 << 31  # what the immediate of a move's address reaches
# Scalar registers of the program.
DATA, LOG, SNAPSHOT, RATE, EPOCH, LIMIT = range(1, 7)


@dataclass(frozen=True)
class Recipe:
    """How to train. Learning rates are by first epoch; the batch is a power of two."""

    epochs: int = 6
    batch: int = 16
    rates: tuple[tuple[int, float], ...] = ((0, 0.015), (3, 0.0075), (5, 0.002))
    momentum: float = 0.9
    error_scale: int = 8  # errors are stored times 2**this

    def __post_init__(self):
        if self.epochs < 1:
            raise UserError(f"epochs = {self.epochs}: must be at least 1")
        if self.batch < LANES or self.batch & (self.batch - 1):
            raise UserError(f"batch = {self.batch}: must be a power of two and at least {LANES}")
        if self.rates[0][0] != 0:
            raise UserError(f"rates begin at epoch {self.rates[0][0]}: must begin at 0")


@dataclass
class Parameters:
    """The buffers of one layer's weights and bias."""

    layer: Layer
    weights: Buffer = field(init=False)  # E4M3
    bias: Buffer = field(init=False)  # binary32, as are those below
    bias_moment: Buffer = field(init=False)
    bias_gradient: Buffer = field(init=False)
    master: Buffer = field(init=False)
    moment: Buffer = field(init=False)
    gradient: Buffer = field(init=False)

    def __post_init__(self):
        words = self.layer.tiles * TREES
        bias = self.layer.output.blocks * GROUP_WORDS
        for name in ("weights", "bias", "bias_moment", "bias_gradient", "master", "moment",
                     "gradient"):
            size = words if name == "weights" else bias if "bias" in name else GROUP_WORDS * words
            setattr(self, name, Buffer(f"{name.replace('_', ' ')} of {self.layer.name}", size))

    @property
    def resident(self) -> list[Buffer]:
        """What stays in the scratchpad for the whole run."""
        return [self.weights, self.bias, self.bias_moment]

    @property
    def elements(self) -> int:
        return self.layer.tiles * TREES * LANES


class TrainingProgram:
    """A program that trains `network` on a chip of `config` and then evaluates it.

    External memory is mapped by `external`: the host writes `program`, `parameters`, `data` and
    `test`, the machine writes `masters` and `moments`, `log` (each step: 8 partial sums of squared
    errors, then the scores), `scores` (of the test), `snapshots` (parameters after each epoch) and
    `scratchpad` (its image at the end).
    """

    def __init__(self, config: Config, network: Network, recipe: Recipe, train_images: int,
                 test_images: int):
        self.config, self.network, self.recipe = config, network, recipe
        self.layers = network.lowered()
        _check_chip(config, self.layers)
        self.steps = -(-train_images // recipe.batch)  # an epoch
        self.test_steps = -(-test_images // recipe.batch)
        self.parameters = [Parameters(layer) for layer in self.layers]
        self._make_buffers()
        self._map_external()
        self.step = self._training_step()
        place(config, self.step, [b for p in self.parameters for b in p.resident])

    def _make_buffers(self):
        batch, layers = self.recipe.batch, self.layers
        self.image = Buffer("images", batch * layers[0].input.words)
        self.target = Buffer("targets", batch * layers[-1].output.blocks)
        self.maps = [self.image] + [
            Buffer(f"map of {layer.name}", batch * layer.output.words) for layer in layers[:-1]]
        self.scores = Buffer("scores", batch * layers[-1].output.blocks * GROUP_WORDS)
        self.loss = Buffer("loss", GROUP_WORDS)
        self.errors = [
            Buffer(f"errors of {layer.name}", batch * layer.output.words) for layer in layers]

    def _map_external(self):
        recipe, self.external = self.recipe, External()
        self.external.region("program", (1 << 16) * INSTRUCTION_BYTES)
        self.external.region("zeros", self.config.bank_words * WORD_BYTES)
        resident = sum(b.words for p in self.parameters for b in p.resident)
        self.external.region("parameters", resident * WORD_BYTES)
        masters = sum(p.master.words for p in self.parameters)
        self.external.region("masters", masters * WORD_BYTES)
        self.external.region("moments", masters * WORD_BYTES)
        self.snapshot_bytes = WORD_BYTES * (
            masters + sum(p.bias.words for p in self.parameters))
        self.external.region("snapshots", recipe.epochs * self.snapshot_bytes)
        self.step_bytes = WORD_BYTES * (self.image.words + self.target.words)
        self.log_bytes = WORD_BYTES * (self.loss.words + self.scores.words)
        self.external.region("log", recipe.epochs * self.steps * self.log_bytes)
        self.external.region("scores", self.test_steps * self.scores.words * WORD_BYTES)
        self.external.region("scratchpad", self.config.words * WORD_BYTES)
        self.external.region("test", self.test_steps * self.image.words * WORD_BYTES)
        self.external.region("data", recipe.epochs * self.steps * self.step_bytes)
        if self.external.size > EXTERNAL_MOST:
            raise UserError(f"epochs = {recipe.epochs}: needs {self.external.size} bytes of "
                            f"external memory, at most {EXTERNAL_MOST}")

    def _address(self, region: str) -> int:
        return self.external.regions[region][0]

    def tag(self, index: int, phase: str) -> int:
        """The counter group of a layer's phase."""
        return len(PHASES) * index + PHASES.index(phase)

    # Parts of a step.

    def _job(self, index: int) -> Job:
        return Job(self.config, self.layers[index], self.recipe.batch)

    def _forward(self) -> list[Operation]:
        operations = []
        for i, parameters in enumerate(self.parameters):
            last = i == len(self.layers) - 1
            y = self.scores if last else self.maps[i + 1]
            operation = forward(self._job(i), self.maps[i], parameters.weights, parameters.bias, y,
                                FormatCode.BINARY32 if last else FormatCode.E4M3)
            operation.tag = self.tag(i, "FP")
            operations.append(operation)
        return operations

    def _training_step(self) -> list[Operation]:
        data, log = self._address("data"), self._address("log")
        groups = self.target.words
        operations = [
            elementwise.fill(self.image, data, DATA),
            elementwise.fill(self.target, data + self.image.words * WORD_BYTES, DATA),
            *self._forward(),
            elementwise.mean_squared_error(groups, self.scores, self.target, self.errors[-1],
                                           self.loss, self.recipe.error_scale),
            elementwise.store(self.loss, log, LOG),
            elementwise.store(self.scores, log + self.loss.words * WORD_BYTES, LOG),
        ]
        for i in reversed(range(len(self.layers))):
            operations += self._backward(i)
        return operations

    def _backward(self, i: int) -> list[Operation]:
        recipe, job, parameters = self.recipe, self._job(i), self.parameters[i]
        scale = -recipe.error_scale - int(log2(recipe.batch))  # to the mean over the batch
        error, map_in = self.errors[i], self.maps[i]
        gradients = [
            weight_gradient(job, map_in, error, parameters.gradient, scale),
            elementwise.bias_gradient(job.layer.output, recipe.batch, error,
                                      parameters.bias_gradient, 2.0**scale,
                                      E5M2.lowest_exponent + scale),
        ]
        gradients[0].tag = self.tag(i, "WU")
        below = []
        if i > 0:
            mask = map_in if self.layers[i - 1].relu else None
            below = backward(job, error, parameters.weights, self.errors[i - 1], mask)
            for operation in below:
                operation.tag = self.tag(i, "BP")
        return gradients + below + self._update(i)

    def _update(self, i: int) -> list[Operation]:
        p, momentum = self.parameters[i], self.recipe.momentum
        before = sum(q.master.words for q in self.parameters[:i]) * WORD_BYTES
        master, moment = (self._address(region) + before for region in ("masters", "moments"))
        return [
            elementwise.fill(p.master, master),
            elementwise.fill(p.moment, moment),
            elementwise.momentum_step(p.elements, p.gradient, p.moment, p.master, momentum, RATE,
                                      p.weights),
            elementwise.store(p.master, master),
            elementwise.store(p.moment, moment),
            elementwise.momentum_step(p.bias.words * 2, p.bias_gradient, p.bias_moment, p.bias,
                                      momentum, RATE),
        ]

    def _snapshot(self) -> list[Operation]:
        """Copies of all parameters, biases after the weights."""
        source, target, operations = self._address("masters"), self._address("snapshots"), []
        for p in self.parameters:
            operations += [elementwise.fill(p.master, source),
                           elementwise.store(p.master, target, SNAPSHOT)]
            source += p.master.words * WORD_BYTES
            target += p.master.words * WORD_BYTES
        for p in self.parameters:
            operations.append(elementwise.store(p.bias, target, SNAPSHOT))
            target += p.bias.words * WORD_BYTES
        return operations

    def _evaluation(self) -> list[Operation]:
        return [elementwise.fill(self.image, self._address("test"), DATA),
                *self._forward(),
                elementwise.store(self.scores, self._address("scores"), LOG)]

    def _set_up(self) -> list[Operation]:
        """The scratchpad cleared, then what is resident."""
        bank = self.config.bank_words
        whole = Buffer("scratchpad", self.config.words, 0)
        clear = Operation("clear", Unit.MOVE, {
            "move.external.base": {"address": self._address("zeros")},
            "move.counts": {"words": bank, "n1": self.config.banks},
            "move.scratchpad.n1": {"stride": bank},
            "move.scratchpad.base": {"address": At(whole)},
        }, [], [whole])
        address, operations = self._address("parameters"), [clear]
        for buffer in self.resident:
            operations.append(elementwise.fill(buffer, address))
            address += buffer.words * WORD_BYTES
        return operations

    @property
    def resident(self) -> list[Buffer]:
        """The buffers of the region `parameters`, in its order."""
        return [b for p in self.parameters for b in p.resident]

    # The program.

    @cached_property
    def text(self) -> str:
        """The program in assembly."""
        recipe, text = self.recipe, ProgramText()

        def straight(operations):
            order(operations)
            text.operations(operations)

        text.line("; trains " + self.network.name + f", {recipe.epochs} epochs of {self.steps} "
                  f"steps of {recipe.batch} images")
        for register in (DATA, LOG, SNAPSHOT, EPOCH):
            text.line(f"li r{register}, 0")
        text.line(f"li r{RATE}, {_signed(float_bits(-recipe.rates[0][1]))}",
                  f"learning rate -{recipe.rates[0][1]}")
        straight(self._set_up())
        with text.loop(recipe.epochs, "epochs"):
            with text.loop(self.steps, "steps"):
                straight(self.step)
                text.line(f"addi r{DATA}, r{DATA}, {self.step_bytes}")
                text.line(f"addi r{LOG}, r{LOG}, {self.log_bytes}")
            straight(self._snapshot())
            text.line(f"addi r{SNAPSHOT}, r{SNAPSHOT}, {self.snapshot_bytes}")
            text.line(f"addi r{EPOCH}, r{EPOCH}, 1")
            for epoch, rate in recipe.rates[1:]:
                text.line(f"li r{LIMIT}, {epoch}")
                text.line(f"skip ne, r{EPOCH}, r{LIMIT}, +1")
                text.line(f"li r{RATE}, {_signed(float_bits(-rate))}", f"learning rate -{rate}")
        text.line(f"li r{DATA}, 0")
        text.line(f"li r{LOG}, 0")
        with text.loop(self.test_steps, "test"):
            straight(self._evaluation())
            text.line(f"addi r{DATA}, r{DATA}, {self.image.words * WORD_BYTES}")
            text.line(f"addi r{LOG}, r{LOG}, {self.scores.words * WORD_BYTES}")
        whole = Buffer("scratchpad", self.config.words, 0)
        straight([elementwise.store(whole, self._address("scratchpad"))])
        text.line("halt 0")
        return str(text)

    @cached_property
    def instructions(self) -> list[int]:
        words = assemble(self.text, self.network.name)
        limit = self.external.regions["program"][1] // INSTRUCTION_BYTES
        if len(words) > limit:
            raise UserError(f"network {self.network.name}: its program has {len(words)} "
                            f"instructions, at most {limit} fit")
        return words


def _check_chip(config: Config, layers: tuple[Layer, ...]) -> None:
    """`UserError` for what no placement could mend."""
    if config.block < LANES:
        raise UserError(f"block = {config.block}: training needs at least {LANES}, a weight "
                        f"gradient turns {LANES} words of the stream")
    if config.mode == "e4m3":
        raise UserError("mode = 'e4m3': training needs mixed or e5m2, errors are E5M2")
    if len(PHASES) * len(layers) > TAGS:
        raise UserError(f"{len(layers)} layers: the chip counts at most {TAGS // len(PHASES)}, "
                        f"{len(PHASES)} of its {TAGS} tags each")
    for layer in layers:
        most = (1 << COUNT_BITS) - 1
        if layer.input.blocks > most:
            raise UserError(f"layer {layer.name}: {layer.input.blocks} channel blocks, a loop "
                            f"counts at most {most}")


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value
